# SPDX-License-Identifier: Apache-2.0
"""What every Python shop sells: the bodies, and the durations of the routes that sleep."""

import os

BIG = b"x" * 1_000_000
BIG_FILE = os.environ["BIG_FILE"]  # 1 MB, for sendfile
CHUNKS = [b"one,", b"two,", b"three\n"]
ITEM = {"id": 1, "name": "reed"}
SLEEPS_MS = [1, 10, 100, 1000]
