"""Commissioning from the command line."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice
from drivers.simulator.image import Image, load_image

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "tests/fixtures/images"


async def start(*arguments: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", *arguments, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def holdfast(*arguments: str | Path) -> tuple[int | None, str, str]:
    """Exit code, standard output, standard error."""
    process = await start(*arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def interrupted(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    process.send_signal(signal.SIGINT)
    out, _ = await process.communicate()
    return process.returncode, out.decode()


def recorded(name: str, unit_id: int | None = None) -> SimulatedDevice:
    image = load_image(IMAGES / f"{name}.json")
    return SimulatedDevice(name, image.unit_id if unit_id is None else unit_id, image)


async def test_what_a_scan_offers_can_be_pasted_and_is_good(tmp_path: Path) -> None:
    buses = [
        SimulatedBus("a", (recorded("goodwe-et-gw10k"),)),
        SimulatedBus("b", (recorded("eastron-sdm630", 1), recorded("eastron-sdm630", 2), recorded("sunspec-fimer", 3))),
    ]
    async with Farm(buses) as farm:
        ports = ",".join(map(str, farm.ports.values()))
        code, out, _ = await holdfast("scan", "tcp", "127.0.0.1", "--port", ports, "--timeout", "0.1")
    assert code == 0
    assert "9010KETU000W0000" in out
    site = tmp_path / "site.yaml"
    site.write_text(out[out.index("\nbuses:") :])
    code, out, err = await holdfast("check-config", site)
    assert (code, out, err) == (0, f"{site}: good; 2 buses, 4 devices, 3 profiles\n", "")


async def test_a_scan_that_is_stopped_says_what_was_found_until_then() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, Farm([SimulatedBus("a", (recorded("goodwe-et-gw10k"),))]) as farm:
        ports = f"{farm.ports['a']},{server.sockets[0].getsockname()[1]}"
        few = ("--units", "247,246,245,244", "--timeout", "0.5")
        process = await start("scan", "tcp", "127.0.0.1", "--port", ports, *few, "--json")
        assert process.stderr is not None
        assert b"9010KETU000W0000" in await process.stderr.readline()
        code, out = await interrupted(process)
    assert code == 130
    document = json.loads(out)
    assert document["finished"] is False
    assert [device["identity"]["profile"] for device in document["devices"]] == ["goodwe-et"]


async def test_a_public_network_is_not_scanned() -> None:
    code, out, err = await holdfast("scan", "tcp", "8.8.8.0/24")
    assert (code, out) == (2, "")
    assert "not a private network" in err


async def test_explored_registers_are_told_in_every_type() -> None:
    image = Image(1, {"input": {5: 0x4366, 6: 0x6666, 7: 1}})
    async with Farm([SimulatedBus("a", (SimulatedDevice("d", 1, image),))]) as farm:
        where = ("--tcp", f"127.0.0.1:{farm.ports['a']}", "--table", "input", "--from", "5", "--count", "4")
        code, out, _ = await holdfast("explore", *where, "--like", "230.4", "--once", "--json")
        assert code == 0
        document = json.loads(out)
        assert document["registers"][0]["like"] == ["f32"]
        assert document["registers"][2]["values"]["u32"] is None
        assert document["refused"] == [{"register": 8, "count": 1, "exception": 2}]
        code, out, _ = await holdfast("explore", *where, "--like", "230.4", "--once")
        assert code == 0
        assert "*230.4" in out
        assert "refused: 8 (it has no such address)" in out


async def test_a_device_that_was_read_once_can_be_read_again_out_of_its_capture(tmp_path: Path) -> None:
    usual = ("read", "--profile", "goodwe-et", "--unit", "247", "--json")
    async with Farm([SimulatedBus("a", (recorded("goodwe-et-gw10k"),))]) as farm:
        where = f"127.0.0.1:{farm.ports['a']}"
        code, out, _ = await holdfast(*usual, "--tcp", where, "--capture", tmp_path / "c")
    assert code == 0
    process = await start("replay", tmp_path / "c")
    assert process.stdout is not None
    assert b"unit 247" in await process.stdout.readline()
    where = (await process.stdout.readline()).decode().strip()
    code, again, _ = await holdfast(*usual, "--tcp", where)
    assert code == 0
    assert json.loads(again)["points"] == json.loads(out)["points"]
    assert (await interrupted(process))[0] == 0


async def test_a_capture_between_master_and_device_ends_with_ctrl_c_and_is_whole(tmp_path: Path) -> None:
    async with Farm([SimulatedBus("a", (recorded("pzem-004t"),), framing="rtu")]) as farm:
        device = ("--tcp", f"127.0.0.1:{farm.ports['a']}", "--framing", "rtu")
        process = await start("capture", *device, tmp_path / "c")
        assert process.stdout is not None
        between = (await process.stdout.readline()).split()[4].decode().rstrip(";")
        read = ("read", "--profile", "pzem-004t", "--tcp", between, "--framing", "rtu")
        assert (await holdfast(*read))[0] == 0
        code, out = await interrupted(process)
    assert code == 0
    assert "bytes heard" in out
    lines = [json.loads(line) for line in (tmp_path / "c").read_text().splitlines()]
    assert [lines[0]["holdfast_capture"], lines[0]["framing"], lines[1]["dir"]] == [1, "rtu", ">"]


async def test_what_is_no_capture_is_not_replayed(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("buses: []\n")
    code, _, err = await holdfast("replay", tmp_path / "c")
    assert code == 2
    assert "not the first line of a capture" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("capture", "--tcp", "h", "c", "--listen", "127.0.0.1:99999"),
            "--listen: 127.0.0.1:99999: expected HOST:PORT",
        ),
        (("capture", "--tcp", "h", "c", "--listen", "127.0.0.1:\u00b2"), "expected HOST:PORT"),
        (("capture", "--tcp", "h", "c", "--size-mb", "nan"), "'nan' is not a number"),
        (("capture", "--tcp", "h:\u00b2", "c"), "expected HOST:PORT or HOST"),
        (("capture", "--tcp", "a..b", "c"), "expected HOST:PORT or HOST"),
        (("scan", "tcp", "127.0.0.1", "--timeout", "nan"), "'nan' is not a number"),
        (("explore", "--serial", "", "--from", "0"), "--serial: expected the path of a port"),
        (("explore", "--serial", "x", "--from", "0", "--baud", "-1"), "--baud"),
        (("read", "--profile", "kerong-cu16", "--serial", "x"), "kerong-cu16 speaks no Modbus, and cannot be read so"),
        (("read", "--profile", "selectronic-sp-pro", "--tcp", "x"), "cannot be read so"),
    ],
)
async def test_a_wrong_command_line_is_said_in_a_line_and_ends_with_2(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = await holdfast(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


async def test_a_wrong_profile_is_left_out_of_a_scan_which_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/mine.yaml").write_bytes(b"make: \xff\n")
    monkeypatch.chdir(tmp_path)
    async with Farm([SimulatedBus("a", (recorded("goodwe-et-gw10k"),))]) as farm:
        where = ("127.0.0.1", "--port", str(farm.ports["a"]), "--timeout", "0.1")
        code, out, err = await holdfast("scan", "tcp", *where)
    assert code == 0
    assert "9010KETU000W0000" in out
    assert "the profile mine is left out: mine.yaml: cannot be read: not UTF-8" in err


INTERRUPTED = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *rest):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
import gateway.cli
"""


async def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INTERRUPTED, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert (process.returncode, err) == (-signal.SIGINT, b"")


async def test_when_the_program_is_loaded_ctrl_c_can_be_taken_again() -> None:
    code = "import gateway.cli, signal; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT)
    assert await process.wait() == 0
