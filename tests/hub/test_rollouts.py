"""Roll-outs over a fleet that answers as it is told, on both stores."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from gateway.core.configreport import ConfigReport
from gateway.core.errors import ConfigError
from gateway.core.model import Command, CommandResult
from sync import wire
from sync.hub.fleet.configstore import ConfigStore
from sync.hub.fleet.configurations import Configurations
from sync.hub.fleet.fleet import Fleet
from sync.hub.fleet.rolloutplan import Health
from sync.hub.fleet.rollouts import Rollouts, common_place
from sync.hub.fleet.rolloutstore import Rollout, RolloutStore, Spec
from sync.hub.people.sites import Organisation, Sites
from sync.hub.people.sites import Site as SiteOf
from sync.hub.store.commandstore import Beat
from sync.hub.store.contract import ONLINE_MS, Store
from sync.hub.web.paging import ALL_TIME
from sync.hub.web.rights import NOWHERE, Place
from tests.sync.controlling import LATER, NOW, Site

AT = wire.Cursor("0123456789abcdef", 1, 1)
PATCH = Spec(kind="configure", patch="site: {timezone: Europe/Berlin}", waves=("1", "3"), soak_s=60)
UPDATE = Spec(kind="update", release="2.0", waves=("1",), soak_s=0)
UNKNOWN_KIND = "this gateway does not know UPDATE; it knows CONFIGURE"
ALERT = """INSERT INTO alert (node, device, kind, since, words, changed)
    VALUES ($1, $2, 'device_silent', $3, 'since long', $3)"""
NODES = tuple(f"n{number}" for number in range(5))


class Hub:
    """One hub process, its nodes, and the time that it has."""

    def __init__(self, store: Store, clock: Site | None = None) -> None:
        self.store, self.clock = store, clock or Site()
        self.fleet = fleet = Fleet(store.control, self.clock)
        self.configurations = Configurations(ConfigStore(store.sql), store.control, fleet, self.clock)
        self.kept = RolloutStore(store.sql)
        self.rollouts = Rollouts(self.kept, self.configurations, store.control, fleet, self.clock, self.kept.standing)

    async def alerts(self, node: str, device: str) -> None:
        """Have an alert stand."""
        async with self.store.sql.transaction() as db:
            await db.execute(ALERT, node, device, self.clock.wall)

    async def beats(self, *problems: str, nodes: Sequence[str] = NODES, backlog: int = 0) -> None:
        for node in nodes:
            beat = wire.Heartbeat("1.0", NOW, 1.0, "kernel", problems=problems, backlog=backlog)
            await self.store.control.beat(Beat(node, self.clock.wall, msgspec.json.encode(beat)))

    async def reports(self, nodes: Sequence[str] = NODES) -> None:
        for node in nodes:
            report = ConfigReport(f"site: {{name: {node}}}\n", ())
            body = msgspec.msgpack.encode(wire.Configuration("a" * 64, report))
            await self.configurations.take(node, AT, body)

    async def begin(self, spec: Spec = PATCH) -> str:
        return await self.rollouts.begin(spec, await self.kept.candidates("", ""), "Ann")

    async def turn(self, seconds: float = 1) -> None:
        self.clock.wall += round(1000 * seconds)
        await self.rollouts.turn(self.clock.wall)

    async def ordered(self) -> dict[str, str]:
        """What the nodes have to fetch: the body by node."""
        queued = {node: await self.store.control.queued(node, self.clock.wall, 9) for node in NODES}
        return {node: commands[0].body for node, commands in queued.items() if commands}

    async def end(self, state: str = "done", words: str = "", nodes: Sequence[str] = NODES) -> list[str]:
        """Have nodes end what is queued for them; which did."""
        ended = []
        for node in nodes:
            for command in await self.store.control.queued(node, self.clock.wall, 9):
                result = msgspec.convert({"id": command.id, "state": state, "words": words}, CommandResult)
                await self.store.control.ended(node, [result], self.clock.wall)
                ended.append(node)
        return ended

    async def wants_and_fails(self, text: str) -> None:
        """Have n0 be ordered a configuration, and roll it back."""
        now = self.clock.wall
        await self.configurations.want("n0", text, by="Ann", reason="so", now=now, not_after=now + 60_000)
        await self.end("failed", "the configuration before it is back")

    async def state(self, rollout_id: str) -> Rollout:
        found = await self.kept.one(rollout_id)
        assert found is not None
        return found


@pytest.fixture
async def hub(store: Store) -> Hub:
    hub = Hub(store)
    await hub.beats()
    await hub.reports()
    return hub


async def test_it_goes_from_wave_to_wave_each_after_its_soak_and_ends(hub: Hub) -> None:
    rollout = await hub.begin()
    seen = []
    for _ in range(3):
        await hub.turn()
        seen.append(await hub.end())
        await hub.turn(59)
        assert await hub.ordered() == {}, "it soaks"
        await hub.beats()
        await hub.turn(2)
        if (await hub.state(rollout)).state == "done":
            break
    assert seen == [["n0"], ["n1", "n2"], ["n3", "n4"]]
    assert (await hub.state(rollout)).state == "done"
    assert [(w.nodes, w.ordered, w.well, w.ill) for w in await hub.kept.waves(rollout)] == [
        (1, 1, 1, 0), (2, 2, 2, 0), (2, 2, 2, 0),
    ]  # fmt: skip


async def test_a_patch_is_laid_over_what_each_node_has(hub: Hub) -> None:
    await hub.begin()
    await hub.turn()
    assert await hub.ordered() == {"n0": "site:\n  name: n0\n  timezone: Europe/Berlin\n"}
    wish = (await hub.configurations.of("n0")).desired
    assert wish is not None
    assert (wish.state, wish.by) == ("pending", "Ann")


async def test_those_that_are_online_come_first(hub: Hub) -> None:
    hub.clock.wall += ONLINE_MS
    await hub.beats(nodes=["n3"])
    rollout = await hub.begin()
    assert {one.node: one.wave for one in await hub.kept.nodes(rollout)} == {
        "n3": 0,
        "n0": 1,
        "n1": 1,
        "n2": 2,
        "n4": 2,
    }


@pytest.mark.P9
@pytest.mark.parametrize("how", ["failed", "expired", "unknown", "offline", "problem", "alert", "backlog"])
async def test_it_stops_by_itself_where_a_node_of_a_wave_falls_ill_and_orders_nothing_more(hub: Hub, how: str) -> None:
    rollout = await hub.begin()
    await hub.turn()
    if how in ("failed", "unknown"):
        await hub.end(how, "the configuration before it is back")
    elif how == "expired":
        hub.clock.wall += 86_400_001
        await hub.beats()
        await hub.turn()
    else:
        await hub.end()
        if how == "offline":
            hub.clock.wall += ONLINE_MS
        elif how == "problem":
            await hub.beats("1 of 2 devices do not answer: pump")
        elif how == "backlog":
            await hub.beats(backlog=9999)
        else:
            await hub.alerts("n0", "pump")
    for _ in range(3):
        await hub.turn()
    found = await hub.state(rollout)
    assert found.state == "stopped"
    assert found.why.startswith("wave 1: 1 of 1 nodes fell ill: n0: ")
    hub.clock.wall += 1_000_000
    await hub.beats()
    await hub.turn()
    assert await hub.ordered() == {}
    assert (await hub.state(rollout)).ordered == 1


async def test_what_was_wrong_before_does_not_stop_it_and_so_many_may_fall_ill(hub: Hub) -> None:
    await hub.beats("1 of 2 devices do not answer: pump")
    await hub.alerts("n0", "pump")
    rollout = await hub.begin(msgspec.structs.replace(PATCH, ill_max=1, soak_s=0))
    await hub.turn()
    await hub.end("failed", nodes=["n0"])
    await hub.turn()
    assert sorted(await hub.ordered()) == ["n1", "n2"]
    await hub.end("failed")
    await hub.turn()
    assert (await hub.state(rollout)).state == "stopped"


async def test_an_update_that_gateways_do_not_know_stops_with_the_first_wave(hub: Hub) -> None:
    rollout = await hub.begin(UPDATE)
    await hub.turn()
    assert await hub.ordered() == {"n0": '{"release":"2.0"}'}
    await hub.end("failed", UNKNOWN_KIND)
    await hub.turn()
    found = await hub.state(rollout)
    assert found.state == "stopped"
    assert "does not know UPDATE" in found.why
    assert (await hub.configurations.of("n0")).desired is None


async def test_a_node_that_never_told_its_configuration_falls_ill_and_gets_nothing(store: Store) -> None:
    hub = Hub(store)
    await hub.beats()
    rollout = await hub.begin()
    await hub.turn()
    await hub.turn()
    assert await hub.ordered() == {}
    assert "has not told its configuration" in (await hub.state(rollout)).why


async def test_what_is_paused_orders_nothing_until_it_goes_on(hub: Hub) -> None:
    rollout = await hub.begin()
    assert await hub.kept.move(rollout, "running", "paused", "", NOW)
    await hub.turn()
    assert await hub.ordered() == {}
    assert await hub.kept.move(rollout, "paused", "running", "", NOW)
    await hub.turn()
    assert list(await hub.ordered()) == ["n0"]


@pytest.mark.P8
async def test_what_is_stopped_takes_back_what_no_node_has_yet(hub: Hub) -> None:
    rollout = await hub.begin(msgspec.structs.replace(PATCH, waves=("2",)))
    await hub.turn()
    await hub.store.control.taken("n0", [one.command for one in await hub.kept.nodes(rollout)], hub.clock.wall)
    assert await hub.kept.move(rollout, "running", "stopped", "Ann stopped it", NOW)
    assert not await hub.kept.move(rollout, "paused", "running", "", NOW)
    assert await hub.ordered() == {}
    assert {one.node: one.state for one in await hub.kept.nodes(rollout) if one.state} == {
        "n0": "taken",
        "n1": "expired",
    }


@pytest.mark.P8
async def test_a_process_that_still_means_to_order_finds_it_stopped(hub: Hub) -> None:
    rollout = await hub.begin()
    (one, *_) = await hub.kept.nodes(rollout)
    command = Command(one.command, "CONFIGURE", LATER, body="site: {}")
    assert await hub.kept.move(rollout, "running", "stopped", "Ann stopped it", NOW)
    assert not await hub.kept.order(rollout, one.node, command, NOW, before=Health(online=True), former=None)
    assert await hub.ordered() == {}
    assert (await hub.state(rollout)).ordered == 0


@pytest.mark.P8
async def test_two_processes_and_a_restart_order_each_node_once(hub: Hub) -> None:
    rollout = await hub.begin(msgspec.structs.replace(PATCH, waves=("100%",)))
    others = [Hub(hub.store, hub.clock) for _ in range(3)]
    await asyncio.gather(*(one.rollouts.turn(NOW + 1) for one in [hub, *others]))
    await Hub(hub.store, hub.clock).turn()
    for node in NODES:
        assert len(await hub.store.control.commands(node, 9)) == 1
        assert len((await hub.configurations.of(node)).history) == 1
    assert (await hub.state(rollout)).ordered == 5


async def test_undoing_puts_back_in_waves_what_was_there_before(hub: Hub) -> None:
    rollout = await hub.begin(msgspec.structs.replace(PATCH, soak_s=0))
    with pytest.raises(ValueError, match="stop it first"):
        await hub.rollouts.undo(await hub.state(rollout), "Ann")
    await hub.turn()
    await hub.end()
    await hub.turn()
    await hub.end("failed", nodes=["n1"])
    await hub.end("done", nodes=["n2"])
    await hub.turn()
    undone = await hub.rollouts.undo(await hub.state(rollout), "Ann")
    await hub.turn()
    assert await hub.ordered() == {"n0": "site:\n  name: n0\n"}
    await hub.end()
    await hub.turn()
    assert await hub.ordered() == {"n2": "site:\n  name: n2\n"}, "the one that rolled back itself is left alone"
    await hub.end()
    await hub.turn()
    assert (await hub.state(undone)).state == "done"
    assert (await hub.state(undone)).undoes == rollout


@pytest.mark.parametrize(
    "spec",
    [
        Spec(kind="update"),
        Spec(kind="update", release="1", patch="a: 1"),
        Spec(kind="configure"),
        Spec(kind="configure", patch="a: 1", text="a: 1"),
        Spec(kind="configure", text="site: {name: x}"),
        Spec(kind="configure", patch="site: ["),
        Spec(kind="configure", patch="hub: {secret: in clear}"),
        Spec(kind="configure", patch="a: 1", waves=("some",)),
    ],
)
async def test_what_cannot_be_rolled_out_is_refused_before_it_begins(hub: Hub, spec: Spec) -> None:
    with pytest.raises((ValueError, ConfigError)):
        await hub.begin(spec)
    with pytest.raises(ValueError, match="no node"):
        await hub.rollouts.begin(PATCH, [], "Ann")
    assert await hub.kept.older(ALL_TIME, "", 9) == []


async def test_the_releases_of_the_fleet_are_counted(hub: Hub) -> None:
    assert await hub.kept.versions() == [(NOWHERE, "1.0")] * 5


@pytest.mark.P11
async def test_a_node_that_went_to_another_organisation_gets_nothing_more_of_its_old_one(hub: Hub) -> None:
    sites = Sites(hub.store.sql)
    for organisation in ("north", "south"):
        await sites.add_organisation(Organisation(organisation, organisation), 0)
        await sites.add_site(SiteOf(f"{organisation}-1", organisation, organisation), 0)
    for node in NODES:
        await sites.move(node, "north-1")
    rollout = await hub.begin()
    await hub.turn()
    await hub.end()
    await sites.move("n1", "south-1")
    await hub.turn(62)
    stopped = await hub.state(rollout)
    assert (stopped.state, "n1: it stands elsewhere by now" in stopped.why) == ("stopped", True)
    assert "n1" not in await hub.ordered()
    await sites.move("n0", "south-1")
    with pytest.raises(ValueError, match="stand elsewhere"):
        await hub.rollouts.undo(stopped, "Ann")
    await sites.move("n0", "north-1")
    assert (await hub.state(await hub.rollouts.undo(stopped, "Ann"))).nodes == 1


def test_a_roll_out_stands_where_all_its_nodes_stand() -> None:
    one, two, other = Place("a", "x"), Place("a", "y"), Place("b", "z")
    assert common_place([one, one]) == one
    assert common_place([one, two]) == Place("a", "")
    assert common_place([one, other]) == common_place([NOWHERE]) == NOWHERE
