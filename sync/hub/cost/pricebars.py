"""A day's market prices as bars, ready to be drawn; pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from gateway.core.localtime import local
from gateway.core.wording import age_text
from sync.hub.prices.store import KeptPrice

HEIGHT = 100.0  # of the picture; its width is the day's minutes


def bars(name: str, kept: Sequence[KeptPrice], lo: int, hi: int, zone: ZoneInfo, now: int) -> Mapping[str, object]:
    """{name, words, width, height, zero, bars: [{x, y, width, height, title, now}]}; no bars, where there are none."""
    width = (hi - lo) / 60_000
    view: dict[str, object] = {"name": name, "width": f"{width:g}", "height": f"{HEIGHT:g}", "bars": []}
    if not kept:
        return view | {"words": f"No prices of {name} yet.", "zero": "0"}
    values = [one.price.value for one in kept]
    top, bottom = max(*values, Decimal(0)), min(*values, Decimal(0))
    scale = HEIGHT / (float(top - bottom) or 1.0)
    zero = float(top) * scale
    return view | {"words": _words(kept, zone, now), "zero": f"{zero:.2f}", "bars": [
        {
            "x": f"{(one.price.ts - lo) / 60_000:g}",
            "y": f"{zero - max(0.0, float(one.price.value)) * scale:.2f}",
            "width": f"{one.price.minutes * 0.85:g}",
            "height": f"{max(0.6, abs(float(one.price.value)) * scale):.2f}",
            "title": f"{_clock(one, zone)} {one.price.value:,.2f} {one.price.currency}/MWh",
            "now": one.price.ts <= now < one.price.ts + one.price.minutes * 60_000,
        }
        for one in kept
    ]}  # fmt: skip


def _words(kept: Sequence[KeptPrice], zone: ZoneInfo, now: int) -> str:
    least, most = (which(kept, key=lambda one: one.price.value) for which in (min, max))
    fetched = max(one.fetched for one in kept)
    said = [
        f"Lowest {least.price.value:,.2f} at {_clock(least, zone)}",
        f"highest {most.price.value:,.2f} at {_clock(most, zone)} {most.price.currency}/MWh",
    ]
    for one in kept:
        if one.price.ts <= now < one.price.ts + one.price.minutes * 60_000:
            said.insert(0, f"Now {one.price.value:,.2f}")
            said[1] = said[1].lower()
    return f"{', '.join(said)}. {kept[0].source}, fetched {age_text(now - fetched)} ago."


def _clock(one: KeptPrice, zone: ZoneInfo) -> str:
    return f"{local(one.price.ts, zone):%H:%M}"
