"""The operator's page: every node, online or not, how far it lags, its last values."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core import wording
from gateway.core.errors import StorageError
from gateway.core.status import DeviceState, NodeState

Nodes = Callable[[], Awaitable[list[NodeState]]]


def add_pages(app: web.Application, nodes: Nodes, now_ms: Callable[[], int], static: Path) -> None:
    """Add the page, the part that it fetches again, and the JSON API; `static` has the pages' style and scripts."""
    pages = jinja2.Environment(loader=jinja2.PackageLoader("sync.hub"), autoescape=True)

    async def present(template: str) -> web.Response:
        view = fleet_view(await nodes(), now_ms())
        return web.Response(text=pages.get_template(template).render(view=view), content_type="text/html")

    async def get_home(request: web.Request) -> web.Response:
        """GET / -> the page."""
        return await present("nodes.html")

    async def get_part(request: web.Request) -> web.Response:
        """GET /part/nodes -> the list of nodes alone, as the page fetches it."""
        return await present("_nodes.html")

    async def get_nodes(request: web.Request) -> web.Response:
        """GET /api/v1/nodes -> [NodeState...]"""
        return web.Response(body=msgspec.json.encode(await nodes()), content_type="application/json")

    app.add_routes(
        [
            web.get("/", _answering(get_home)),
            web.get("/part/nodes", _answering(get_part)),
            web.get("/api/v1/nodes", _answering(get_nodes)),
            web.static("/static", static),
        ]
    )


def _answering(handle: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    """`handle`; where the store fails, it says so."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handle(request)
        except StorageError as error:
            words = f"The hub's store fails just now: {error}. The sites keep what they have; try again soon.\n"
            return web.Response(status=503, text=words)

    return answer


def fleet_view(nodes: list[NodeState], now: int) -> dict[str, Any]:
    """The fleet as the page shows it; pure."""
    online = sum(node.online for node in nodes)
    return {"title": f"{online} of {len(nodes)} nodes online", "nodes": [_node_view(node, now) for node in nodes]}


def _node_view(node: NodeState, now: int) -> dict[str, Any]:
    return {
        "node": node.node,
        "presence": "online" if node.online else "offline",
        "seen": f"{wording.age_text(now - node.last_seen)} ago",
        "lag": f"{wording.age_text(node.lag_ms)} behind" if node.newest else "no reading yet",
        "records": f"{wording.number_text(node.records, '')} records",
        "beat": _beat_text(node),
        "problems": node.problems,
        "devices": [_device_view(device, now) for device in node.devices],
    }


def _beat_text(node: NodeState) -> str:
    if node.backlog is None:
        return ""
    return f"release {node.version} · {wording.number_text(node.backlog, '')} records not sent"


def _device_view(device: DeviceState, now: int) -> dict[str, Any]:
    points = [
        {
            "label": wording.label(r.key),
            "text": wording.reading_text(r),
            "unit": "" if r.words or r.value is None else r.unit,
        }
        for r in wording.main_readings(device.readings)
    ]
    return {
        "name": device.name,
        "role": device.role,
        "age": f"{wording.age_text(now - device.ts)} ago",
        "points": points,
    }
