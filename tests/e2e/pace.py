# SPDX-License-Identifier: Apache-2.0
"""Whether the machine kept up. A test that has to look at something while it lasts, or that judges
how long something took, asks the clock before it judges bittern."""

import threading
import time

STEP_S = 0.01
STALL_S = 0.1  # shorter ones are what bounds have their slack for


class Late(Exception):
    """What was to be seen was over before it could be looked at: that shows nothing. The test
    begins anew, see conftest.py."""


def in_time(deadline, what):
    """deadline: time.monotonic()"""
    late_s = time.monotonic() - deadline
    if late_s > 0:
        raise Late(f"{what} {late_s:.2f} s too late")


class Pulse:
    """Notes when, and for how long, nothing on this machine ran that only had to wait for a CPU."""

    def __init__(self):
        self._stalls = []  # (begin, end)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self):
        last = time.monotonic()
        while not self._end.wait(STEP_S):
            now = time.monotonic()
            if now - last > STALL_S:
                self._stalls.append((last, now))
            last = now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def stalled_s(self, begin, end):
        """How much of this time (time.monotonic()) passed without."""
        time.sleep(2 * STEP_S)  # the last beat
        return sum(max(0, min(end, b) - max(begin, a)) for a, b in self._stalls)
