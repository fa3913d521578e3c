"""What every store of the hub does with readings and events, on SQLite and on PostgreSQL alike."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.core.accounts import EVENTS, HOUR_MS, Account, of_events, of_records
from gateway.core.clock import SystemClock
from gateway.core.errors import StorageError
from gateway.core.model import BACKFILLED, Event, Layout, Point, Record
from sync import wire
from sync.hub.intake.compare import Compare
from sync.hub.intake.door import Door, Refused
from sync.hub.reading.devices import Devices, DevicesQuery
from sync.hub.store.contract import ONLINE_MS, Store
from sync.hub.web.rights import Caller, Grant, Role
from tests.hub.stores import audit, nodes, opened
from tests.values import METER, meter, power


@pytest.fixture
async def store(where: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(where, tmp_path) as store:
        yield store


def without_seq(records: list[Record]) -> list[tuple[int, int, bytes]]:
    return [(record.ts, record.flags, record.row) for record in records]


@pytest.mark.P2
async def test_a_record_is_kept_once_however_often_and_in_whatever_batches_it_comes(store: Store) -> None:
    await store.take_layouts([METER], audit())
    records = [power(ms) for ms in range(100)]
    first = await store.take_records(records[:60], audit())
    crossed = await store.take_records(records[40:] + records[40:50], audit())
    again = await store.take_records(records, audit())
    assert [(a.accepted, a.duplicate) for a in (first, crossed, again)] == [(60, 0), (40, 30), (0, 100)]
    assert without_seq(await store.records("node", METER.id)) == without_seq(records)


@pytest.mark.P3
async def test_records_come_back_by_time_whatever_order_they_came_in(store: Store) -> None:
    await store.take_layouts([METER], audit())
    late = Record(METER.id, 5, METER.rows.pack([None, 7]), BACKFILLED)
    await store.take_records([power(90), power(10)], audit())
    await store.take_records([late, power(50)], audit())
    assert without_seq(await store.records("node", METER.id)) == without_seq([late, power(10), power(50), power(90)])


@pytest.mark.P2
async def test_of_two_records_of_one_time_the_first_stays(store: Store) -> None:
    await store.take_layouts([METER], audit())
    taken = await store.take_records([power(7, 1), power(7, 2)], audit())
    later = await store.take_records([power(7, 3)], audit())
    assert (taken.accepted, later.accepted) == (1, 0)
    assert without_seq(await store.records("node", METER.id)) == without_seq([power(7, 1)])


@pytest.mark.P2
async def test_batches_of_one_node_that_cross_at_once_are_kept_once(store: Store) -> None:
    await store.take_layouts([METER], audit())
    records = [power(ms) for ms in range(400)]
    batches = [records[lo : lo + 100] for lo in range(0, 400, 50)]
    taken = await asyncio.gather(*(store.take_records(batch, audit()) for batch in [*batches, *reversed(batches)]))
    assert sum(one.accepted for one in taken) == 400
    assert len(await store.records("node", METER.id)) == 400
    assert (await nodes(store, 1000))[0].records == 400


@pytest.mark.P11
async def test_two_nodes_with_the_same_layout_do_not_see_each_other(store: Store) -> None:
    await store.take_layouts([METER], audit("north"))
    await store.take_layouts([METER], audit("south"))
    await store.take_records([power(1)], audit("north"))
    await store.take_records([power(2)], audit("south"))
    assert [r.ts for r in await store.records("north", METER.id)] == [1]
    assert [r.ts for r in await store.records("south", METER.id)] == [2]
    assert await store.row_size("east", METER.id) is None


async def test_a_layout_that_came_before_is_a_duplicate(store: Store) -> None:
    assert await store.row_size("node", METER.id) is None
    first = await store.take_layouts([METER], audit())
    second = await store.take_layouts([METER, meter("other")], audit())
    assert [(a.accepted, a.duplicate) for a in (first, second)] == [(1, 0), (1, 1)]
    assert await store.row_size("node", METER.id) == METER.rows.size
    assert await store.layouts("node") == [METER, meter("other")]


@pytest.mark.P2
async def test_an_event_is_kept_once_and_another_at_its_seq_too(store: Store) -> None:
    events = [Event(ts, "device_offline", "meter", f"at {ts}", ts) for ts in range(3)]
    other = Event(77, "gateway_started", seq=1)
    first = await store.take_events(events, "0" * 16, audit())
    again = await store.take_events([*events, other], "0" * 16, audit())
    assert (first.accepted, again.accepted, again.duplicate) == (3, 1, 3)
    assert await store.events("node", 2) == [other, events[2]]


async def test_events_keep_every_word_but_what_no_text_can_hold(store: Store) -> None:
    await store.take_events([Event(1, "said", "Zähler", "a \U0001f600\n'; DROP TABLE event", 0)], "0" * 16, audit())
    taken = await store.take_events([Event(2, "said", "", "nothing\0more", 1)], "0" * 16, audit())
    assert taken.accepted == 1
    newest, oldest = await store.events("node", 9)
    assert oldest == Event(1, "said", "Zähler", "a \U0001f600\n'; DROP TABLE event", 0)
    assert newest.detail.startswith("nothing")


async def test_the_largest_times_and_numbers_are_kept(store: Store) -> None:
    await store.take_layouts([METER], audit())
    await store.take_records([power((1 << 53) - 1, (1 << 32) - 1)], audit(at=(1 << 53) - 1))
    await store.take_events([Event(-(1 << 63), "x", seq=(1 << 62) - 1)], "f" * 16, audit())
    assert [record.ts for record in await store.records("node", METER.id)] == [(1 << 53) - 1]
    assert (await store.events("node", 1))[0].ts == -(1 << 63)


async def test_an_event_that_no_store_can_hold_is_rejected_and_the_rest_is_kept(store: Store) -> None:
    events = [
        Event(1, "good", seq=0),
        Event(1 << 63, "late", seq=1),
        Event(-1, "early", seq=2),
        Event(1, "odd", seq=-1),
    ]
    body = msgspec.msgpack.encode(wire.Events(events))
    answer = await Door(store, SystemClock()).take("node", "events", "0123456789abcdef:0-3", body)
    assert (answer.accepted, [one.seq for one in answer.rejected]) == (1, [1, 2, -1])
    assert await store.events("node", 9) == events[:1]


async def test_nodes_show_the_newest_values_of_each_device(store: Store) -> None:
    await store.take_layouts([METER, meter("second")], audit("node"))
    await store.take_records([power(5000, 42), power(1000, 7)], audit("node", at=6000))
    await store.take_events([], "0" * 16, audit("quiet", at=100))
    node, quiet = await nodes(store, 6000 + ONLINE_MS - 1)
    assert (node.id, node.online, node.newest, node.records) == ("node", True, 5000, 2)
    assert [(d.name, d.ts, d.readings[0].value) for d in node.devices] == [("meter", 5000, 42)]
    assert (quiet.id, quiet.online, quiet.newest, quiet.lag_ms) == ("quiet", False, 0, None)


async def test_an_empty_batch_is_a_sign_of_life(store: Store) -> None:
    taken = await store.take_records([], audit(at=5000))
    assert (taken.accepted, taken.duplicate) == (0, 0)
    assert (await nodes(store, 5001))[0].online


async def test_a_batch_that_was_not_taken_leaves_its_note_whatever_it_says(store: Store) -> None:
    await store.note(audit("stranger", "\0odd"))
    assert await nodes(store, 0) == []


@pytest.mark.P1
async def test_all_is_there_when_the_store_is_opened_again(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        await store.take_records([power(1), power(2)], audit())
    async with opened(where, tmp_path) as store:
        assert await store.layouts("node") == [METER]
        assert (await store.take_records([power(2), power(3)], audit())).accepted == 1
        assert len(await store.records("node", METER.id)) == 3


@pytest.mark.P10
async def test_accounts_are_counted_from_the_rows_as_the_gateway_counts_its_own(store: Store) -> None:
    solar = meter("solar")
    await store.take_layouts([METER, solar], audit())
    hours = {0: [power(ms) for ms in range(500)], HOUR_MS: [power(HOUR_MS, 1), power(2 * HOUR_MS - 1, 1)]}
    await store.take_records([*hours[0], *hours[HOUR_MS], power(7, layout=solar)], audit())
    wanted = [(METER.id, HOUR_MS), (solar.id, HOUR_MS), (METER.id, 0), (b"unknown!", 0)]
    ours = [Account(len(hours[ms]), of_records((r.ts, r.row) for r in hours[ms])) for ms in (HOUR_MS, 0)]
    assert await store.accounts("node", wanted) == [ours[0], Account(0, 0), ours[1], Account(0, 0)]
    assert await store.accounts("another", wanted[:1]) == [Account(0, 0)]
    assert await store.accounts("node", []) == []


@pytest.mark.P10
async def test_events_are_counted_by_buffer_and_hour(store: Store) -> None:
    events = [Event(5, "first", seq=0), Event(HOUR_MS, "second", "meter", "words", seq=1)]
    await store.take_events(events, "0" * 16, audit())
    await store.take_events(events, "1" * 16, audit())
    assert await store.event_accounts("node", "0" * 16, [HOUR_MS, 9 * HOUR_MS, 0]) == [
        of_events(events[1:]), Account(0, 0), of_events(events[:1])
    ]  # fmt: skip


async def test_a_layout_of_any_scale_is_kept_with_its_records(store: Store) -> None:
    large = Layout("m", "live", (Point("a", "f64", scale="9" * 95 + "e99", offset="0." + "0" * 90 + "1e-99"),))
    await store.take_layouts([large], audit())
    await store.take_records([Record(large.id, 5, large.rows.pack([1.5]), seq=1)], audit())
    assert await store.layouts("node") == [large]
    assert len(await store.records("node", large.id)) == 1


@pytest.mark.parametrize("hour", [1 << 53, (1 << 63) - 1, (1 << 64) - 1, -(1 << 53) - 1])
@pytest.mark.parametrize("layout", [EVENTS, METER.id])
async def test_hours_that_no_store_can_look_for_are_the_senders_fault(store: Store, layout: bytes, hour: int) -> None:
    await store.take_layouts([METER], audit())
    body = msgspec.msgpack.encode({"hours": [[layout.hex(), hour, 1, 1]]})
    door = Door(store, SystemClock())
    door.handlers["ledger"] = Compare(store, SystemClock()).handle
    with pytest.raises(Refused) as refused:
        await door.take("node", "ledger", "0123456789abcdef:0-1", body)
    assert refused.value.status == 400


async def test_a_record_from_the_future_is_kept_and_hides_nothing_that_is_measured_now(store: Store) -> None:
    now = 1_795_000_000_000
    await store.take_layouts([METER], audit(at=now))
    await store.take_records([power(now + 3650 * 86_400_000, 9)], audit(at=now))
    await store.take_records([power(now - 1000, 7)], audit(at=now))
    (node,) = await nodes(store, now)
    assert (node.newest, node.lag_ms, node.records) == (now - 1000, 1000, 2)
    assert [(device.ts, device.readings[0].value) for device in node.devices] == [(now - 1000, 7)]
    caller = Caller("root", (Grant(Role.VIEWER),))
    found = await Devices(store.sql).of(caller, DevicesQuery(), now)
    assert [device.newest for device in found.items] == [now - 1000]


async def test_events_are_kept_whatever_is_wrong_with_who_listens(store: Store) -> None:
    async def odd(node: str, events: Sequence[Event]) -> None:
        raise ValueError("no number")

    async def away(node: str, events: Sequence[Event]) -> None:
        raise StorageError("the disk is full")

    door, body = Door(store, SystemClock()), msgspec.msgpack.encode(wire.Events([Event(1, "good", seq=0)]))
    door.listeners.append(odd)
    assert (await door.take("node", "events", "0123456789abcdef:0-0", body)).accepted == 1
    door.listeners.append(away)
    with pytest.raises(StorageError):
        await door.take("node", "events", "0123456789abcdef:0-0", body)
