"""What a roll-out does next, over all that can happen to its nodes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.hub.fleet.rolloutplan import Finish, Health, Member, Order, Stop, illness, next_acts, wave_sizes

SOAK = 1000
ENDS = ("done", "failed", "expired", "unknown")


@given(st.integers(1, 500), st.lists(st.sampled_from(["1", "3", "10%", "50%", "99%", "100%", "700"]), max_size=5))
def test_the_waves_have_each_node_once(total: int, waves: list[str]) -> None:
    sizes = wave_sizes(waves, total)
    assert sum(sizes) == total
    assert min(sizes) > 0
    if waves and waves[0] == "1":
        assert sizes[0] == 1


@pytest.mark.parametrize("wave", ["", "0", "0%", "101%", "-1", "1.5", "ten", "1 %", "9999999"])
def test_what_is_no_wave_is_refused(wave: str) -> None:
    with pytest.raises(ValueError, match="is no wave"):
        wave_sizes([wave], 10)


def test_waves_are_counted_from_the_start() -> None:
    assert wave_sizes(["1", "10%", "50%"], 200) == [1, 19, 80, 100]
    assert wave_sizes(["1", "10%", "50%"], 1) == [1]


@pytest.mark.P9
@given(st.data())
def test_no_node_is_ordered_twice_and_no_wave_begins_before_the_last_is_healthy_and_soaked(data: st.DataObject) -> None:
    ill_max = data.draw(st.integers(0, 2))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    waves = [wave for wave, size in enumerate(sizes) for _ in range(size)]
    members = [Member(f"n{at}", wave) for at, wave in enumerate(waves)]
    ordered: list[str] = []
    now = 0
    for _ in itertools.repeat(None, 200):
        acts = next_acts(members, ill_max=ill_max, soak_ms=SOAK, now=now)
        ill = [[one.ill for one in members if one.wave == wave and one.ill] for wave in range(len(sizes))]
        if acts and isinstance(acts[0], Stop):
            assert max(map(len, ill)) > ill_max
            return
        assert max(map(len, ill)) <= ill_max
        if acts == [Finish()]:
            assert {one.node for one in members} == {*ordered} | {one.node for one in members if one.ill}
            assert all(one.is_over for one in members)
            return
        for act in acts:
            assert isinstance(act, Order)
            assert act.node not in ordered
            ordered.append(act.node)
            at, one = next((at, one) for at, one in enumerate(members) if one.node == act.node)
            for earlier in (other for other in members if other.wave < one.wave):
                assert earlier.is_over
                assert earlier.ill or (earlier.ended is not None and earlier.ended + SOAK <= now)
            members[at] = Member(one.node, one.wave, "queued")
        now += data.draw(st.integers(1, SOAK))
        under_way = [at for at, one in enumerate(members) if one.state == "queued" and not one.is_over]
        for at in under_way:
            if (state := data.draw(st.sampled_from(["queued", *ENDS]))) != "queued":
                one = members[at]
                members[at] = Member(one.node, one.wave, state, now, "" if state == "done" else state)
        done = [at for at, one in enumerate(members) if one.state == "done" and not one.ill]
        if done and data.draw(st.booleans()):
            at = data.draw(st.sampled_from(done))
            one = members[at]
            members[at] = Member(one.node, one.wave, one.state, one.ended, "it has gone offline")


def test_why_it_stopped_names_the_nodes() -> None:
    members = [Member("mill", 0, "failed", 5, "it failed: so"), Member("farm", 0, "done", 5)]
    (act,) = next_acts(members, ill_max=0, soak_ms=0, now=9)
    assert act == Stop("wave 1: 1 of 2 nodes fell ill: mill: it failed: so")


WELL = Health(online=True, problems=("3 of 4 devices do not answer: a",), backlog=100, alerts=("disk",))


@pytest.mark.parametrize(
    ("after", "state", "ill"),
    [
        (WELL, "done", ""),
        (WELL, "queued", ""),
        (WELL, "failed", "it failed: words"),
        (WELL, "expired", "it was not fetched in time: words"),
        (WELL, "unknown", "nobody knows how it ended: words"),
        (Health(online=False), "taken", "it has gone offline"),
        (Health(online=True, problems=("2 of 4 devices do not answer: a",)), "done", ""),
        (Health(online=True, problems=("2 of 4 devices do not answer: b",)), "done", "a new problem: 2 of 4 devices"),
        (Health(online=True, alerts=("disk", "clock")), "done", "a new alert: clock"),
        (Health(online=True, backlog=5200), "done", ""),
        (Health(online=True, backlog=5201), "done", "its backlog grows: 5,201 records"),
    ],
)
def test_a_node_is_ill_by_what_was_not_there_before(after: Health, state: str, ill: str) -> None:
    found = illness(WELL, after, state, "words")
    assert found.startswith(ill) if ill else not found


def test_a_node_that_was_offline_before_is_waited_for() -> None:
    assert illness(Health(online=False), Health(online=False), "queued", "") == ""
