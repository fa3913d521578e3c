"""Which seqs hold the records of a time."""

import sqlite3

from gateway.core.span import Span

SEGMENTS = """SELECT lo, hi FROM segment
    WHERE EXISTS (SELECT 1 FROM block WHERE block.segment = segment.lo AND ts_max >= ? AND ts_min < ?) ORDER BY lo"""
TAIL = "SELECT lo, hi FROM frame ORDER BY lo"


def spans_between(connection: sqlite3.Connection, since_ms: int, until_ms: int) -> list[Span]:
    """All records measured from `since_ms` up to `until_ms` are in these, and others are, too.

    What is sealed goes in whole segments, minutes of taking each; what is not sealed yet goes whole.
    """
    sealed = [Span(lo, hi) for lo, hi in connection.execute(SEGMENTS, (since_ms, until_ms))]
    return sealed + [Span(lo, hi) for lo, hi in connection.execute(TAIL)]
