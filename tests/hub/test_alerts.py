"""What is wrong with the fleet, when that becomes an alert, and when it is over; on both stores."""

from typing import Any

import pytest

from gateway.core.model import Event
from sync.hub.alerts.causes import trend
from sync.hub.alerts.settings import AlertsConfig
from sync.hub.store.contract import Audit, Store
from tests.hub.alerting import Fleet
from tests.hub.clock import NOW


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


async def test_a_fleet_that_is_well_has_no_alerts(fleet: Fleet) -> None:
    await fleet.pass_on(30)
    assert await fleet.was() == []
    totals = await fleet.alerts.totals()
    assert totals is not None
    assert (totals.at, totals.nodes, totals.online, totals.backlog) == (fleet.clock.now, 1, 1, 0)


async def test_a_node_that_is_silent_for_five_minutes_is_offline_until_it_is_back_for_a_while(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    fleet.says["mill"] = None
    last_heard = fleet.clock.now
    await fleet.pass_on(4.5)
    assert await fleet.stands() == []
    await fleet.pass_on(0.5)
    assert await fleet.stands() == ["offline"]
    fleet.says["mill"] = {}
    await fleet.pass_on(10)
    assert await fleet.stands() == ["offline"]  # it may be gone again
    await fleet.pass_on(1)
    [alert] = await fleet.was()
    assert (alert.since, alert.ended, alert.times) == (last_heard, fleet.clock.now - 30_000, 1)


async def test_a_batch_alone_keeps_a_node_online(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    fleet.says["mill"] = None
    for _ in range(10):
        await fleet.store.take_events([], "0" * 16, Audit(fleet.clock.now, "mill", "events", "", 0))
        await fleet.pass_on(1)
    assert await fleet.was() == []


async def test_what_flaps_is_one_alert(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    for _ in range(20):
        fleet.says["mill"] = None
        await fleet.pass_on(6)
        fleet.says["mill"] = {}
        await fleet.pass_on(13)  # longer than it takes to end, the first time
    [alert] = await fleet.was()
    assert alert.times == 2  # after that it has to be well for twice as long
    await fleet.pass_on(30)
    assert await fleet.stands() == []


async def test_a_hub_that_was_away_itself_blames_nobody_before_it_has_listened(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    fleet.clock.now += 3 * 3_600_000
    fleet.says["mill"] = None
    await fleet.pass_on(4.5)
    assert await fleet.was() == []
    await fleet.pass_on(1)
    assert await fleet.stands() == ["offline"]


async def test_after_a_restart_an_alert_goes_on(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    fleet.says["mill"] = None
    await fleet.pass_on(6)
    fleet.start()
    await fleet.pass_on(6)
    [alert] = await fleet.was()
    assert (alert.ended, alert.times) == (None, 1)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"clock": "estimate"}, "clock"),
        ({"now": 5}, "clock"),
        ({"disk_free": 10**8}, "disk"),
        ({"disk_free": 10**9, "disk_total": 10**11}, "disk"),
        ({"silent": {"inverter": 1000}}, "device inverter"),
        ({"quarantined": 3}, "quarantine"),
        ({"faults": ("nothing can be stored",)}, "problem"),
        ({"faults": None, "silent": None, "problems": ("1 of 2 devices do not answer",)}, "problem"),
    ],
)
async def test_what_a_heartbeat_tells_is_an_alert_when_it_lasts(fleet: Fleet, said: dict[str, Any], kind: str) -> None:
    await fleet.pass_on(10)
    fleet.says["mill"] = said
    await fleet.pass_on(3)
    assert await fleet.stands() == [kind]
    fleet.says["mill"] = {}
    await fleet.pass_on(11)
    assert await fleet.stands() == []


@pytest.mark.parametrize(
    "said",
    [
        {"disk_free": 0},  # nobody knows of how many
        {"silent": {"inverter": 800}},
        {"problems": ("1 of 2 devices do not answer: inverter",), "silent": {}},
        {"backlog": 10**6},  # it does not grow
    ],
)
async def test_what_is_not_worth_an_alert_is_none(fleet: Fleet, said: dict[str, Any]) -> None:
    fleet.says["mill"] = said
    await fleet.pass_on(30)
    assert await fleet.was() == []


async def test_what_comes_and_goes_with_single_heartbeats_is_no_alert(fleet: Fleet) -> None:
    for _ in range(10):
        fleet.says["mill"] = {"clock": "estimate"}
        await fleet.pass_on(1)
        fleet.says["mill"] = {}
        await fleet.pass_on(1)
    assert await fleet.was() == []


async def test_of_a_node_that_is_offline_nothing_else_begins_or_ends(fleet: Fleet) -> None:
    fleet.says["mill"] = {"quarantined": 3}
    await fleet.pass_on(10)
    fleet.says["mill"] = None
    await fleet.pass_on(60)
    assert await fleet.stands() == ["offline", "quarantine"]


async def test_a_backlog_that_grows_is_an_alert_until_it_drains(fleet: Fleet) -> None:
    backlog = 0
    for _ in range(10):
        backlog += 500
        fleet.says["mill"] = {"backlog": backlog + (300 if backlog % 1000 else 0)}  # not smoothly
        await fleet.pass_on(0.5)
    assert await fleet.stands() == ["backlog"]
    await fleet.pass_on(30)  # it neither grows nor drains: nothing is better
    assert await fleet.stands() == ["backlog"]
    for _ in range(30):
        backlog -= 100
        fleet.says["mill"] = {"backlog": backlog}
        await fleet.pass_on(0.5)
    assert await fleet.stands() == []


async def test_a_backlog_that_an_outage_left_is_no_alert_while_it_drains(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    fleet.says["mill"] = None
    await fleet.pass_on(60)
    for backlog in [*range(99_990, 100_000), *range(100_000, 80_000, -500)]:  # it takes a while to begin
        fleet.says["mill"] = {"backlog": backlog}
        await fleet.pass_on(0.5)
    assert [alert.kind for alert in await fleet.was()] == ["offline"]


def test_a_backlog_that_goes_up_and_down_does_not_grow() -> None:
    config = AlertsConfig(backlog_beats=4, backlog_records=10)
    assert trend((0, 5, 20, 30), config) == "growing"
    assert trend((0, 25, 20, 30), config) == "level"
    assert trend((0, 5, 30, 20), config) == "draining"
    assert trend((100, 100, 105, 109), config) == "level"


async def test_a_revoked_node_is_of_no_concern(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    fleet.says["mill"] = None
    await fleet.pass_on(6)
    async with fleet.store.sql.transaction() as db:
        await db.execute("UPDATE node SET revoked = $1", fleet.clock.now)
    await fleet.pass_on(11)
    assert await fleet.stands() == []


async def test_an_update_that_failed_is_told_once_until_one_goes_well_or_somebody_has_seen_it(fleet: Fleet) -> None:
    failed = Event(NOW + 1, "configuration_rolled_back", detail="the hub is not reached any more")
    for _ in range(2):  # the answer to the first was lost
        await fleet.watch.happened("mill", [failed])
    await fleet.pass_on(60)
    [alert] = await fleet.was()
    assert (alert.kind, alert.since, alert.words, alert.ended) == ("update_failed", NOW + 1, failed.detail, None)
    await fleet.watch.happened("mill", [Event(NOW + 2, "configuration_applied")])
    await fleet.watch.happened("mill", [failed])
    assert await fleet.stands() == []
    await fleet.watch.happened("mill", [Event(NOW + 3, "update_failed")])
    [again, _] = await fleet.was()
    await fleet.alerts.acknowledge(again.id, "ann", "", fleet.clock.now)
    assert await fleet.stands() == []


async def test_history_that_comes_late_is_no_alert(fleet: Fleet) -> None:
    await fleet.watch.happened("mill", [Event(NOW - 2 * 86_400_000, "update_failed")])
    assert await fleet.was() == []


async def test_two_hubs_that_look_at_once_make_one_alert(fleet: Fleet) -> None:
    await fleet.pass_on(10)
    fleet.says["mill"] = None
    fleet.clock.now += 60_000
    other = Fleet(fleet.store)
    other.clock, other.says = fleet.clock, {}
    other.start()
    for _ in range(20):
        await fleet.pass_on(0.5)
        await other.watch.look(fleet.clock.now)
    assert len(await fleet.was()) == 1


async def test_what_ended_long_ago_is_forgotten_and_what_stands_is_not(fleet: Fleet) -> None:
    fleet.says = {"mill": {"clock": "estimate"}, "farm": {"quarantined": 1}}
    await fleet.pass_on(5)
    fleet.says["mill"] = {}
    await fleet.pass_on(12)
    [_, forget] = fleet.watch.chores()
    await forget.work(fleet.clock.now + 401 * 86_400_000)
    assert [alert.kind for alert in await fleet.was()] == ["quarantine"]
