"""The hub's pages as a person goes through them: every link leads somewhere; so each page is reached."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from tests.hub.everything import hub
from tests.hub.stores import KINDS, place

Client = TestClient[web.Request, web.Application]
ALIKE = 2  # pages that differ only in values of parameters: earlier ones go back for ever


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with hub(await place(request.param, request), tmp_path) as client:
        yield client


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
    assert {"/nodes/mill-1/completeness", "/sites", "/me"} <= {path.partition("?")[0] for path in seen}
    assert "/ingest" in seen
