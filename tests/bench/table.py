# SPDX-License-Identifier: Apache-2.0
"""The table: rows as they are measured, printed at once at the end."""

import statistics

WIDTHS = (44, 9, 9, 25, 24)


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return statistics.quantiles(values, n=4, method="inclusive")


def spread(values, form):
    low, middle, high = quartiles(values)
    return f"{middle:{form}} [{low:{form}}, {high:{form}}]"


def digits(value):
    """The format of a value with about three digits that mean something."""
    return f".{0 if value >= 100 else 1 if value >= 30 else 2}f"


def number(value):
    return f"{value:{digits(value)}}"


class Table:
    def __init__(self):
        self.lines = []
        self.failures = []
        self.cycles = self.disturbed = 0  # disturbed: somebody else's programs were on the hooks

    def line(self, *cells):
        first, *rest = cells
        out = f"{first:<{WIDTHS[0]}}"
        for cell, width in zip(rest, WIDTHS[1:]):
            out += f"{cell:>{width}}"
        self.lines.append("  ".join([out, *rest[len(WIDTHS) - 1:]]).rstrip())

    def section(self, title, *columns):
        self.lines += [""] if self.lines else []
        self.line(title, *columns)
        self.lines.append("-" * (sum(WIDTHS) + 44))

    def compare(self, name, bare, other, note=""):
        """bare and other: what the rounds measured, in pairs."""
        typical = statistics.median(bare)
        self.line(name, number(typical), number(statistics.median(other)),
                  spread([o - b for b, o in zip(bare, other)], "+" + digits(typical)),
                  spread([o / b for b, o in zip(bare, other)], ".3f"), note)

    def value(self, name, value, note=""):
        self.lines.append(f"{name:<{WIDTHS[0]}}{value:<68}{note}".rstrip())

    def skip(self, name, why):
        self.lines.append(f"{name:<{WIDTHS[0]}}skipped: {why}")

    def expect_count(self, what, counted, served):
        """A difference is a failure of correctness, not of speed."""
        if counted != served:
            self.failures.append(f"{what}: bittern counted {counted}, the service served {served}"
                                 f" ({counted - served:+d})")

    def text(self):
        return "\n".join(self.lines)
