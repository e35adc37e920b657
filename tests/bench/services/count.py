# SPDX-License-Identifier: Apache-2.0
"""The service's own count of the requests it began to serve, appended to TRUTH_FILE on SIGUSR2."""

import os
import signal

served = 0


def tell(signum, frame):
    with open(os.environ["TRUTH_FILE"], "a") as truth:
        truth.write(f"{served}\n")


signal.signal(signal.SIGUSR2, tell)
