"""The site's page and its JSON API, on aiohttp; all routes stand in one list."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Annotated

import jinja2
import msgspec
from aiohttp import web

from gateway.core.errors import StorageError
from local_ui import guard, history
from local_ui.busview import buses_view, contacts_view
from local_ui.guard import headers, sign_in
from local_ui.metrics import CONTENT_TYPE, metrics_text
from local_ui.present import problems, site_view
from local_ui.push import ROUTE as PUSH_ROUTE
from local_ui.push import OpenPaths, Push, PushDoor
from local_ui.site import Site
from local_ui.storageview import storage_view
from local_ui.stream import STREAMS, Streams, end_streams, get_stream
from local_ui.sync import SyncDoor, SyncPages

SITE = web.AppKey("site", Site)
PAGES = web.AppKey("pages", jinja2.Environment)


class PaceWanted(msgspec.Struct, forbid_unknown_fields=True):
    """What POST /api/v1/storage/pace takes."""

    commit_s: Annotated[float, msgspec.Meta(ge=0.2, le=600)] | None


def build_app(
    site: Site, *, password_sha256: str | None, push: PushDoor | None = None, sync: SyncDoor | None = None
) -> web.Application:
    """The page of `site`; with `password_sha256` set, all but /healthz and what devices push asks for that password."""
    app = web.Application(middlewares=[headers, sign_in(password_sha256, OpenPaths()), say_storage_errors])
    app[SITE] = site
    app[STREAMS] = Streams()
    app[history.CHARTS] = asyncio.Semaphore(history.AT_ONCE)
    app[PAGES] = jinja2.Environment(loader=jinja2.PackageLoader("local_ui"), autoescape=True)
    static = Path(str(resources.files("local_ui").joinpath("static")))
    app.add_routes(
        [
            web.get("/", get_home),
            web.get("/buses", get_buses),
            web.get("/part/buses", get_buses_part),
            web.get("/contacts", get_contacts_page),
            web.get("/storage", get_storage),
            web.get("/part/storage", get_storage_part),
            web.get("/metrics", get_metrics),
            web.get("/healthz", get_healthz),
            web.get("/api/v1/state", get_state),
            web.get("/api/v1/view", get_view),
            web.get("/api/v1/stream", get_changes),
            web.get("/api/v1/history", get_history),
            web.get("/api/v1/energy", get_energy),
            web.get("/api/v1/contacts", get_contacts),
            web.post("/api/v1/storage/pace", post_pace),
            web.static("/static", static),
            *SyncPages(site, sync, app[PAGES]).routes(),
        ]
    )
    if push is not None:
        app.add_routes([web.post(PUSH_ROUTE, Push(push).post)])
    app.on_shutdown.append(end_streams)
    return app


@web.middleware
async def say_storage_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """While the disk gives nothing, what needs it says so; all the rest of the page goes on."""
    try:
        return await handler(request)
    except StorageError as error:
        return _error(503, error.in_full)


async def get_home(request: web.Request) -> web.Response:
    """GET / -> the page, complete with the state of this moment."""
    page = request.app[PAGES].get_template("home.html").render(view=site_view(request.app[SITE].state()))
    return web.Response(text=page, content_type="text/html")


async def get_buses(request: web.Request) -> web.Response:
    """GET /buses -> how each bus and unit does, and what to try."""
    return _buses(request, "buses.html")


async def get_buses_part(request: web.Request) -> web.Response:
    """GET /part/buses -> the part of that page that changes."""
    return _buses(request, "_buses.html")


def _buses(request: web.Request, template: str) -> web.Response:
    view = buses_view(request.app[SITE].state())
    return web.Response(text=request.app[PAGES].get_template(template).render(view=view), content_type="text/html")


async def get_storage(request: web.Request) -> web.Response:
    """GET /storage -> the buffer: its size, what was thinned, what is written."""
    return _storage(request, "storage.html")


async def get_storage_part(request: web.Request) -> web.Response:
    """GET /part/storage -> the part of that page that changes."""
    return _storage(request, "_storage.html")


def _storage(request: web.Request, template: str) -> web.Response:
    site = request.app[SITE]
    view = storage_view(site.state(), site.thinned())
    return web.Response(text=request.app[PAGES].get_template(template).render(view=view), content_type="text/html")


async def get_contacts_page(request: web.Request) -> web.Response:
    """GET /contacts?device=D -> the device's connection log."""
    device = request.query.get("device", "")
    try:
        contacts = await request.app[SITE].contacts(device)
    except KeyError:
        raise web.HTTPNotFound(text="there is no such device on a bus") from None
    view = contacts_view(request.app[SITE].state().site, device, contacts)
    page = request.app[PAGES].get_template("contacts.html").render(view=view)
    return web.Response(text=page, content_type="text/html")


async def get_metrics(request: web.Request) -> web.Response:
    """GET /metrics -> Prometheus's text format."""
    return web.Response(body=metrics_text(request.app[SITE].state()), headers={"Content-Type": CONTENT_TYPE})


async def get_healthz(request: web.Request) -> web.Response:
    """GET /healthz -> {"ok": true, "problems": [sentence...]}: the process is alive, and what ails it."""
    return web.json_response({"ok": True, "problems": problems(request.app[SITE].state())})


async def get_state(request: web.Request) -> web.Response:
    """GET /api/v1/state -> SiteState."""
    return _json(request.app[SITE].state())


async def get_view(request: web.Request) -> web.Response:
    """GET /api/v1/view -> the state as the page shows it, for browsers whose stream does not get through."""
    return _json(site_view(request.app[SITE].state()))


async def get_changes(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/stream -> server-sent events, see `get_stream`."""
    return await get_stream(request, request.app[SITE])


async def get_history(request: web.Request) -> web.Response:
    """GET /api/v1/history -> one point over a range of time, see `history.get_history`."""
    return await history.get_history(request, request.app[SITE])


async def get_energy(request: web.Request) -> web.Response:
    """GET /api/v1/energy -> what a counter counted, see `history.get_energy`."""
    return await history.get_energy(request, request.app[SITE])


async def get_contacts(request: web.Request) -> web.Response:
    """GET /api/v1/contacts?device=D -> {"device", "contacts": [{ts, device, status, error, response_ms}...]}

    The newest 200 lines of the device's connection log, newest first; it reaches back a week.
    """
    device = request.query.get("device", "")
    try:
        contacts = await request.app[SITE].contacts(device)
    except KeyError:
        return _error(404, "there is no such device on a bus")
    return _json({"device": device, "contacts": contacts})


async def post_pace(request: web.Request) -> web.Response:
    """POST /api/v1/storage/pace {"commit_s": S or null} -> {"commit_s": S}; null: as the configuration says."""
    try:
        guard.check_own(request)
        wanted = msgspec.json.decode(await request.read(), type=PaceWanted).commit_s
        await request.app[SITE].set_pace(wanted)
    except PermissionError as error:
        return _error(403, str(error))
    except (msgspec.ValidationError, msgspec.DecodeError):
        return _error(400, 'expected {"commit_s": a number of seconds from 0.2 to 600, or null}')
    except StorageError as error:
        return _error(503, str(error))
    return _json({"commit_s": request.app[SITE].state().buffer.commit_s})


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
