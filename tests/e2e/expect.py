# SPDX-License-Identifier: Apache-2.0
"""What /metrics has to say about requests whose truth is known."""

import collections
import re

UNPLACED = (400, 404, 405)


def route(path, status):
    """The route of a path of the shops, none of which has both a placed and an unplaced status."""
    if status in UNPLACED:
        return "{unmatched}"
    return re.sub(r"/\d+(?=/|$)", "/{id}", path)


def expected(counts):
    """(method, path, status) -> n as (method, route, status) -> n, as Page.counts() has it."""
    folded = collections.Counter()
    for (method, path, status), n in counts.items():
        folded[method, route(path, status), str(status)] += n
    return folded


def truth_counts(lines, since_ns=0):
    """Truth lines as (method, path, status) -> n, of handlers that began after since_ns."""
    return collections.Counter((t["method"], t["path"], t["status"])
                               for t in lines if t["begin_ns"] > since_ns)


def assert_same(actual, wanted, who):
    """Fails with what differs, one line a key."""
    __tracebackhide__ = True
    lines = [f"  {key}: {actual.get(key, 0)}, should be {wanted.get(key, 0)}"
             for key in sorted(set(actual) | set(wanted), key=str)
             if actual.get(key, 0) != wanted.get(key, 0)]
    if lines:
        raise AssertionError(f"{who} counted wrongly:\n" + "\n".join(lines))


def assert_exact(page, service, counts):
    """The page has these (method, path, status) -> n of the service, nothing else, and no loss."""
    __tracebackhide__ = True
    assert_same(page.counts(service), expected(counts), _bittern(page))
    assert not page.losses(), page.losses()


def assert_exact_or_lost(page, service, counts):
    """Never a wrong line: what is missing was counted as a loss."""
    __tracebackhide__ = True
    counted, wanted = page.counts(service), expected(counts)
    assert_same(counted | wanted, wanted, f"{_bittern(page)}, too much,")
    if not page.losses():
        assert_same(counted, wanted, f"{_bittern(page)}, no loss told,")


def _bittern(page):
    return f"bittern (losses {page.losses()}, services {page.services()})"
