# SPDX-License-Identifier: Apache-2.0
"""Burns CPU time and touches memory, and notes how much that was by the thread's own clock and
counter: a line in TRUTH_FILE for each request.

One process of a service has a background thread: while BURN_FILE exists it burns a fifth of a CPU
and notes its own clock after each turn, also of those in which it only looks for the file."""

import ctypes
import fcntl
import json
import mmap
import os
import resource
import threading
import time

SHARE = 0.2
TURN_S = 0.02
IDLE_S = 0.05  # from one look for BURN_FILE to the next
WAIT_S = 0.01
BODY = "burnt\n"
PR_SET_THP_DISABLE = 41  # one fault a page

_file = os.environ["TRUTH_FILE"]
_fd = os.open(_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def burn(us):
    """ns"""
    begin = now = time.thread_time_ns()
    end = begin + us * 1000
    while now < end:
        for _ in range(100):
            pass
        now = time.thread_time_ns()
    return now - begin


def touch(pages):
    """Page faults that new memory of so many pages took."""
    before = resource.getrusage(resource.RUSAGE_THREAD)
    if pages:
        with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
            for page in range(pages):
                memory[page * mmap.PAGESIZE] = 1
    after = resource.getrusage(resource.RUSAGE_THREAD)
    return after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt


def note(path, cpu_ns, faults=0):
    line = {"path": path, "cpu_ns": cpu_ns, "faults": faults}
    os.write(_fd, json.dumps(line).encode() + b"\n")


def work(path, us, pages=0):
    note(path, burn(us), touch(pages))
    return BODY


def _background():
    before = time.thread_time_ns()
    while True:
        on = os.path.exists(os.environ["BURN_FILE"])
        if on:
            burn(int(SHARE * TURN_S * 1e6))
        now = time.thread_time_ns()
        note("background", now - before)
        before = now
        time.sleep(TURN_S * (1 - SHARE) if on else IDLE_S)


def _first_process():
    global _lock
    _lock = open(_file)  # held until the process ends
    try:
        fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
if _first_process():
    threading.Thread(target=_background, daemon=True).start()
