"""A whole site of real processes, through an outage of the hub and a SIGKILL of the gateway, to exact equality.

The simulated devices count their answers, and the simulator logs every one: so what was served,
what the buffer kept and what the hub holds can be compared reading by reading.
"""

import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.credential import digest
from gateway.core.model import Record
from sync.hub.store.sqlite import SqliteStore
from tests.e2e.parts import ROOT, free_ports, part, served, until
from tests.stored import everything

SECRET = "a secret of this test only"

SITE = """
site: {{name: Test site}}
page: {{port: {page}}}
hub: {{url: "http://127.0.0.1:{hub}", node_id: node, secret: {secret}, push_interval_s: 0.5}}
buses:
  - {{name: one, tcp: "127.0.0.1:{one}", devices: [{{name: tcp counter, profile: counter, poll_s: 0.2}}]}}
  - name: two
    tcp: 127.0.0.1:{two}
    framing: rtu
    devices:
      - {{name: rtu counter, profile: counter, unit_id: 1, poll_s: 0.2}}
      - {{name: meter, profile: eastron-sdm630, unit_id: 2, poll_s: 0.5}}
"""
SIMULATOR = """
log: served.jsonl
buses:
  - {{name: one, port: {one}, devices: [{{name: tcp counter, counter: true}}]}}
  - name: two
    port: {two}
    framing: rtu
    devices:
      - {{name: rtu counter, counter: true, unit_id: 1}}
      - {{name: meter, profile: eastron-sdm630, unit_id: 2}}
"""
HUB = "{{port: {hub}, store: hub.db, nodes: [{{id: node, secret_sha256: {digest}}}]}}\n"


def lay_out(folder: Path) -> dict[str, int]:
    ports = free_ports("page", "hub", "one", "two")
    facts: dict[str, Any] = {**ports, "secret": SECRET, "digest": digest(SECRET)}
    for name, text in (("site", SITE), ("simulator", SIMULATOR), ("hub", HUB)):
        (folder / f"{name}.yaml").write_text(text.format(**facts))
    (folder / "profiles").mkdir()
    (folder / "profiles/counter.yaml").write_text((ROOT / "tests/profiles/counter.yaml").read_text())
    return ports


@pytest.mark.P1
@pytest.mark.P2
async def test_every_acknowledged_reading_is_at_the_hub_once_after_outage_and_kill(tmp_path: Path) -> None:
    ports = lay_out(tmp_path)
    async with aiohttp.ClientSession() as http:

        async def state() -> dict[str, Any]:
            async with http.get(f"http://127.0.0.1:{ports['page']}/api/v1/state") as answer:
                found: dict[str, Any] = await answer.json()
                return found

        async with part(tmp_path, "sim", "simulator.yaml") as simulator:
            async with part(tmp_path, "run", "site.yaml") as gateway:
                async with part(tmp_path, "hub", "hub.yaml"):
                    await until(lambda s: s["sync"]["connected"] and s["buffer"]["head"] > 30, state)
                outage = (await state())["buffer"]["head"]
                await until(lambda s: s["buffer"]["head"] > outage + 40 and not s["sync"]["connected"], state)
                acknowledged = (await state())["buffer"]["head"]
                gateway.send_signal(signal.SIGKILL)
                await gateway.wait()
            async with part(tmp_path, "run", "site.yaml") as gateway:
                await until(lambda s: s["buffer"]["head"] > acknowledged + 30, state)
                async with part(tmp_path, "hub", "hub.yaml"):
                    await until(lambda s: s["sync"]["connected"], state)
                    simulator.terminate()
                    await simulator.wait()
                    await until(lambda s: all(d["presence"] == "offline" for d in s["devices"]), state)
                    await until(lambda s: not s["buffer"]["pending"] and s["sync"]["backlog"] == 0, state)
                    gateway.terminate()
                    assert await gateway.wait() == 0
    await compare(tmp_path, acknowledged)


async def compare(folder: Path, acknowledged: int) -> None:
    async with AsyncExitStack() as stack:
        buffer = await Buffer.open(folder / "buffer.db")
        stack.push_async_callback(buffer.close)
        store = await SqliteStore.open(folder / "hub.db")
        stack.push_async_callback(store.close)
        await compare_stores(folder, acknowledged, buffer, store)


async def compare_stores(folder: Path, acknowledged: int, buffer: Buffer, store: SqliteStore) -> None:
    kept = await everything(buffer)
    assert [record.seq for record in kept] == list(range(buffer.head)), "seq has no gaps"
    assert buffer.head >= acknowledged
    by_layout: dict[bytes, list[Record]] = {}
    for record in kept:
        by_layout.setdefault(record.layout_id, []).append(record)
    layouts = await store.layouts("node")
    assert {layout.id for layout in layouts} == set(by_layout)
    for layout_id, records in by_layout.items():
        at_hub = [(record.ts, record.row) for record in await store.records("node", layout_id)]
        assert at_hub == sorted((record.ts, record.row) for record in records), "each of them, once, and no other"
    for device in ("tcp counter", "rtu counter"):
        layout = next(lay for lay in layouts if (lay.device, lay.group) == (device, "live"))
        shown = served(folder, device)
        counts = [int(str(layout.rows.unpack(record.row)[0])) for record in by_layout[layout.id]]
        for record in by_layout[layout.id]:
            count, half, wave = layout.rows.unpack(record.row)
            assert (half, wave) == (int(str(count)) / 2, int(str(count)) * 7 % 20001 - 10000)
        assert len(set(counts)) == len(counts)
        assert set(counts) <= set(shown)
        lost = sorted(set(shown) - set(counts))
        # What was served and not kept was on its way when the gateway was killed, or at the very end:
        # one run of neighbours each, and none of them was acknowledged.
        runs = sum(1 for count in lost if count - 1 not in lost)
        assert runs <= 2, f"holes among what was acknowledged: {lost}"
        before_kill = [r for r in by_layout[layout.id] if r.seq < acknowledged]
        newest = int(str(layout.rows.unpack(before_kill[-1].row)[0]))
        assert all(count > newest for count in lost)
