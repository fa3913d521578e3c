"""Commands from the hub's queue to their result, over real HTTP, whatever comes between (P8)."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web

from gateway.buffer.commands import Commands as Kept
from gateway.core.errors import HoldfastError, StorageError
from gateway.core.model import Command
from sync import wire
from sync.edge.commands import Outcome
from tests.hub.stores import nodes
from tests.sync.controlling import LATER, NOW, Site, come_to, command, controlled, states
from tests.sync.parts import site


async def test_a_command_comes_with_a_heartbeat_and_its_result_goes_back_as_an_event(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await hub.fleet.order("node", command("a", who="operator"))
        here = Site()
        async with controlled(buffer, hub, here):
            await come_to(hub.store, a="done")
            while not (told := [e for e in await hub.store.events("node", 9) if e.kind == "command_result"]):
                await asyncio.sleep(0)
        assert here.done == ["a"]
        assert [json.loads(event.detail) for event in told] == [{"id": "a", "state": "done", "words": "1 now"}]
        found = await hub.store.control.ordered("a")
        assert found is not None
        assert found[1].words == "1 now"


@pytest.mark.P8
async def test_a_command_that_comes_in_every_answer_and_from_every_side_is_executed_once(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        here, again = Site(), wire.Answer(cursor="", commands=[command("a"), command("a")])
        async with controlled(buffer, hub, here) as link:
            for _ in range(3):
                await link._heard(again)
            await hub.fleet.order("node", command("a"))
            await hub.fleet.order("node", command("b"))
            await link._heard(again)
            await link._heard(wire.Answer(cursor="", commands=[command("b")]))
            await come_to(hub.store, a="done", b="done")
            await link._heard(again)
        async with controlled(buffer, hub, here) as link:
            await link._heard(again)
            await hub.fleet.order("node", command("c"))
            await link._heard(wire.Answer(cursor="", commands=[command("c")]))
            await come_to(hub.store, c="done")
        assert here.done == ["a", "b", "c"]


@pytest.mark.P8
@pytest.mark.parametrize("trouble", ["lose the answer", lambda: web.Response(status=503)], ids=["lost answer", "503"])
async def test_a_command_is_executed_once_though_its_acknowledgement_is_lost(tmp_path: Path, trouble: str) -> None:
    async with site(tmp_path) as (buffer, hub):
        await hub.fleet.order("node", command("a"))
        hub.spoil = ["as it is", trouble, trouble, "as it is", trouble]
        here = Site()
        async with controlled(buffer, hub, here):
            await come_to(hub.store, a="done")
        assert len(hub.spoil) <= 1, "the last is for what may come together with what was before"
        assert here.done == ["a"]


@pytest.mark.P8
async def test_what_comes_too_late_is_refused_and_says_so(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        here = Site()
        here.wall = LATER + 1
        await hub.fleet.order("node", command("late"))
        async with controlled(buffer, hub, here):
            await come_to(hub.store, late="expired")
        assert here.done == []
        found = await hub.store.control.ordered("late")
        assert found is not None
        assert "came later" in found[1].words


@pytest.mark.P8
async def test_a_command_that_waited_too_long_on_the_site_is_not_executed_either(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await buffer.commands.keep([command("a"), command("b", not_after=LATER + 9)], NOW)  # and the process was killed
        await hub.fleet.order("node", command("a"))
        await hub.fleet.order("node", command("b"))
        here = Site()
        here.wall = LATER + 1
        async with controlled(buffer, hub, here):
            await come_to(hub.store, a="expired", b="done")
        assert here.done == ["b"]


@pytest.mark.P8
async def test_without_the_time_a_command_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        here = Site()
        here.known = False
        await hub.fleet.order("node", command("a"))
        async with controlled(buffer, hub, here, time_patience_s=0):
            await come_to(hub.store, a="failed")
        assert here.done == []


class FullOnce(Kept):
    """A disk that is full when the first command comes."""

    full = True

    async def keep(self, commands: Sequence[Command], now_ms: int) -> list[str]:
        if self.full:
            self.full = False
            raise StorageError("the disk is full")
        return await super().keep(commands, now_ms)


@pytest.mark.P8
async def test_what_the_disk_does_not_take_is_not_acknowledged_and_comes_again(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await hub.fleet.order("node", command("a"))
        here, buffer.commands = Site(), FullOnce(buffer._database)
        async with controlled(buffer, hub, here, every_s=0.01):
            await come_to(hub.store, a="done")
        assert not buffer.commands.full
        assert here.done == ["a"]


async def test_an_unknown_kind_is_refused_in_words(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await hub.fleet.order("node", command("a", "DANCE"))
        async with controlled(buffer, hub, Site()):
            await come_to(hub.store, a="failed")
        found = await hub.store.control.ordered("a")
        assert found is not None
        assert found[1].words == "this gateway does not know DANCE; it knows COUNT"


async def test_what_fails_says_why_and_the_next_one_is_executed(tmp_path: Path) -> None:
    async def fail(command: Command) -> Outcome:
        raise HoldfastError("the relay is stuck", hint="look at it")

    async with site(tmp_path) as (buffer, hub):
        here = Site()
        await hub.fleet.order("node", command("a", "FAIL"))
        await hub.fleet.order("node", command("b"))
        async with controlled(buffer, hub, here, {"FAIL": fail, "COUNT": here.count}):
            await come_to(hub.store, a="failed", b="done")
        found = await hub.store.control.ordered("a")
        assert found is not None
        assert found[1].words == "the relay is stuck; look at it"


@pytest.mark.P8
async def test_what_breaks_off_is_unknown_and_the_gateway_goes_on(tmp_path: Path) -> None:
    async def fail(command: Command) -> Outcome:
        raise OSError("File name too long")

    async with site(tmp_path) as (buffer, hub):
        here = Site()
        await hub.fleet.order("node", command("a", "FAIL"))
        await hub.fleet.order("node", command("b"))
        async with controlled(buffer, hub, here, {"FAIL": fail, "COUNT": here.count}):
            await come_to(hub.store, a="unknown", b="done")
        found = await hub.store.control.ordered("a")
        assert found is not None
        assert "File name too long" in found[1].words


@pytest.mark.P8
async def test_killed_before_its_execution_it_is_executed_after_the_restart_once(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        here = Site()
        await buffer.commands.keep([command("a")], NOW)
        await hub.fleet.order("node", command("a"))
        for _ in range(2):
            async with controlled(buffer, hub, here):
                await come_to(hub.store, a="done")
        assert here.done == ["a"]


@pytest.mark.P8
async def test_killed_amid_its_execution_it_is_unknown_and_never_repeated(tmp_path: Path) -> None:
    started, here = asyncio.Event(), Site()

    async def hang(command: Command) -> Outcome:
        here.done.append(command.id)
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with site(tmp_path) as (buffer, hub):
        await hub.fleet.order("node", command("a"))
        async with controlled(buffer, hub, here, {"COUNT": hang}):
            await started.wait()
        for _ in range(2):
            async with controlled(buffer, hub, here):
                await come_to(hub.store, a="unknown")
        assert here.done == ["a"]


@pytest.mark.P8
async def test_a_result_survives_an_outage_and_a_kill_between_execution_and_event(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await hub.fleet.order("node", command("a"))
        await buffer.commands.keep([command("a")], NOW)
        assert await buffer.commands.start("a", NOW)
        await buffer.commands.end(command("a"), "done", "open now", NOW)
        hub.spoil = [lambda: web.Response(status=503, headers={"Retry-After": "0"})] * 20
        async with controlled(buffer, hub, Site()):
            await come_to(hub.store, a="done")
        assert not hub.spoil


async def test_what_shall_happen_after_the_result_is_kept_happens_then(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def end(command: Command) -> Outcome:
        return Outcome("ends", then=ended.set)

    async with site(tmp_path) as (buffer, hub):
        here = Site()
        await buffer.commands.keep([command("a", "END"), command("b")], NOW)
        async with controlled(buffer, hub, here, {"END": end, "COUNT": here.count}):
            await ended.wait()
            assert await buffer.commands.untold() == []
            assert [one.id for one in await buffer.commands.waiting()] == ["b"], "what comes after it is left for later"
        assert here.done == []


async def test_a_hub_of_an_older_release_gets_the_readings_all_the_same(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        del hub.door.handlers["heartbeat"]
        async with controlled(buffer, hub, Site(), every_s=0.001) as link:
            while hub.batches.count("heartbeat 3-3") == 0:
                await asyncio.sleep(0)
            assert link.connected


async def test_the_hub_knows_the_last_heartbeat_of_a_node_and_calls_it_seen(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        async with controlled(buffer, hub, Site()):
            while not await hub.store.control.beats():
                await asyncio.sleep(0)
        (beat,) = await hub.store.control.beats()
        assert beat.node == "node"
        assert json.loads(beat.body)["version"] == "1.2.3"
        (node,) = await nodes(hub.store, NOW)
        assert node.online
        assert await states(hub.store) == {}
