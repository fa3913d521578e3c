"""What the engine says of itself: how far the hub has each stream, and what is in the way."""

from pathlib import Path

from gateway.core.credential import digest
from gateway.core.model import Event
from tests.sync.parts import SECRET, site, synced, syncing, until
from tests.values import METER, power


async def test_each_stream_says_how_far_it_is_and_from_when_on_something_is_missing_at_the_hub(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        hub.listed.secrets["node"] = digest("quite another secret")
        buffer.put(METER, [power(ms) for ms in range(1000, 1100)])
        buffer.put_event(Event(500, "noted"))
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await until(lambda: all(stream.error for stream in engine.state().streams))
            records, events = engine.state().streams
            assert (records.head, records.backlog, records.oldest, records.newest_sent) == (100, 100, 1000, 0)
            assert (events.head, events.backlog, events.oldest) == (1, 1, 500)
            assert engine.state().bytes_today > 0
            hub.listed.secrets["node"] = digest(SECRET)
            await synced(engine, buffer)
            await until(lambda: not engine.state().streams[1].backlog)
            records, events = engine.state().streams
            assert (records.backlog, records.oldest, records.newest_sent, records.error) == (0, 0, 1099, "")
            assert records.per_s > 0
            assert records.done_s == 0
            assert (events.backlog, events.newest_sent, events.error) == (0, 500, "")
            hub.listed.secrets.clear()
            buffer.put(METER, [power(ms) for ms in range(2000, 2100)])
            buffer.put_event(Event(600, "noted"))
            await buffer.flushed()
            await until(lambda: all(stream.backlog and stream.error for stream in engine.state().streams))
            assert [stream.done_s for stream in engine.state().streams] == [None, None], "nothing moves"
            assert engine.state().streams[0].per_s > 0, "it did, in the last minute"


async def test_how_much_waits_is_known_before_anything_was_sent(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(1000, 1100)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        async with syncing(buffer, hub) as engine:  # as a first heartbeat does, which may be quicker than both lanes
            await engine.restored()
            assert engine.state().backlog == 0


async def test_the_oldest_that_is_missing_is_found_in_blocks_too(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, _):
        buffer.put(METER, [power(ms) for ms in range(1000, 1100)])
        await buffer.flushed()
        await buffer.sealing.seal()
        buffer.put(METER, [power(2000)])
        await buffer.flushed()
        assert [await buffer.measured_at(seq) for seq in (0, 99, 100, 101)] == [1000, 1000, 2000, 0]
