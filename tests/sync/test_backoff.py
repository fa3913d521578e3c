"""Pauses after failures."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sync.broker.patience import Patience
from sync.edge.backoff import Backoff


@given(st.integers(), st.integers(1, 100), st.booleans())
def test_pauses_stay_below_their_cap(seed: int, failures: int, refused: bool) -> None:
    backoff = Backoff(Random(seed), Patience(first_s=0.5, away_max_s=60, refused_max_s=1800))
    pauses = [backoff.failed(refused=refused) for _ in range(failures)]
    assert all(0 <= pause <= min(1800 if refused else 60, 0.5 * 2**n) for n, pause in enumerate(pauses))


def test_a_fleet_spreads_itself_out() -> None:
    pauses = sorted(Backoff(Random(node), failures=6).failed() for node in range(1000))
    assert pauses[100] < 10 < 50 < pauses[900]


def test_what_the_hub_asks_for_is_kept_and_a_fleet_does_not_come_back_in_the_same_second() -> None:
    pauses = sorted(Backoff(Random(node)).failed(at_least_s=300) for node in range(1000))
    assert pauses[0] >= 300
    assert pauses[100] < 350 < 550 < pauses[900]


def test_success_begins_anew() -> None:
    backoff = Backoff(Random(1), failures=20)
    backoff.succeeded()
    assert backoff.failed() <= 1
