"""Each status that a hub answers with, from a hub that really does: what is wrong stays behind, the rest goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.model import Event, Record
from gateway.core.span import Span
from sync import wire
from sync.edge import spans as span_math
from sync.hub.intake.door import Door, Refused
from tests.sync.parts import SECRET, Hub, Instead, site, synced, syncing, until
from tests.values import METER, meter, power


class Strict(Door):
    """Another maker's door: it refuses a batch for one record or event that it does not like, and says only so."""

    def __init__(self, hub: Hub, status: int, dislikes: Callable[[list[int]], bool]) -> None:
        """`dislikes` gets the times of what a batch holds."""
        super().__init__(hub.store, SystemClock())
        self._status = status
        self._dislikes = dislikes

    async def take(self, node: str, batch_type: str, cursor_text: str, body: bytes) -> wire.Answer:
        if self._dislikes(times(batch_type, body)):
            raise Refused(self._status, "not like this")
        return await super().take(node, batch_type, cursor_text, body)


def times(batch_type: str, body: bytes) -> list[int]:
    if batch_type == "records":
        packs = msgspec.msgpack.decode(body, type=wire.Records).packs
        return [record.ts for pack in packs for record in codec.decode(pack)]
    if batch_type == "events":
        return [event.ts for event in msgspec.msgpack.decode(body, type=wire.Events).events]
    return []


@asynccontextmanager
async def strict(folder: Path, status: int, dislikes: Callable[[list[int]], bool]) -> AsyncIterator[tuple[Buffer, Hub]]:
    async with site(folder) as (buffer, hub):
        hub.admit(Strict(hub, status, dislikes))
        yield buffer, hub


async def reasons(buffer: Buffer) -> dict[int, str]:
    return {entry.ts: entry.reason for entry in await buffer.quarantine.entries(100)}


@pytest.mark.P2
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("sealed", [False, True], ids=["frames", "blocks"])
async def test_the_one_record_that_a_hub_refuses_goes_into_quarantine_and_all_others_arrive(
    tmp_path: Path, status: int, sealed: bool
) -> None:
    bad = {17, 18, 71}
    async with strict(tmp_path, status, lambda found: bool(bad & set(found))) as (buffer, hub):
        for start in range(0, 100, 20):
            buffer.put(METER, [power(ms) for ms in range(start, start + 20)])
            await buffer.flushed()
        if sealed:
            await buffer.sealing.seal()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            assert engine.state().quarantined == 3
        assert await hub.times() == sorted(set(range(100)) - bad)
        assert set(await reasons(buffer)) == bad
        assert "not like this" in (await reasons(buffer))[17]
        assert len(hub.batches) < 60, "halving, not one by one"


async def test_the_one_event_that_a_hub_refuses_goes_into_quarantine_and_all_others_arrive(tmp_path: Path) -> None:
    async with strict(tmp_path, 400, lambda found: 33 in found) as (buffer, hub):
        for ms in range(50):
            buffer.put_event(Event(ms, "noted"))
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await until(lambda: engine.state().streams[1].head > 0 and not engine.state().streams[1].backlog)
        assert {event.ts for event in await hub.store.events("node", 100)} == set(range(50)) - {33}
        assert set(await reasons(buffer)) == {33}


async def test_a_hub_that_refuses_even_an_empty_batch_puts_nothing_into_quarantine(tmp_path: Path) -> None:
    async with strict(tmp_path, 400, lambda _: True) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(10)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await until(lambda: "every batch" in engine.state().streams[0].error)
            assert engine.state().quarantined == 0
            assert engine.state().backlog == 10
            hub.admit(hub.door)
            await synced(engine, buffer)
        assert await hub.times() == list(range(10))


async def test_a_hub_that_refuses_whatever_is_in_a_batch_does_not_empty_the_buffer_into_quarantine(
    tmp_path: Path,
) -> None:
    async with strict(tmp_path, 400, bool) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(100)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await until(lambda: "every batch" in engine.state().streams[0].error)
            assert engine.state().quarantined == 20
            assert engine.state().backlog == 80


@pytest.mark.parametrize("sealed", [False, True], ids=["frames", "blocks"])
async def test_a_batch_that_is_too_large_is_halved_until_it_fits_and_grows_again(tmp_path: Path, sealed: bool) -> None:
    sizes: list[int] = []

    def too_many(found: list[int]) -> bool:
        sizes.append(len(found))
        return len(found) > 60

    async with strict(tmp_path, 413, too_many) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(1000)])
        await buffer.flushed()
        if sealed:
            await buffer.sealing.seal()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert await hub.times() == list(range(1000))
        taken = [size for size in sizes if 0 < size <= 60]
        assert taken[0] < max(taken)
        assert await reasons(buffer) == {}


async def test_a_single_record_that_is_too_large_goes_into_quarantine(tmp_path: Path) -> None:
    async with strict(tmp_path, 413, lambda found: 5 in found) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(10)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert await hub.times() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        assert set(await reasons(buffer)) == {5}


async def test_a_record_that_the_hub_names_goes_into_quarantine_with_its_reason(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        beyond = Record(METER.id, 1 << 60, power(1).row)
        buffer.put(METER, [power(1), beyond, power(2)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert await hub.times() == [1, 2]
        (entry,) = await buffer.quarantine.entries(10)
        assert (entry.seq, entry.ts, entry.content) == (1, 1 << 60, msgspec.structs.replace(beyond, seq=1))
        assert "no time" in entry.reason


async def test_an_event_that_the_hub_names_goes_into_quarantine_and_not_the_record_of_its_seq(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(1), power(2)])
        for event in (Event(1, "noted"), Event(1 << 60, "noted")):
            buffer.put_event(event)
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            await until(lambda: engine.state().streams[1].head > 0 and not engine.state().streams[1].backlog)
        assert await hub.times() == [1, 2]
        assert [(entry.kind, entry.seq) for entry in await buffer.quarantine.entries(10)] == [("events", 1)]


async def test_what_is_sent_again_leaves_the_quarantine_once_the_hub_has_it(tmp_path: Path) -> None:
    bad = {3}
    async with strict(tmp_path, 400, lambda found: bool(bad & set(found))) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(10)])
        buffer.put_event(Event(3, "noted"))
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await until(lambda: buffer.quarantine.count == 2)
            await buffer.quarantine.resend()
            while any(entry.again for entry in await buffer.quarantine.entries(10)):  # refused once more
                await asyncio.sleep(0)
            assert buffer.quarantine.count == 2
            bad.clear()
            await buffer.quarantine.resend()
            await until(lambda: buffer.quarantine.count == 0)
            await synced(engine, buffer)
        assert await hub.times() == list(range(10))
        assert [event.ts for event in await hub.store.events("node", 10)] == [3]


async def test_what_is_sent_again_leaves_the_quarantine_where_the_hubs_word_comes_after_the_delivery(
    tmp_path: Path,
) -> None:
    """As over AMQP."""
    late: list[wire.Answer] = []
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(1), power(2)])
        buffer.put_event(Event(1, "noted"))
        await buffer.flushed()
        refused = [(msgspec.structs.replace(power(2), seq=1), "why"), (Event(1, "noted", seq=0), "why")]
        await buffer.quarantine.add(buffer.epoch, refused, 1)
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            await until(lambda: engine.state().streams[1].head > 0 and not engine.state().streams[1].backlog)
            take = hub.door.take

            async def deliver(node: str, batch_type: str, cursor: str, body: bytes) -> wire.Answer:
                answer = await take(node, batch_type, cursor, body)
                late.append(msgspec.structs.replace(answer, type=batch_type))
                return wire.Answer(cursor)

            hub.admit(Instead(deliver))
            await buffer.quarantine.resend()
            await until(lambda: len(late) == 2)
            while any(entry.again for entry in await buffer.quarantine.entries(10)):
                await asyncio.sleep(0)
            assert all("not said" in reason for reason in (await reasons(buffer)).values())
            for answer in late:
                assert answer.cursor.endswith(("1-1", "0-0")), "of no span: those are always answered"
                await engine._link._heard(answer)
            assert buffer.quarantine.count == 0


async def test_entries_that_cannot_be_sent_again_do_not_keep_the_others_in_quarantine(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        strange = [msgspec.structs.replace(power(n), layout_id=b"unknown!", seq=n) for n in range(150)]
        lost = msgspec.structs.replace(power(150), seq=150)
        buffer.put(METER, [power(1)])
        await buffer.flushed()
        await buffer.quarantine.add(buffer.epoch, [(one, "why") for one in [*strange, lost]], 1)
        await buffer.quarantine.resend()
        async with syncing(buffer, hub) as engine:
            await until(lambda: buffer.quarantine.count == 150)
            await synced(engine, buffer)
        assert await hub.times() == [1, 150]


@pytest.mark.P11
async def test_a_wrong_secret_is_said_in_plain_words_and_all_arrives_once_it_is_right(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        hub.listed.secrets["node"] = digest("quite another secret")
        buffer.put(METER, [power(1)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await until(lambda: "secret" in engine.state().error)
            assert not engine.state().connected
            hub.listed.secrets["node"] = digest(SECRET)
            await synced(engine, buffer)
            assert (engine.state().connected, engine.state().error) == (True, "")
        assert await hub.times() == [1]


async def test_what_a_hub_refuses_after_it_was_delivered_is_divided_down_to_the_bad_one(tmp_path: Path) -> None:
    """As over AMQP, where the answer comes long after the broker has confirmed."""
    bad = 37
    async with site(tmp_path) as (buffer, hub):
        for ms in range(0, 100, 10):
            buffer.put(METER, [power(number) for number in range(ms, ms + 10)])
            await buffer.flushed()
        await buffer.sealing.seal()
        seen: list[set[int]] = []
        take = hub.door.take
        late: list[wire.Answer] = []

        async def confirm(node: str, batch_type: str, cursor: str, body: bytes) -> wire.Answer:
            found = set(times(batch_type, body))
            if bad in found:
                seen.append(found)
                late.append(wire.Answer(cursor, error="not like this", type=batch_type))
                return wire.Answer(cursor)
            return await take(node, batch_type, cursor, body)

        hub.admit(Instead(confirm))
        async with syncing(buffer, hub) as engine:
            while not buffer.quarantine.count:
                await synced(engine, buffer)
                while late:
                    await engine._link._heard(late.pop())
            await synced(engine, buffer)
        assert await hub.times() == sorted(set(range(100)) - {bad})
        assert set(await reasons(buffer)) == {bad}
        assert len(seen) < 12


@pytest.mark.P1
async def test_a_hub_that_refuses_whatever_is_delivered_is_left_in_peace_before_all_is_in_quarantine(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(number) for number in range(200)])
        await buffer.flushed()
        take, late = hub.door.take, list[wire.Answer]()

        async def confirm(node: str, batch_type: str, cursor: str, body: bytes) -> wire.Answer:
            if times(batch_type, body):
                late.append(wire.Answer(cursor, error="of a release that I do not know", type=batch_type))
                return wire.Answer(cursor)
            return await take(node, batch_type, cursor, body)

        hub.admit(Instead(confirm))
        async with syncing(buffer, hub) as engine:
            while "refuses every batch: of a release" not in engine.state().error:
                await asyncio.sleep(0)
                while late:
                    await engine._link._heard(late.pop())
            assert buffer.quarantine.count == 20
            assert engine.state().backlog > 0
        unsent = span_math.restored(await buffer.spans("records"), buffer.head)
        condemned = set(await reasons(buffer))
        on_the_way = [wire.parse_cursor(answer.cursor) for answer in late]
        left = {seq for span in (*unsent, *on_the_way) for seq in range(span.lo, span.hi)}
        assert left | condemned == set(range(200))


@pytest.mark.P1
@pytest.mark.parametrize("counts", [(40, 40), (1, 40), (1, 1)], ids=str)
@pytest.mark.parametrize("late", [False, True], ids=["refused", "refused later"])
async def test_a_block_that_a_disk_has_spoilt_costs_its_own_records_alone(
    tmp_path: Path, counts: tuple[int, int], late: bool
) -> None:
    sound, spoilt = counts
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(sound)])
        buffer.put(meter("other"), [power(ms, layout=meter("other")) for ms in range(spoilt)])
        await buffer.flushed()
        await buffer.sealing.seal()
        async with buffer._database.transaction() as db:
            await db.execute("UPDATE block SET bytes = substr(bytes, 1, 30) WHERE layout <> ?", (METER.id,))
        take = hub.door.take
        said: list[wire.Answer] = []

        async def confirm(node: str, batch_type: str, cursor: str, body: bytes) -> wire.Answer:
            try:
                return await take(node, batch_type, cursor, body)
            except Refused as refused:
                if refused.wanted or not late:
                    raise
                said.append(wire.Answer(cursor, error=str(refused), type=batch_type))
                return wire.Answer(cursor)

        hub.admit(Instead(confirm))
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            while said:
                await engine._link._heard(said.pop())
                await synced(engine, buffer)
        assert await hub.times() == list(range(sound))
        assert not buffer.quarantine.count


async def test_layouts_that_the_hub_asks_for_by_itself_are_sent(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), syncing(buffer, hub) as engine:
        buffer.put(METER, [power(1)])
        await buffer.flushed()
        await synced(engine, buffer)
        asked = len([batch for batch in hub.batches if batch.startswith("layouts")])
        await engine._link._heard(wire.Answer("", wanted=[METER.id.hex()]))
        await until(lambda: len([batch for batch in hub.batches if batch.startswith("layouts")]) == asked + 1)


@pytest.mark.P2
async def test_a_layout_that_is_gone_holds_up_no_other_that_the_hub_asks_for(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), syncing(buffer, hub) as engine:
        buffer.put(METER, [power(1)])
        await buffer.flushed()
        await synced(engine, buffer)
        hub.batches.clear()
        await engine._link._heard(wire.Answer("", wanted=["0" * 16, METER.id.hex()]))
        await until(lambda: "layouts 0-1" in hub.batches)


async def test_only_the_hub_itself_can_ask_for_layouts(tmp_path: Path) -> None:
    def stranger(cursor: str, wanted: list[str]) -> Callable[[], web.Response]:
        return lambda: web.json_response({"cursor": cursor, "wanted": wanted}, status=409)

    async with site(tmp_path) as (buffer, hub):
        hub.spoil = [stranger("", ["no id"]), stranger("", ["0" * 16])] * 5
        async with syncing(buffer, hub) as engine:
            buffer.put(METER, [power(1)])
            await buffer.flushed()
            await synced(engine, buffer)
            assert not hub.spoil
            assert await hub.times() == [1]


@pytest.mark.P10
async def test_what_is_to_be_sent_again_is_sent_and_is_there_once(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), syncing(buffer, hub) as engine:
        buffer.put(METER, [power(ms) for ms in range(100)])
        buffer.put_event(Event(1, "noted"))
        await buffer.flushed()
        await synced(engine, buffer)
        before = len(hub.batches)
        engine.resend([Span(10, 50), Span(90, 90)])
        engine.resend_events([Span(0, 1)])
        assert engine.state().backlog == 40
        await synced(engine, buffer)
        await until(lambda: "events 0-1" in hub.batches[before:])
        assert await hub.times() == list(range(100))
        assert "records 10-50" in hub.batches[before:]
