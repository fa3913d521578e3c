"""What `holdfast export` writes, read back as a spreadsheet or a program would."""

import asyncio
import csv
import io
import json
import sqlite3
import struct
import sys
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import BACKFILLED, UNCERTAIN, Layout, Point, Record
from gateway.export import shortest
from tests.buffer.onfile import ROOT, fill, holdfast, opened, site_yaml, writer
from tests.values import METER, meter, power

NOON = 1_795_172_400_000  # 2026-11-20T12:00 in Berlin
MIXED = Layout(
    "=cmd|' C calc'!A0", "live",
    (
        Point("-balance", "f32", unit="€"), Point("state", "u16", kind="enum", names={"2": "@fault"}),
        Point("note", "text:20", kind="text"), Point("total", "i32", unit="kWh", scale="0.1"),
    ),
)  # fmt: skip


async def rows(*arguments: str | Path) -> list[dict[str, str]]:
    """What is exported, cell by cell."""
    code, out, err = await holdfast("export", *arguments)
    assert (code, err) == (0, "")
    return list(csv.DictReader(io.StringIO(out, newline="")))


async def test_every_reading_is_a_row_with_time_unit_and_quality(tmp_path: Path) -> None:
    site = site_yaml(tmp_path)
    async with opened(tmp_path / "buffer.db") as buffer:
        buffer.put(METER, [power(NOON + ms, ms) for ms in (0, 1000)])
        await buffer.flushed()
        await buffer.sealing.seal()
        buffer.put(METER, [Record(METER.id, NOON + 2500, METER.rows.pack([None, 2301]), BACKFILLED | UNCERTAIN)])
        await buffer.flushed()
    code, out, err = await holdfast("export", "--config", site)
    assert (code, err) == (0, "")
    assert out.split("\r\n") == [
        "time,device,point,value,unit,quality,flags,words",
        "2026-11-20T12:00:00.000+01:00,meter,power,0,W,good,,",
        "2026-11-20T12:00:00.000+01:00,meter,voltage,230.0,V,good,,",
        "2026-11-20T12:00:01.000+01:00,meter,power,1000,W,good,,",
        "2026-11-20T12:00:01.000+01:00,meter,voltage,230.0,V,good,,",
        "2026-11-20T12:00:02.500+01:00,meter,power,,W,missing,backfilled uncertain,",
        "2026-11-20T12:00:02.500+01:00,meter,voltage,230.1,V,good,backfilled uncertain,",
        "",
    ]


async def test_text_that_a_spreadsheet_would_run_is_disarmed_and_numbers_are_not(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        buffer.put(MIXED, [Record(MIXED.id, NOON, MIXED.rows.pack([-230.1, 2, '+1,"2"\r\n', -15]))])
        await buffer.flushed()
    found = await rows("--config", site_yaml(tmp_path))
    assert [(row["device"], row["point"], row["value"], row["words"]) for row in found] == [
        ("'=cmd|' C calc'!A0", "'-balance", "-230.1", ""),
        ("'=cmd|' C calc'!A0", "state", "2", "'@fault"),
        ("'=cmd|' C calc'!A0", "note", '\'+1,"2"\r\n', ""),
        ("'=cmd|' C calc'!A0", "total", "-1.5", ""),
    ]


async def test_devices_points_and_times_are_chosen(tmp_path: Path) -> None:
    site, day = site_yaml(tmp_path), 86_400_000
    async with opened(tmp_path / "buffer.db") as buffer:
        for layout in (METER, meter("other")):
            for start in (NOON - day, NOON, NOON + day):
                buffer.put(layout, [power(start + ms, 5, layout=layout) for ms in (0, 1000)])
                await buffer.flushed()
                await buffer.sealing.seal()
        buffer.put(METER, [power(NOON + 1500, 7)])
        await buffer.flushed()
    chosen = ("--config", site, "--device", "meter", "--point", "power")
    times = [row["time"] for row in await rows(*chosen, "--from", "2026-11-20", "--to", "2026-11-20")]
    assert [time[11:23] for time in times] == ["12:00:00.000", "12:00:01.000", "12:00:01.500"]
    since = await rows(*chosen, "--from", "2026-11-20T12:00:01+01:00", "--to", "2026-11-21T11:00Z", "--utc")
    assert [row["time"] for row in since] == ["2026-11-20T11:00:01.000+00:00", "2026-11-20T11:00:01.500+00:00"]
    assert len(await rows("--config", site, "--device", "meter", "--device", "other")) == 26
    assert await rows(*chosen, "--from", "-1min") == []


async def test_an_unknown_device_or_point_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(3))
    for option, wrong, right in (("--device", "metr", "meter"), ("--point", "pwer", "power")):
        code, out, err = await holdfast("export", "--config", site_yaml(tmp_path), option, wrong)
        assert (code, out) == (2, "")
        assert f"did you mean {right}?" in err


async def test_an_end_before_the_beginning_is_refused_rather_than_nothing_written(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(3))
    wrong = ("--from", "2026-11-21", "--to", "2026-11-20")
    code, out, err = await holdfast("export", "--config", site_yaml(tmp_path), *wrong)
    assert (code, out) == (2, "")
    assert "the end is not after the beginning" in err


async def test_a_mean_has_no_digits_that_binary_fractions_put_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        for second, tenths in enumerate((4001, 4002, 4001)):
            buffer.put(METER, [Record(METER.id, NOON + 1000 * second, METER.rows.pack([1, tenths]))])
        await buffer.flushed()
    (row,) = await rows("--config", site_yaml(tmp_path), "--resolution", "1m", "--point", "voltage")
    assert (row["value"], row["low"], row["high"], row["readings"]) == ("400.133333333", "400.1", "400.2", "3")


async def test_wide_has_a_row_for_each_time_and_device_whatever_its_poll_groups(tmp_path: Path) -> None:
    slow = Layout("meter", "slow", (Point("energy", "u32", unit="kWh"),))
    async with opened(tmp_path / "buffer.db") as buffer:
        for layout, row in ((METER, [1, 2300]), (meter("other"), [2, 2310]), (slow, [77])):
            buffer.put(layout, [Record(layout.id, NOON, layout.rows.pack(row))])
        await buffer.flushed()
    site = site_yaml(tmp_path)
    assert [list(row.values())[1:] for row in await rows("--config", site, "--wide")] == [
        ["meter", "", "1", "230.0", "77"],
        ["other", "", "2", "231.0", ""],
    ]
    _, out, _ = await holdfast("export", "--config", site, "--wide")
    assert out.startswith("time,device,flags,power [W],voltage [V],energy [kWh]\r\n")
    _, out, _ = await holdfast("export", "--config", site, "--wide", "--format", "ndjson", "--device", "meter")
    assert json.loads(out) == {
        "time": "2026-11-20T12:00:00.000+01:00", "ts": NOON, "device": "meter", "flags": [],
        "values": {"power": 1, "voltage": 230.0, "energy": 77},
    }  # fmt: skip


async def test_ndjson_has_an_object_a_line(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        buffer.put(MIXED, [Record(MIXED.id, NOON, MIXED.rows.pack([None, 2, "=1", 15]), UNCERTAIN)])
        await buffer.flushed()
    _, out, _ = await holdfast("export", "--config", site_yaml(tmp_path), "--format", "ndjson")
    first, second, third, _ = map(json.loads, out.splitlines())
    assert first == {
        "time": "2026-11-20T12:00:00.000+01:00", "ts": NOON, "device": MIXED.device, "point": "-balance",
        "value": None, "unit": "€", "quality": "missing", "flags": ["uncertain"],
    }  # fmt: skip
    assert (second["value"], second["words"]) == (2, "@fault")
    assert third["value"] == "=1"


async def test_a_file_is_whole_or_not_there_and_excel_knows_its_encoding(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(3))
    usual = ("export", "--config", site_yaml(tmp_path), "-o", tmp_path / "out.csv")
    assert (await holdfast(*usual))[0] == 0
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbftime,device")
    code, _, err = await holdfast(*usual)
    assert code == 2
    assert "there is such a file already" in err
    (tmp_path / "out.csv").unlink()
    assert (await holdfast(*usual, under=("prlimit", "--fsize=100")))[0] == 1
    assert not list(tmp_path.glob("out.csv*"))


async def test_what_is_damaged_is_left_out_and_said(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        for start in (0, 100, 200):
            await fill(buffer, range(start, start + 100), seal=True)
    with closing(sqlite3.connect(tmp_path / "buffer.db")) as db, db:
        db.execute("UPDATE block SET bytes = substr(bytes, 1, 30) WHERE segment = 100")
    code, out, err = await holdfast("export", "--config", site_yaml(tmp_path), "--point", "power")
    assert (code, out.count("\r\n")) == (1, 201)
    assert "damaged and left out: segment 100" in err
    beyond = ("--from", "1970-01-01T00:00:00.200Z")
    assert (await holdfast("export", "--config", tmp_path / "site.yaml", *beyond))[::2] == (0, ""), "it is not read"


async def test_nothing_is_missed_or_doubled_while_the_gateway_writes_and_seals(tmp_path: Path) -> None:
    site = site_yaml(tmp_path)
    async with writer(tmp_path / "buffer.db") as said:
        for _ in range(3):
            first = int(await said.readline())
            found = await rows("--config", site, "--point", "power", "--utc")
            assert [int(row["value"]) for row in found] == list(range(len(found)))
            assert len(found) >= first
            await said.read(1 << 20)
            await said.readline()  # what was read may end within a line


async def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(50_000))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "export", "--config", site_yaml(tmp_path),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as `head` does
    assert await process.stderr.read() == b""
    await process.wait()


def same_float32(text: str, value: float) -> bool:
    try:
        return struct.pack(">f", float(text)) == struct.pack(">f", value)
    except OverflowError:
        return False


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_is_written_with_as_few_digits_as_tell_it_from_its_neighbours(value: float) -> None:
    enough = next(digits for digits in range(7, 10) if same_float32(f"{value:.{digits}g}", value))
    assert shortest(value) == float(f"{value:.{enough}g}")
