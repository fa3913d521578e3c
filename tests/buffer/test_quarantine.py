"""What the hub refuses for good."""

from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.core.model import Event
from tests.values import power

EPOCH = "0123456789abcdef"


async def test_what_was_refused_is_kept_with_its_reason_over_a_restart(tmp_path: Path) -> None:
    record, event = power(-5, 7), Event(3, "noted", seq=9)
    buffer = await Buffer.open(tmp_path / "buffer.db")
    await buffer.quarantine.add(EPOCH, [(record, "no time"), (event, "no kind")], 1000)
    await buffer.close()
    again = await Buffer.open(tmp_path / "buffer.db")
    assert again.quarantine.count == 2
    newest, oldest = await again.quarantine.entries(10)
    assert (newest.kind, newest.seq, newest.reason, newest.content) == ("events", 9, "no kind", event)
    assert (oldest.kind, oldest.ts, oldest.reason, oldest.content) == ("records", -5, "no time", record)
    await again.close()


async def test_only_what_somebody_asked_for_is_to_be_sent_again_and_refused_once_more_it_stays(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    quarantine = buffer.quarantine
    events = [Event(1, "noted", seq=seq) for seq in range(3)]
    await quarantine.add(EPOCH, [(event, "no") for event in events], 1000)
    ids = [entry.id for entry in await quarantine.entries(10)]
    await quarantine.resend(ids[:2])
    assert [entry.seq for entry in await quarantine.wanted("events", 10)] == [1, 2]
    assert await quarantine.wanted("records", 10) == []
    await quarantine.add(EPOCH, [(events[2], "still no")], 2000)
    assert [entry.seq for entry in await quarantine.wanted("events", 10)] == [1]
    await quarantine.drop([ids[1]])
    assert [(entry.seq, entry.reason) for entry in await quarantine.entries(10)] == [(2, "still no"), (0, "no")]
    assert quarantine.count == 2
    await buffer.close()
