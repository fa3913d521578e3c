"""Whether hub and gateway hold the same, to the last bit: records, events, layouts."""

from collections import Counter

from gateway.buffer.buffer import Buffer
from gateway.core.model import Event, Record
from gateway.core.span import Span
from sync.hub.store.sqlite import SqliteStore
from tests.stored import everything

MANY = 1 << 40


async def assert_same(buffer: Buffer, store: SqliteStore, node: str = "node") -> None:
    """Each record, event and layout of the gateway is at the hub once, and the hub has no other."""
    kept = await everything(buffer)
    assert [record.seq for record in kept] == list(range(buffer.head))
    layouts = await store.layouts(node)
    assert {layout.id for layout in layouts} == {record.layout_id for record in kept}
    at_hub = [record for layout in layouts for record in await store.records(node, layout.id)]
    assert_equal(Counter(map(_record, kept)), Counter(map(_record, at_hub)))
    events = await buffer.read_events(Span(0, MANY), MANY)
    assert_equal(Counter(map(_event, events)), Counter(map(_event, await store.events(node, MANY))))


def assert_equal(kept: "Counter[tuple[object, ...]]", at_hub: "Counter[tuple[object, ...]]") -> None:
    lost, invented = kept - at_hub, at_hub - kept
    assert not lost, f"{lost.total()} of {kept.total()} are not at the hub, as {next(iter(lost))}"
    assert not invented, f"{invented.total()} at the hub that the gateway never had, as {next(iter(invented))}"


def _record(record: Record) -> tuple[object, ...]:
    return record.layout_id, record.ts, record.flags, record.row


def _event(event: Event) -> tuple[object, ...]:
    return event.seq, event.ts, event.kind, event.device, event.detail
