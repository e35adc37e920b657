# SPDX-License-Identifier: Apache-2.0
"""The questions and answers of README.md, read from it, so that what is tested is what it says."""

import re
import shutil

from frameworks import CACHE, HERE

PATH = CACHE / "bin"  # no other: Prometheus 3 is wanted
PROMTOOL = shutil.which("promtool", path=PATH)
PROMETHEUS = shutil.which("prometheus", path=PATH)
ROOT = HERE.parent.parent
RULES = ROOT / "deploy/prometheus"


def questions():
    """question -> expression"""
    block, = re.findall(r"^```promql\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    found = {}
    for entry in block.strip().split("\n\n"):
        question, expression = entry.split("\n", 1)
        found[question.removeprefix("# ")] = expression
    return found


def expression(beginning):
    """The expression of the one question that begins so."""
    found, = (e for q, e in questions().items() if q.startswith(beginning))
    return found
