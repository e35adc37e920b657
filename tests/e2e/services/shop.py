# SPDX-License-Identifier: Apache-2.0
"""What every Python shop sells: the bodies, and the durations of the routes that sleep."""

import os
import ssl

BIG = b"x" * 1_000_000
BIG_FILE = os.environ["BIG_FILE"]  # 1 MB, for sendfile
CHUNKS = [b"one,", b"two,", b"three\n"]
ITEM = {"id": 1, "name": "reed"}
TLS = None  # with TLS_CERT and TLS_KEY it is served by TLS
if "TLS_CERT" in os.environ:
    TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    TLS.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
SLEEPS_MS = [1, 10, 100, 1000]
