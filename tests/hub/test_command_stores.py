"""What every store of the hub keeps of commands and heartbeats, on SQLite and on PostgreSQL alike."""

import asyncio

import pytest

from gateway.core.model import Command, CommandResult
from sync.hub.store.commandstore import Beat, CommandStore
from sync.hub.store.contract import Store
from tests.hub.stores import nodes

AT = 1_790_000_000_000


@pytest.fixture
def control(store: Store) -> CommandStore:
    return store.control


def restart(command_id: str, not_after: int = AT + 1000) -> Command:
    return Command(command_id, "RESTART", not_after, value=1.5, reason="a\0b \N{SNOWMAN}")


async def states(control: CommandStore) -> dict[str, str]:
    return {one.command.id: one.state for one in await control.commands("mill", 99)}


@pytest.mark.P8
async def test_an_order_is_kept_once_and_as_it_came(control: CommandStore) -> None:
    taken = await asyncio.gather(*(control.order("mill", restart("a"), AT + n) for n in range(5)))
    assert sorted(taken) == [False, False, False, False, True]
    assert not await control.order("farm", restart("a"), AT)
    found = await control.ordered("a")
    assert found is not None
    assert (found[0], found[1].command, found[1].state) == ("mill", restart("a"), "queued")
    assert await control.ordered("b") is None


async def test_what_is_queued_comes_oldest_first_and_the_list_newest_first(control: CommandStore) -> None:
    for n, name in enumerate(["b", "a", "c"]):
        await control.order("mill", restart(name), AT + n)
    assert [one.id for one in await control.queued("mill", AT, 2)] == ["b", "a"]
    assert [one.command.id for one in await control.commands("mill", 2)] == ["c", "a"]
    assert await control.queued("farm", AT, 9) == []


@pytest.mark.P8
async def test_what_is_too_late_expires_and_is_not_handed_out(control: CommandStore) -> None:
    await control.order("mill", restart("a", AT + 5), AT)
    await control.order("mill", restart("b", AT + 6), AT)
    assert [one.id for one in await control.queued("mill", AT + 6, 9)] == ["b"]
    assert await states(control) == {"a": "expired", "b": "queued"}


@pytest.mark.P8
@pytest.mark.P11
async def test_only_the_node_itself_takes_and_ends_its_commands_and_the_first_word_counts(
    control: CommandStore,
) -> None:
    for name in ("a", "b", "c"):
        await control.order("mill", restart(name), AT)
    await control.taken("farm", ["a"], AT)
    await control.ended("farm", [CommandResult("a", "done", "")], AT)
    await control.taken("mill", ["b", "nobody's\0"], AT)
    await control.ended("mill", [CommandResult("c", "failed", "so\0"), CommandResult("c", "done", "")], AT + 1)
    await control.taken("mill", ["c"], AT)
    assert await states(control) == {"a": "queued", "b": "taken", "c": "failed"}
    assert [one.id for one in await control.queued("mill", AT, 9)] == ["a"]
    found = await control.ordered("c")
    assert found is not None
    assert found[1].words.startswith("so")
    assert (found[1].created, found[1].changed) == (AT, AT + 1)


async def test_the_last_heartbeat_stays_and_the_node_was_seen(store: Store) -> None:
    for at in (AT, AT + 60_000):
        await store.control.beat(Beat("mill", at, str(at).encode()))
    await store.control.beat(Beat("farm", AT, b"{}"))
    assert sorted(await store.control.beats(), key=lambda beat: beat.node) == [
        Beat("farm", AT, b"{}"), Beat("mill", AT + 60_000, str(AT + 60_000).encode()),
    ]  # fmt: skip
    assert {node.id: node.last_seen for node in await nodes(store, AT)} == {"farm": AT, "mill": AT + 60_000}
