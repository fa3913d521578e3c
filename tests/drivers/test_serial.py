"""A serial port: pseudo-terminals joined by socat, libmodbus at the other end."""

import asyncio
import contextlib
import itertools
import os
import re
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from drivers.bus.channel import SerialChannel, lasting_name
from drivers.modbus.requests import (
    MaskWrite,
    Read,
    ReadWrite,
    Reply,
    WriteCoils,
    WriteMany,
    WriteOne,
    words_of,
)
from drivers.modbus.rtu import RtuLink, rtu_line
from gateway.core.errors import DeviceError
from tests.needs import needs

BAUD, UNIT = 9600, 17
SILENCE_S = 3.5 * 10 / BAUD


@asynccontextmanager
async def line_to(program: Path, folder: Path) -> AsyncIterator[tuple[RtuLink, Path]]:
    """A link on one end of a line, `program` on the other; and socat's log of what passed, with times."""
    needs("socat", "socat")
    ours, theirs, log = folder / "ours", folder / "theirs", folder / "log"
    with log.open("wb") as logged:
        socat = await asyncio.create_subprocess_exec(
            "socat", "-x", f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}", stderr=logged
        )
    while not (ours.exists() and theirs.exists()):
        await asyncio.sleep(0.01)
    server = await asyncio.create_subprocess_exec(program, theirs, str(BAUD), str(UNIT), stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    assert await server.stdout.readline() == b"ready\n"
    link = RtuLink(rtu_line(SerialChannel(str(ours), BAUD)))
    try:
        yield link, log
    finally:
        await link.close()
        for process in (server, socat):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def test_libmodbus_answers_every_function_on_a_serial_line(libmodbus: Path, tmp_path: Path) -> None:
    async with line_to(libmodbus, tmp_path) as (link, _):
        assert (await link.ask(Read(UNIT, 3, 500, 125), 2)).words == words_of(range(500, 625))
        assert (await link.ask(Read(UNIT, 4, 7, 2), 2)).words == words_of([7, 8])
        assert await link.ask(WriteOne(UNIT, 6, 20, 4711), 2) == Reply()
        assert await link.ask(WriteMany(UNIT, 21, words_of([1, 2, 3])), 2) == Reply()
        assert (await link.ask(Read(UNIT, 3, 20, 4), 2)).words == words_of([4711, 1, 2, 3])
        assert await link.ask(MaskWrite(UNIT, 23, 0xF2, 0x25), 2) == Reply()
        assert (await link.ask(Read(UNIT, 3, 23, 1), 2)).words == words_of([3 & 0xF2 | 0x25 & ~0xF2])
        both = ReadWrite(UNIT, 30, 2, 31, words_of([99]))
        assert (await link.ask(both, 2)).words == words_of([30, 99])
        assert await link.ask(WriteOne(UNIT, 5, 3, 0xFF00), 2) == Reply()
        assert await link.ask(WriteCoils(UNIT, 5, (True, False, True)), 2) == Reply()
        assert (await link.ask(Read(UNIT, 1, 3, 6), 2)).words == words_of([1, 0, 1, 0, 1, 0])
        assert await link.ask(Read(UNIT, 3, 65000, 10), 2) == Reply(exception=2)


async def test_three_and_a_half_characters_of_silence_part_an_answer_from_the_next_request(
    libmodbus: Path, tmp_path: Path
) -> None:
    """Seen from the line between, which can only see a longer silence than there was. socat counts microseconds."""
    async with line_to(libmodbus, tmp_path) as (link, log):
        for _ in range(20):
            await link.ask(Read(UNIT, 3, 0, 2), 2)
    stamps = re.findall(r"^([<>]) (\S+ \d\d:\d\d:\d\d)\.(\d+)", log.read_text(), re.MULTILINE)
    chunks = [
        (way, datetime.strptime(second, "%Y/%m/%d %H:%M:%S").timestamp() + int(part) / 1e6)
        for way, second, part in stamps
    ]
    gaps = [after[1] - before[1] for before, after in itertools.pairwise(chunks) if before[0] + after[0] == "<>"]
    assert len(gaps) == 19
    assert min(gaps) >= SILENCE_S, min(gaps)


@pytest.mark.P7
async def test_a_unit_that_is_not_there_leaves_the_others_their_answers(libmodbus: Path, tmp_path: Path) -> None:
    async with line_to(libmodbus, tmp_path) as (link, _):
        for _ in range(3):
            with pytest.raises(DeviceError, match="no answer from ours unit 18"):
                await link.ask(Read(18, 3, 0, 2), 0.2)
            assert (await link.ask(Read(UNIT, 3, 40, 2), 2)).words == words_of([40, 41])


async def test_an_adapter_that_is_pulled_fails_the_question_at_once_and_comes_back(tmp_path: Path) -> None:
    def plug_in() -> tuple[int, int]:
        master, slave = os.openpty()
        tty.setraw(master)
        port.unlink(missing_ok=True)
        port.symlink_to(os.ttyname(slave))
        return master, slave

    port = tmp_path / "adapter"
    master, slave = plug_in()
    link = RtuLink(rtu_line(SerialChannel(str(port), BAUD)))
    asked = asyncio.ensure_future(link.ask(Read(1, 3, 0, 1), 1000))
    await asyncio.get_running_loop().run_in_executor(None, os.read, master, 8)
    os.close(slave)
    os.close(master)
    with pytest.raises(DeviceError, match="closed the connection"):
        await asked
    with pytest.raises(DeviceError, match="there is no such port"):
        port.unlink()
        await link.ask(Read(2, 3, 0, 1), 1)
    master, slave = plug_in()
    again = asyncio.ensure_future(link.ask(Read(2, 3, 0, 1), 1000))
    await asyncio.get_running_loop().run_in_executor(None, os.read, master, 8)
    os.write(master, bytes.fromhex("0203 02 0007 bd86"))
    assert (await again).words == b"\0\7"
    await link.close()
    os.close(slave)
    os.close(master)


async def test_a_port_that_another_program_has_open_says_so(tmp_path: Path) -> None:
    master, slave = os.openpty()
    channel = SerialChannel(os.ttyname(slave), BAUD)
    first, second = RtuLink(rtu_line(channel)), RtuLink(rtu_line(channel))
    with pytest.raises(DeviceError, match="no answer"):
        await first.ask(Read(1, 3, 0, 1), 0.05)
    with pytest.raises(DeviceError, match="another program has it open"):
        await second.ask(Read(1, 3, 0, 1), 0.05)
    await first.close()
    await asyncio.sleep(0)
    os.close(master)
    os.close(slave)


def test_a_port_is_known_by_the_name_that_stays_with_its_adapter(tmp_path: Path) -> None:
    device, folder = tmp_path / "ttyUSB0", tmp_path / "by-id"
    device.touch()
    folder.mkdir()
    (folder / "usb-FTDI_A1").symlink_to(device)
    assert lasting_name(str(device), folder) == str(folder / "usb-FTDI_A1")
    assert lasting_name(str(folder / "usb-FTDI_A1"), folder) == ""
    assert lasting_name(str(tmp_path / "ttyUSB1"), folder) == ""
    assert lasting_name(str(device), tmp_path / "no such folder") == ""
