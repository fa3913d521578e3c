"""A hub with something on each of its pages, as of now: what browsers are shown."""

from math import sin

import msgspec

from gateway.core.accounts import of_records
from gateway.core.clock import SystemClock
from gateway.core.model import Command, Event, Layout, Point, Record
from gateway.core.rollup import HOUR_MS
from sync import wire
from sync.hub.alerts.causes import Cause
from sync.hub.alerts.standing import Begin
from sync.hub.alerts.store import Alerts
from sync.hub.intake.compare import Compare
from sync.hub.store.commandstore import Beat
from sync.hub.store.contract import Audit, Store
from tests.hub.places import put_node, put_site
from tests.hub.stores import audit

METER = Layout(
    "meter", "live",
    (
        Point("power", "i32", unit="W", quantity="power"),
        Point("voltage", "u16", unit="V", scale="0.1", quantity="voltage"),
        Point("current", "u16", unit="A", scale="0.01", quantity="current"),
        Point("mode", "u16", kind="enum", names={"1": "on <b>grid</b>"}),
    ),
    role="grid",
)  # fmt: skip
PV = Layout("roof", "live", (Point("power", "u32", unit="W", quantity="power"),), role="pv")
MINUTE_MS = 60_000
ENROLLED = "UPDATE node SET hardware = $1 WHERE id = $2"
HARDWARE = b'{"serial":"RPI-4711","mac":"dc:a6:32:00:00:01","version":"1.0","at":1795000000000}'


def measured(layout: Layout, ts: int) -> Record:
    watts = int(2000 + 1500 * sin(ts / 3.6e6))
    row = [watts, 2300 + watts // 100, 870, 1] if layout is METER else [watts]
    return Record(layout.id, ts, layout.rows.pack(row))


def minutely(now: int, hours: int) -> list[int]:
    """The minutes of the last `hours`, without the fifth hour before now, and half of the seventh."""
    begin = now // HOUR_MS * HOUR_MS
    times = range(begin - hours * HOUR_MS, now, MINUTE_MS)
    return [ts for ts in times if not (-5 <= (ts - begin) / HOUR_MS < -4 or -7 <= (ts - begin) / HOUR_MS < -6.5)]


async def fill(store: Store, now: int, hours: int = 30) -> None:
    """A mill that is well known and has a gap, a farm that is silent, a dam that never came in."""
    for site in ("mill", "farm", "dam"):
        await put_site(store.sql, site, "north", f"The {site.title()}", "Europe/Warsaw")
    await put_node(store.sql, "dam-1", "dam")
    for node, at in (("mill-1", now), ("farm-1", now - 6 * HOUR_MS)):
        await store.take_layouts([METER, PV], audit(node, "layouts", at=at))
        for layout in (METER, PV):
            records = [measured(layout, ts) for ts in minutely(at, hours)]
            await store.take_records(records, audit(node, at=at))
        events = [
            Event(at - n * MINUTE_MS, "device_offline", "meter", '{"why":"<b>no answer</b>"}', n) for n in range(3)
        ]
        await store.take_events(events, "e", audit(node, "events", at=at))
        beat = wire.Heartbeat(
            "1.2.3", at, 1.0, "kernel", backlog=70, oldest=at - HOUR_MS, problems=("the clock is <wrong>",)
        )
        await store.control.beat(Beat(node, at, msgspec.json.encode(beat), 70, 1))
        await put_node(store.sql, node, node.removesuffix("-1"))
        async with store.sql.transaction() as db:
            await db.execute(ENROLLED, HARDWARE, node)
    await store.note(Audit(now, "mill-1", "records", "c", 10, error="a batch of <another> hub"))
    await store.take_records([measured(PV, minutely(now, 2)[0])], audit("mill-1", at=now))
    await Alerts(store.sql).change(
        [Begin("mill-1", Cause("clock", "", now - HOUR_MS, "7 min <b>fast</b>"))], "", "~", now
    )
    await store.control.order(
        "mill-1", Command("c1", "LEDGER", not_after=now + HOUR_MS, who="Ann", reason="to <see>"), now
    )
    await lacking(store, now)


def begin_of_lacking(now: int) -> int:
    return now // HOUR_MS * HOUR_MS - 7 * HOUR_MS


async def lacking(store: Store, now: int) -> None:
    """The mill says that it has all of the hour that the hub has half of."""
    begin = begin_of_lacking(now)
    rows = [measured(PV, ts) for ts in range(begin, begin + HOUR_MS, MINUTE_MS)]
    hour = wire.Hour(PV.id.hex(), begin, 60, of_records((one.ts, one.row) for one in rows))
    await Compare(store, SystemClock()).handle(
        "mill-1", wire.Cursor("0" * 16, 0, 1), msgspec.msgpack.encode(wire.Ledger([hour]))
    )
