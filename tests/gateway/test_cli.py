"""The command line as an installer meets it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice
from drivers.simulator.image import load_image
from gateway import __version__

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "tests/fixtures/images"


async def holdfast(*arguments: str | Path) -> tuple[int | None, str, str]:
    """Exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", *arguments, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_version_is_told() -> None:
    assert await holdfast("--version") == (0, f"holdfast, version {__version__}\n", "")


async def test_wrong_usage_ends_with_2() -> None:
    code, _, err = await holdfast("run", "--confg", "x")
    assert code == 2
    assert "--config" in err


async def test_a_good_and_a_wrong_configuration_are_told_apart(tmp_path: Path) -> None:
    good = tmp_path / "site.yaml"
    good.write_text("buses:\n  - {name: b, tcp: '10.0.0.1:502', devices: [{name: m, profile: pzem-004t}]}\n")
    code, out, _ = await holdfast("check-config", good)
    assert (code, out) == (0, f"{good}: good; 1 buses, 1 devices, 1 profiles\n")
    good.write_text("bus: []\n")
    for verb in (("check-config",), ("run", "--config")):
        code, out, err = await holdfast(*verb, good)
        assert (code, out) == (2, "")
        assert err.startswith("holdfast: site.yaml:1: bus: no such key; did you mean buses?")


async def test_read_prints_every_point_of_a_device_once() -> None:
    image = load_image(IMAGES / "pzem-004t.json")
    async with Farm([SimulatedBus("bus", (SimulatedDevice("pzem", 1, image),), framing="rtu")]) as farm:
        where = f"127.0.0.1:{farm.ports['bus']}"
        usual = ("read", "--profile", "pzem-004t", "--tcp", where, "--framing", "rtu", "--unit", "1")
        code, out, _ = await holdfast(*usual, "--json")
        assert code == 0
        answer = json.loads(out)
        assert set(answer) == {"profile", "device", "points"}
        points = {point["key"]: point for point in answer["points"]}
        assert points["voltage"] == {
            "key": "voltage", "value": 225.7, "unit": "V", "quality": "good",
            "table": "input", "register": 0, "raw": 2257,
        }  # fmt: skip
        code, out, _ = await holdfast(*usual)
        assert code == 0
        assert "225.7" in out


async def test_sunspec_points_are_read_with_model_and_path() -> None:
    image = load_image(IMAGES / "sunspec-fimer.json")
    async with Farm([SimulatedBus("bus", (SimulatedDevice("fimer", image.unit_id, image),))]) as farm:
        where = ("--tcp", f"127.0.0.1:{farm.ports['bus']}", "--unit", str(image.unit_id))
        _, out, _ = await holdfast("read", "--profile", "sunspec", *where, "--json")
    points = {(point["model"], point["path"]): point for point in json.loads(out)["points"]}
    assert points[160, "module[0].DCA"]["value"] == 12.8
    assert points[103, "W"]["quality"] == "good"
    assert points[160, "TmsPer"]["value"] is None


async def test_a_device_that_is_not_there_ends_with_1_and_says_what_to_check() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    code, out, err = await holdfast("read", "--profile", "pzem-004t", "--tcp", f"127.0.0.1:{port}", "--json")
    assert (code, out) == (1, "")
    assert "refuses the connection" in err


async def test_a_page_on_an_address_that_is_not_ours_is_not_taken_for_a_busy_port(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("page: {host: 192.0.2.1, open: true}\n")  # for documentation: no machine has it
    code, _, err = await holdfast("run", "--config", site)
    assert code == 1
    assert "check that it is an address of this machine" in err
    assert "another program" not in err
