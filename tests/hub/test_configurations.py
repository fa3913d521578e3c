"""Desired and reported configurations at the hub, on both stores."""

import msgspec
import pytest

from gateway.core.configreport import ConfigReport, ConfigValue
from gateway.core.errors import ConfigError
from gateway.core.model import CommandResult
from gateway.core.redacting import KEPT
from sync import wire
from sync.hub.fleet.configstore import ConfigStore
from sync.hub.fleet.configurations import Configurations
from sync.hub.fleet.fleet import Fleet
from sync.hub.store.contract import Store
from tests.sync.controlling import LATER, NOW, Site

AT = wire.Cursor("0123456789abcdef", 1, 1)
DIGEST = "a" * 64
SITE = f"site: {{name: Mill}}\nhub: {{secret: {KEPT}}}\n"


class Hub:
    """What a hub has of one node, `mill`, and its clock."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, Site()
        self.fleet = Fleet(store.control, self.clock)
        self.configurations = Configurations(ConfigStore(store.sql), store.control, self.fleet, self.clock)
        self.fleet.lacks = self.configurations.lacks

    async def beats(self, digest: str = DIGEST, taken: tuple[str, ...] = ()) -> wire.Answer:
        self.clock.wall += 1000
        beat = wire.Heartbeat("1", NOW, 1.0, "kernel", effective=digest, taken=taken)
        return await self.fleet.heartbeat("mill", AT, msgspec.msgpack.encode(beat))

    async def reports(self, text: str = SITE, digest: str = DIGEST, value: str = KEPT) -> None:
        values = (ConfigValue("hub.secret", value, "local"), ConfigValue("site.name", "Mill", "site"))
        body = msgspec.msgpack.encode(wire.Configuration(digest, ConfigReport(text, values, "b" * 64)))
        await self.configurations.take("mill", AT, body)

    async def wants(self, text: str, command_id: str = "") -> str:
        self.clock.wall += 1000
        now = self.clock.wall
        return await self.configurations.want(
            "mill", text, by="Ann", reason="so", now=now, not_after=LATER, command_id=command_id
        )

    async def ends(self, command_id: str, state: str, words: str = "") -> None:
        self.clock.wall += 1000
        result = msgspec.convert({"id": command_id, "state": state, "words": words}, CommandResult)
        await self.store.control.ended("mill", [result], self.clock.wall)

    async def state(self) -> str:
        found = (await self.configurations.of("mill")).desired
        return found.state if found else ""


@pytest.fixture
def hub(store: Store) -> Hub:
    return Hub(store)


async def test_the_hub_asks_for_a_configuration_once_that_it_does_not_have(hub: Hub) -> None:
    assert (await hub.beats()).configuration_wanted
    await hub.reports()
    assert not (await hub.beats()).configuration_wanted
    assert (await hub.beats("c" * 64)).configuration_wanted
    assert not (await hub.beats("")).configuration_wanted, "a gateway of an older release tells none"
    reported = (await hub.configurations.of("mill")).reported
    assert reported is not None
    assert [one.key for one in reported.values] == ["hub.secret", "site.name"]


@pytest.mark.P11
async def test_a_secret_that_a_gateway_tells_all_the_same_is_not_kept(hub: Hub) -> None:
    await hub.reports("hub: {secret: oh no}\n# oh no\n", value="oh no")
    assert b"oh no" not in msgspec.json.encode(await hub.configurations.of("mill"))


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x80", msgspec.msgpack.encode({"digest": DIGEST}), b"x" * 600_000])
async def test_a_report_that_is_none_is_refused(hub: Hub, body: bytes) -> None:
    with pytest.raises(ValueError):
        await hub.configurations.take("mill", AT, body)
    with pytest.raises(ValueError):
        await hub.reports("site: [")
    assert (await hub.configurations.of("mill")).reported is None


@pytest.mark.P9
async def test_a_desired_configuration_goes_from_pending_to_what_the_node_says(hub: Hub) -> None:
    await hub.reports()
    first = await hub.wants("site: {name: New}\n")
    assert await hub.state() == "pending"
    answer = await hub.beats()
    assert [(one.id, one.kind, one.body) for one in answer.commands] == [(first, "CONFIGURE", "site: {name: New}\n")]
    await hub.beats(taken=(first,))
    assert await hub.state() == "on trial"
    await hub.ends(first, "failed", "the hub is not reached any more")
    found = await hub.configurations.of("mill")
    assert found.desired is not None
    assert (found.desired.state, found.desired.words) == ("rolled back", "the hub is not reached any more")
    second = await hub.wants("site: {name: Newer}\n")
    await hub.ends(second, "done")
    assert await hub.state() == "applied"
    assert [one.state for one in (await hub.configurations.of("mill")).history] == ["applied", "rolled back"]


async def test_what_differs_is_shown_by_line_and_by_key(hub: Hub) -> None:
    await hub.reports()
    await hub.wants("# a comment\nsite: {name: New, timezone: UTC}\nhub: {secret: (kept on site)}\n")
    found = await hub.configurations.of("mill")
    assert found.differs
    assert [(one.key, one.reported, one.desired) for one in found.keys] == [
        ("site.name", "Mill", "New"), ("site.timezone", None, "UTC"),
    ]  # fmt: skip
    assert "-  name: Mill\n+  name: New\n" in found.diff
    assert "comment" not in found.diff


async def test_drift_is_what_somebody_changed_after_it_was_applied(hub: Hub) -> None:
    await hub.reports()
    command_id = await hub.wants("site: {name: New}\n")
    await hub.ends(command_id, "done")
    assert not (await hub.configurations.of("mill")).drift, "the new report is under way"
    await hub.beats("c" * 64)
    assert not (await hub.configurations.of("mill")).drift
    await hub.reports("site: {name: New}\n", "c" * 64)
    assert not (await hub.configurations.of("mill")).differs
    await hub.reports("site: {name: By hand}\n", "d" * 64)
    await hub.beats("d" * 64)
    assert (await hub.configurations.of("mill")).drift


@pytest.mark.P8
async def test_what_the_node_did_not_fetch_yet_gives_way_to_what_is_ordered_later(hub: Hub) -> None:
    first = await hub.wants("site: {name: One}\n")
    second = await hub.wants("site: {name: Two}\n")
    assert [one.id for one in (await hub.beats()).commands] == [second]
    assert await hub.wants("site: {name: Two}\n", second) == second, "again: nothing changes"
    assert [one.id for one in (await hub.beats()).commands] == [second]
    found = await hub.configurations.of("mill")
    assert [(one.id, one.state) for one in found.history] == [(second, "pending"), (first, "superseded")]
    hub.clock.wall = LATER + 1
    assert await hub.state() == "expired"


@pytest.mark.P11
@pytest.mark.parametrize(
    ("text", "why"),
    [("site: [", "not YAML"), ("- 1", "expected keys"), ("hub: {secret: s3}", "hub.secret: secrets do not go"),
     ("mqtt: {url: 'mqtt://a:b@c'}", "mqtt.url"), ("a: " + "x" * 300_000, "more than")],
)  # fmt: skip
async def test_a_text_that_no_node_can_use_or_that_has_secrets_is_not_ordered(hub: Hub, text: str, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        await hub.wants(text)
    assert why in raised.value.in_full
    assert await hub.state() == ""
    assert await hub.store.control.commands("mill", 9) == []
