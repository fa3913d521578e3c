"""The hub's pages as a person goes through them: every link leads somewhere; completeness and what came in."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from sync.hub.batchpage import batch_view
from sync.hub.completenesspage import calendar
from sync.hub.readingaudit import BatchLine
from sync.hub.readingcompleteness import DeviceHours
from sync.hub.rights import Grant, Role
from tests.hub.everything import hub
from tests.hub.signed import sign_in
from tests.hub.stores import KINDS, place

Client = TestClient[web.Request, web.Application]
ALIKE = 2  # pages that differ only in values of parameters: earlier ones go back for ever


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with hub(await place(request.param, request), tmp_path) as client:
        yield client


async def text_of(client: Client, path: str) -> str:
    answer = await client.get(path)
    assert answer.status == 200, f"{path}: {await answer.text()}"
    return await answer.text()


def links(text: str, here: str) -> set[str]:
    found = {urljoin(here, unescape(one)) for one in re.findall(r'<a [^>]*href="([^"#]+)"', text)}
    return {one for one in found if one.startswith("/")}


async def test_every_link_of_every_page_leads_somewhere(client: Client) -> None:
    todo, seen, shapes = ["/"], set[str](), Counter[str]()
    while todo:
        path = todo.pop(0)
        seen.add(path)
        answer = await client.get(path)
        assert answer.status == 200, path
        if answer.content_type == "text/html":
            for link in sorted(links(await answer.text(), path) - seen - set(todo)):
                shape = re.sub("=[^&]*", "=", link)
                shapes[shape] += 1
                todo += [link] if shapes[shape] <= ALIKE else []
    assert {"/batches", "/nodes/mill-1/completeness", "/nodes/mill-1/batches", "/sites", "/me"} <= seen


@pytest.mark.P10
def test_a_calendar_says_of_each_hour_what_is_held_of_what_should_be() -> None:
    held, expected = [60, 59, 30, 0, 0, 3, 60] + [0] * 19, [60, 60, 60, 60, 0, None, 60] + [60] * 19
    shown = calendar(DeviceHours("meter", held, expected, [0] * 6 + [5] + [0] * 19), 0)
    assert [day["day"] for day in shown["days"]] == ["1970-01-02", "1970-01-01"]
    cells = [(cell["mark"], cell["text"]) for cell in shown["days"][1]["cells"]]
    assert cells[:4] == [("whole", "100"), ("whole", "98"), ("some", "50"), ("lost", "0")]
    assert cells[4:7] == [("not", ""), ("some", "?"), ("some", "100!")]
    assert shown["days"][1]["held"] == "212; 5 more at the gateway"
    assert shown["days"][0]["held"] == "0 of 120"
    assert [len(day["cells"]) for day in shown["days"]] == [24, 24]


async def test_a_days_cells_and_earlier_days_are_on_the_page_of_completeness(client: Client) -> None:
    text = await text_of(client, "/nodes/mill-1/completeness")
    assert 'aria-label="Completeness of meter"' in text
    assert text.count('<th scope="row">') == 14
    assert "399 of 399" in text
    (earlier,) = re.findall(r'href="(\?before=\d+)">Earlier', text)
    assert ">Later<" not in text
    text = await text_of(client, f"/nodes/mill-1/completeness{earlier}")
    assert "399 of 399" not in text
    assert ">Later<" in text


async def test_what_came_in_is_shown_with_what_became_of_it(client: Client) -> None:
    everything = await text_of(client, "/batches")
    assert "dam-1" in everything
    refused = await text_of(client, "/nodes/mill-1/batches?only=error")
    assert refused.count("<time>") == 1
    assert "<td>no</td>" in refused
    assert "dam-1" not in refused
    assert "<td colspan" in await text_of(client, "/nodes/mill-1/batches?only=rejected")
    shown = batch_view(BatchLine(1, 0, "n", "s", "records", "c", 2048, 1234, 5, 6, "<b>"))
    assert (shown["accepted"], shown["bytes"], shown["error"]) == ("1,234", "2.0 kB", "<b>")


async def test_what_came_from_others_nodes_is_not_shown(client: Client) -> None:
    await sign_in(client, Grant(Role.VIEWER, "north"), name="eve")
    assert "dam-1" not in await text_of(client, "/batches")
    for path in ("completeness", "batches"):
        assert (await client.get(f"/nodes/dam-1/{path}")).status == 404
