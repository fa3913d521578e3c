"""The pages of completeness, of what came in, and of one node: what they show, to whom, on both stores."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sync.hub.store.contract import Audit
from sync.hub.web.rights import Grant, Role
from tests.hub.clock import NOW
from tests.hub.everything import hub
from tests.hub.signed import sign_in
from tests.hub.stores import KINDS, opened, place


@pytest.fixture(params=KINDS)
async def where(request: pytest.FixtureRequest) -> str:
    return await place(request.param, request)


@pytest.fixture
async def client(where: str, tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    async with hub(where, tmp_path) as client:
        yield client


async def text(client: TestClient[Any, Any], path: str, status: int = 200) -> str:
    answer = await client.get(path)
    assert answer.status == status, await answer.text()
    return str(await answer.text())


def batches(page: str) -> list[str]:
    """Whose they are, in their order."""
    return re.findall(r'<td><a href="/nodes/([^"]+)">', page)


async def test_batches_are_found_by_node_type_and_what_was_wrong(client: TestClient[Any, Any]) -> None:
    assert {"mill-1", "dam-1"} <= set(batches(await text(client, "/ingest")))
    assert set(batches(await text(client, "/ingest?of=dam-1"))) == {"dam-1"}
    assert batches(await text(client, "/ingest?only=error")) == ["mill-1"]
    assert "No batch is as you ask" in await text(client, "/ingest?of=nobody")
    assert "No batch is as you ask" in await text(client, "/ingest?only=duplicates&type=records")
    for wrong in ("only=all", "after=x", "of=" + "x" * 201):
        assert "That did not work" in await text(client, f"/ingest?{wrong}", 400)


async def test_older_batches_are_on_further_pages_and_none_is_there_twice(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store:
        for n in range(150):
            await store.note(Audit(NOW + n, "mill-1", "heartbeat", f"c{n}", 1))
    async with hub(where, tmp_path) as client:
        seen, path = list[str](), "/ingest?type=heartbeat"
        while path:
            page = await text(client, path)
            seen += re.findall(r"<code>(c\d+)</code>", page)
            found = re.search(r'rel="next" href="([^"]+)"', page)
            path = found[1].replace("&amp;", "&") if found else ""
        assert seen == [f"c{n}" for n in reversed(range(150))]


@pytest.mark.P10
async def test_completeness_is_by_the_time_zone_of_the_site_and_says_so(client: TestClient[Any, Any]) -> None:
    page = await text(client, "/nodes/mill-1/completeness?month=2026-09")  # NOW is 2026-09-21, 16:13 in Warsaw
    assert "Days and hours are those of Europe/Warsaw" in page
    assert "2026-09-21 16:00: 399 records" in page
    assert "month=2026-08" in page
    assert "month=2026-10" not in page
    for wrong in ("month=2026-13", "month=1969-12", "month=x", "device=" + "x" * 201):
        assert 'aria-current="true">Fleet' in await text(client, f"/nodes/mill-1/completeness?{wrong}", 400)


@pytest.mark.P11
async def test_what_others_sent_and_hold_is_not_told(client: TestClient[Any, Any]) -> None:
    await sign_in(client, Grant(Role.VIEWER, "south"), name="sue")
    assert set(batches(await text(client, "/ingest"))) == {"dam-1", "quay-1"}
    assert "No batch is as you ask" in await text(client, "/ingest?of=mill-1")
    for path in ("/nodes/mill-1", "/nodes/mill-1/completeness", "/nodes/nobody/completeness"):
        assert "not there, or not yours to see" in await text(client, path, 404)
    mine = await text(client, "/nodes/dam-1")
    assert "Move it" not in mine
    assert 'href="/enrol' not in mine


async def test_a_node_that_never_came_has_no_ages(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store, store.sql.transaction() as db:
        await db.execute("INSERT INTO node (id, first_seen, last_seen) VALUES ('new-1', 0, 0)")
    async with hub(where, tmp_path) as client:
        page = await text(client, "/nodes/new-1")
        assert "has never heard of it" in page
        for path in ("/nodes/new-1", "/?q=new-1", "/?q=new-1&show=table"):
            assert not re.search(r"\d+ (d|h|min|s) (ago|behind|old)", page := await text(client, path)), page
        assert "there is nothing to be complete" in await text(client, "/nodes/new-1/completeness")
