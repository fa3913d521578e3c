"""A node's configuration over HTTP and as a page: what is in effect, what is wanted, how they differ."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from gateway.core import wording
from gateway.core.errors import ConfigError
from sync.hub.fleet.configurations import Configuration, Configurations
from sync.hub.people.acts import Acts
from sync.hub.web.api import ApiError, Call, Nothing, Route
from sync.hub.web.rights import Role
from sync.hub.web.shell import NoQuery, Page

PATH = "/api/v1/nodes/{node}/configuration"
VALID_S = 86_400.0  # a node that is away comes back within a day, perhaps


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a PUT; `valid_s`: so long the node may still begin with it."""

    text: str
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    valid_s: Annotated[float, msgspec.Meta(ge=60, le=30 * 86_400)] = VALID_S


class ConfigPages:
    def __init__(self, configurations: Configurations, acts: Acts) -> None:
        self._configurations = configurations
        self._acts = acts

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path=PATH, summary="A node's configuration: reported, desired, and how they differ",
                right=Role.VIEWER, handle=self._get, query=Nothing, body=Nothing, answer=Configuration,
            ),
            Route(
                method="PUT", path=PATH, summary="Have a node try another site.yaml, on trial",
                right=Role.OPERATOR, handle=self._put, query=Nothing, body=Wanted, answer=Configuration,
            ),
        )  # fmt: skip

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/nodes/{node}/configuration", template="configuration.html", right=Role.VIEWER,
                view=self._view, query=NoQuery, under="/",
            ),
            Page(
                path="/part/nodes/{node}/configuration", template="_configuration.html", right=Role.VIEWER,
                view=self._view, query=NoQuery,
            ),
        )  # fmt: skip

    async def _get(self, call: Call[Nothing, Nothing]) -> Configuration:
        return await self._configurations.of(call.path["node"])

    async def _put(self, call: Call[Nothing, Wanted]) -> Configuration:
        node, wanted = call.path["node"], call.body
        try:
            command_id = await self._configurations.want(
                node, wanted.text, by=call.caller.name, reason=wanted.reason, now=call.now,
                not_after=call.now + round(wanted.valid_s * 1000),
            )  # fmt: skip
        except ConfigError as error:
            raise ApiError(400, error.in_full) from error
        await self._acts.note(call, "orders a configuration", node, f"command {command_id}: {wanted.reason}")
        return await self._configurations.of(node)

    async def _view(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        found = await self._configurations.of(call.path["node"])
        return config_view(found, call.now) | {"may": call.caller.may(Role.OPERATOR, call.place)}


LAYERS = {"default": "built in", "site": "site.yaml", "local": "site_local.yaml"}


def config_view(found: Configuration, now: int) -> dict[str, Any]:
    """As the page shows it; pure."""
    reported, desired = found.reported, found.desired
    return {
        "node": found.node,
        "reported": reported is not None,
        "cut": reported.cut if reported else "",
        "told": f"told {wording.age_text(now - reported.at)} ago" if reported else "",
        "stale": reported is not None and not reported.current,
        "state": desired.state if desired else "",
        "level": _level(desired.state) if desired else "none",
        "words": desired.words if desired else "",
        "since": f"{wording.age_text(now - desired.changed)} ago" if desired else "",
        "drift": found.drift,
        "diff": [{"text": line, "kind": _kind(line)} for line in found.diff.splitlines()],
        "keys": [
            {"key": one.key, "reported": _value(one.reported), "desired": _value(one.desired)} for one in found.keys
        ],
        "values": [
            {"key": one.key, "value": _value(one.value), "layer": LAYERS[one.layer], "kind": one.layer}
            for one in (reported.values if reported else ())
        ],
        "text": found.text if found.differs else (reported.text if reported else found.text),
        "history": [
            {"at": wording.utc_text(one.at), "by": one.by, "reason": one.reason, "state": one.state, "words": one.words}
            for one in found.history
        ],
    }


def _level(state: str) -> str:
    return {"applied": "good", "rolled back": "bad", "expired": "bad", "unknown": "bad"}.get(state, "none")


def _kind(line: str) -> str:
    return {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "")


def _value(value: object) -> str:
    if value is None:
        return wording.DASH
    return str(value).lower() if isinstance(value, bool) else str(value)
