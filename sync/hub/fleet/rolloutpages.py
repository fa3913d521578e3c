"""Roll-outs as pages: how far each wave is, what stopped one, and which releases the fleet runs."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.core import wording
from sync.hub.fleet.rolloutapi import Releases, RolloutApi, RolloutDetail, RolloutMember
from sync.hub.fleet.rolloutstore import Rollout
from sync.hub.web.api import Call, Nothing
from sync.hub.web.paging import Listed
from sync.hub.web.rights import Role
from sync.hub.web.shell import ListShown, Page

SHOWN = 100


class RolloutPages:
    def __init__(self, api: RolloutApi) -> None:
        self._api = api

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/rollouts", template="rollouts.html", right=Role.VIEWER, view=self._list, query=ListShown,
                nav="Roll-outs",
            ),
            Page(
                path="/rollouts/{rollout}", template="rollout.html", right=Role.VIEWER, view=self._one,
                query=ListShown, under="/rollouts",
            ),
            Page(
                path="/part/rollouts/{rollout}", template="_rollout.html", right=Role.VIEWER, view=self._one,
                query=ListShown,
            ),
        )  # fmt: skip

    async def _list(self, call: Call[ListShown, Nothing]) -> dict[str, Any]:
        view = list_view(
            await self._api.lines(call.caller, call.query.after, SHOWN), await self._api.releases(call), call.now
        )
        return view | {"may": call.caller.may_somewhere(Role.OPERATOR)}

    async def _one(self, call: Call[ListShown, Nothing]) -> dict[str, Any]:
        detail = await self._api.get(call)
        members = await self._api.members(detail.rollout, call.query.after, SHOWN)
        may = call.caller.may(Role.OPERATOR, detail.rollout.place)
        return one_view(detail, members, call.now) | {"may": may, "after": call.query.after}


def list_view(found: Listed[Rollout], releases: Releases, now: int) -> dict[str, Any]:
    """Pure."""
    most = max((one.nodes for one in releases.items), default=1)
    return {
        "items": [_line(one, now) for one in found.items],
        "next": found.next,
        "releases": [
            {"version": one.version or "not known", "nodes": wording.number_text(one.nodes, ""), "count": one.nodes}
            for one in releases.items
        ],
        "most": most,
    }


def _line(one: Rollout, now: int) -> dict[str, Any]:
    what = f"release {one.spec.release}" if one.spec.kind == "update" else "configuration"
    return {
        "id": one.id, "what": what, "state": one.state, "level": LEVELS[one.state], "why": one.why, "by": one.by,
        "reason": one.spec.reason, "begun": f"{wording.utc_text(one.created)} UTC", "undoes": one.undoes,
        "age": f"{wording.age_text(now - one.changed)} ago",
        "count": f"{one.ordered} of {one.nodes} nodes" + (f", {one.ill} ill" if one.ill else ""),
        "place": " / ".join(filter(None, (one.organisation, one.site))) or "everywhere",
    }  # fmt: skip


LEVELS = {"running": "none", "paused": "none", "stopped": "bad", "done": "good"}


def one_view(detail: RolloutDetail, members: Listed[RolloutMember], now: int) -> dict[str, Any]:
    """Pure."""
    one = detail.rollout
    waves = [
        {
            "name": f"Wave {wave.wave + 1}", "nodes": wave.nodes, "well": wave.well, "ill": wave.ill,
            "under_way": max(0, wave.ordered - wave.well - wave.ill),
            "waiting": max(0, wave.nodes - max(wave.ordered, wave.well + wave.ill)),
            "words": _wave_words(wave.nodes, wave.ordered, wave.well, wave.ill),
        }
        for wave in detail.waves
    ]  # fmt: skip
    return _line(one, now) | {
        "waves": waves,
        "patch": one.spec.patch or one.spec.text,
        "rules": f"{_time(one.spec.soak_s)} between waves; stops where more than {one.spec.ill_max} nodes of a wave "
        f"fall ill; a node has {_time(one.spec.valid_s)} to fetch it",
        "members": [_member(member) for member in members.items],
        "next": members.next,
        "open": one.state in ("running", "paused"),
        "undoable": one.state in ("stopped", "done") and one.spec.kind == "configure" and one.ordered > 0,
    }


def _time(seconds: float) -> str:
    return wording.age_text(round(seconds * 1000)) if seconds else "no pause"


def _wave_words(nodes: int, ordered: int, well: int, ill: int) -> str:
    words = [f"{well} of {nodes} well"]
    words += [f"{ill} ill"] if ill else []
    words += [f"{ordered - well - ill} under way"] if ordered > well + ill else []
    return ", ".join(words)


def _member(one: RolloutMember) -> dict[str, Any]:
    state = one.state or "waits"
    words = one.ill or one.words
    return msgspec.structs.asdict(one) | {"state": "ill" if one.ill else state, "words": words, "wave": one.wave + 1}
