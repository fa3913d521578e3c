"""What the buffer keeps of commands: each id once, in the order in which they came, through damage."""

from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.model import Command, CommandResult

AT = 1_790_000_000_000


def restart(command_id: str) -> Command:
    return Command(command_id, "RESTART", AT)


@pytest.mark.P8
async def test_each_id_is_taken_once_and_they_wait_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    assert await buffer.commands.keep([restart("b"), restart("a"), restart("b")], AT) == ["b", "a"]
    assert await buffer.commands.keep([restart("a"), restart("c")], AT - 9_000_000) == ["c"], "the clock was set back"
    await buffer.close()
    buffer = await Buffer.open(tmp_path / "buffer.db")
    assert await buffer.commands.waiting() == [restart("b"), restart("a"), restart("c")]
    await buffer.close()


@pytest.mark.P8
async def test_what_was_begun_ended_or_told_does_not_begin_again(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    commands = buffer.commands
    await commands.keep([restart("a"), restart("b")], AT)
    assert [await commands.start("a", AT) for _ in range(2)] == [True, False]
    await commands.end(restart("a"), "done", "so", AT)
    assert not await commands.start("a", AT)
    assert await commands.untold() == [CommandResult("a", "done", "so")]
    await commands.told([CommandResult("a", "done", "so")])
    assert await commands.untold() == []
    assert await commands.keep([restart("a")], AT) == []
    assert not await commands.start("a", AT)
    assert await commands.waiting() == [restart("b")]
    await buffer.close()


@pytest.mark.P8
async def test_what_was_cut_off_is_unknown_but_for_what_somebody_else_ends(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    commands = buffer.commands
    await commands.keep([restart(name) for name in "abc"], AT)
    await commands.start("a", AT)
    await commands.start("b", AT)
    await commands.cut_off("cut off", AT, pending="b")
    assert await commands.untold() == [CommandResult("a", "unknown", "cut off")]
    for name in "abc":
        await commands.end_later(name, "done", "by a trial", AT + 1)
    assert [(end.id, end.state) for end in await commands.untold()] == [("a", "unknown"), ("b", "done")]
    await buffer.close()


async def test_only_so_many_are_known_and_none_that_has_something_left_to_do(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    commands = buffer.commands
    commands.known_max = 3
    for n in range(10):
        await commands.keep([restart(f"c{n}")], AT)
        if n != 2:
            await commands.end(restart(f"c{n}"), "done", "", AT)
            await commands.told(await commands.untold())
    assert await commands.waiting() == [restart("c2")]
    assert await commands.keep([restart("c8"), restart("c9")], AT) == []
    assert await commands.keep([restart("c1")], AT) == ["c1"]
    await buffer.close()


@pytest.mark.P8
async def test_a_damaged_file_is_no_reason_to_execute_anything_again(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    await buffer.commands.keep([restart("a"), restart("b")], AT)
    await buffer.commands.start("a", AT)
    await buffer.commands.end(restart("a"), "done", "so", AT)
    buffer._database.damage = "as the check finds it"
    await buffer.heal()
    while buffer._repair.carrying:
        await buffer.upkeep.round()
    assert await buffer.commands.keep([restart("a")], AT) == []
    assert await buffer.commands.waiting() == [restart("b")]
    await buffer.close()
