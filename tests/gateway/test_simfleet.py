"""The simulated fleet: what it says that the hub acknowledged is what the hub has."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.core.clock import SystemClock
from gateway.core.model import readings_of
from gateway.core.span import Span
from gateway.hubapp import load_hub_config
from gateway.running import serve
from gateway.simfleet import Plan, run_fleet
from gateway.simnode import SimBuffer
from sync.edge import pieces
from sync.hub.app import build_hub
from sync.hub.store.sqlite import SqliteStore
from tests.gateway.ports import free_port
from tests.hub.stores import nodes


@pytest.mark.P2
async def test_what_the_fleet_measured_is_at_the_hub_once(tmp_path: Path) -> None:
    printed = CliRunner().invoke(main, ["sim", "fleet", "--nodes", "3", "--first", "7", "--seed", "s"]).output
    (tmp_path / "hub.yaml").write_text("store: hub.db\n" + printed)
    config = load_hub_config(tmp_path / "hub.yaml")
    store, said = await SqliteStore.open(tmp_path / "hub.db"), list[str]()
    async with serve(build_hub(config, store, SystemClock(), tmp_path, []), "127.0.0.1", free_port()) as address:
        plan = Plan(hub=address, nodes=3, first=7, seed="s", points=5, every_s=0.1, push_s=0.1, backlog_s=60, run_s=0.5)
        await run_fleet(plan, said.append)
    found = await nodes(store, 0)
    await store.close()
    assert [node.id for node in found] == ["sim-00007", "sim-00008", "sim-00009"]
    assert all(node.version and node.records >= 1800 for node in found)
    assert f"{sum(node.records for node in found):,} records measured, 0 not acknowledged" in said[-1]


async def test_a_simulated_record_is_the_same_however_it_is_asked_for() -> None:
    buffer = SimBuffer(1, 1_790_000_000_000, 1000, 4)
    buffer.grow(1_790_000_100_000)
    assert buffer.committed.reached == 303
    _, packs = await buffer.read(Span(0, 303), 1000)
    records = pieces.records(packs, Span(0, 303))
    assert records == [buffer.record(seq) for seq in range(303)]
    assert [record.ts for record in records[:4]] == [1_790_000_000_000] * 3 + [1_790_000_001_000]
    layout = buffer.layouts[records[0].layout_id]
    assert [reading.key for reading in readings_of(layout, records[0])] == ["p00", "p01", "p02", "energy"]
