"""Small values for tests."""

import base64

from gateway.core.model import Layout, Point, Record

METER = Layout("meter", "live", (Point("power", "u32", unit="W"), Point("voltage", "u16", unit="V", scale="0.1")))


def power(seq_or_ms: int, watts: int | None = None, *, layout: Layout = METER) -> Record:
    """One record of the meter at `seq_or_ms`; its power is that number unless given."""
    return Record(layout.id, seq_or_ms, layout.rows.pack([seq_or_ms if watts is None else watts, 2300]))


def meter(name: str) -> Layout:
    """A meter's layout under another device name."""
    return Layout(name, "live", METER.points)


def password(secret: str) -> dict[str, str]:
    """The header by which a browser gives a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"owner:{secret}".encode()).decode()}
