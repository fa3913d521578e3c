"""A real gateway whose file is spoilt under it, or before it starts: it goes on, and ends with what could be saved."""

import sqlite3
from pathlib import Path

import pytest

from tests.faults.gateways import Site, gateway, kept, nothing_is_missing, run_to_its_end, served

PAGE = 1024


def spoil(path: Path, *pages: int) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)


async def stored(site: Site, records: int) -> None:
    await site.until(lambda s: s["buffer"]["head"] >= records and not s["buffer"]["error"])


@pytest.mark.P1
async def test_a_file_that_is_spoilt_while_the_gateway_runs(tmp_path: Path) -> None:
    """Its very first page, and the pages after it; a chart is the first to meet them."""
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        await stored(site, 20)
        spoil(tmp_path / "buffer.db", *range(40))
        async with site.http.get(site.url + "/api/v1/history?device=counter&key=answers&minutes=1") as answer:
            assert answer.status == 503
        before = (await site.state())["buffer"]["head"]
        await stored(site, before + 30)
        await site.polls_go_on()
        given = served(tmp_path)[-1]
        assert await site.stop() == 0, site.log()
    counts, _ = await kept(tmp_path / "buffer.db")
    assert counts[-1] >= given
    assert list(tmp_path.glob("buffer.db.damaged-*"))


@pytest.mark.P1
async def test_a_page_in_the_middle_that_was_spoilt_before_the_start_is_found_and_what_is_lost_counted(
    tmp_path: Path,
) -> None:
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        await stored(site, 60)
        await nothing_is_missing(site)
    first, _ = await kept(tmp_path / "buffer.db")
    pages = (tmp_path / "buffer.db").stat().st_size // PAGE
    spoil(tmp_path / "buffer.db", pages - 3)
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        await site.until(lambda s: bool(list(tmp_path.glob("buffer.db.damaged-*"))))
        await stored(site, 70)
        await site.polls_go_on()
        given = served(tmp_path)[-1]
        while "buffer repaired" not in site.log():
            await site.polls_go_on()
        assert await site.stop() == 0, site.log()
    counts, events = await kept(tmp_path / "buffer.db")
    told = [event.detail for event in events if event.kind == "buffer_repaired"]
    assert len(told) == 1
    assert counts[-1] >= given
    missing = set(first) - set(counts)
    assert len(missing) <= int(told[0].rpartition("at most ")[2].split()[0])


async def test_a_file_of_a_newer_release_that_this_one_cannot_read_is_left_alone(tmp_path: Path) -> None:
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        await stored(site, 5)
        await nothing_is_missing(site)
    with sqlite3.connect(tmp_path / "buffer.db") as db:
        db.execute("INSERT INTO meta (key, value) VALUES ('readable_by', '98')")
        db.execute("PRAGMA user_version = 99")
    db.close()
    code, said = await run_to_its_end(tmp_path)
    assert code == 1
    assert "written by a newer release" in said
    assert "install that release" in said
