"""Many nodes come back at once: they spread themselves out. bench/fleet_return.py prints it for a thousand."""

import pytest

from bench.fleet_return import simulate
from tests.virtual import run_virtually

NODES = 200


@pytest.mark.P4
@pytest.mark.parametrize("at_once", [False, True], ids=["hub was away", "nodes start at once"])
def test_a_fleet_that_comes_back_spreads_itself_out_and_all_is_there_soon(at_once: bool) -> None:
    hub = run_virtually(simulate(NODES, 600, at_once=at_once))
    later = [count for second, count in hub.came.items() if second > 0]
    assert max(later) < NODES / 2
    assert max(hub.first_present.values()) < 120
    assert max(hub.caught_up.values()) < 180
