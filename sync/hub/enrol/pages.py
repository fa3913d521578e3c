"""The page on which gateways come and go: claim codes, and the nodes that have come."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.core import wording
from sync.hub.enrol.claims import Claim
from sync.hub.enrol.enrolled import EnrolledNode, EnrolledNodes, Hardware
from sync.hub.enrol.hubaddress import HubAddress
from sync.hub.web.api import Call, Nothing
from sync.hub.web.paging import itself, listed, name_before
from sync.hub.web.rights import Place, Role
from sync.hub.web.shell import ListShown, Page

SHOWN = 50  # nodes on one page
CHOICES = 1000


class EnrolShown(ListShown, frozen=True):
    """`replaces`: the node whose place a gateway is to take."""

    site: str = ""
    replaces: str = ""


class EnrolPages:
    """One page; what it does goes through the API."""

    def __init__(self, enrolled: EnrolledNodes, address: HubAddress) -> None:
        self._address = address
        self._enrolled = enrolled

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/enrol",
                template="enrol.html",
                right=Role.OPERATOR,
                view=self._view,
                query=EnrolShown,
                nav="Enrol",
            ),
        )

    async def _view(self, call: Call[EnrolShown, Nothing]) -> dict[str, Any]:
        caller, look = call.caller, call.query
        sites = await self._enrolled.sites(caller, "", CHOICES)
        nodes = await self._enrolled.nodes(caller, name_before(look.after), SHOWN + 1, call.now)
        piece = listed(nodes, SHOWN, itself, lambda node: (node.node,))
        claims = await self._enrolled.claims(caller, CHOICES, call.now)
        return {
            "sites": sites,
            "site": look.site,
            "replaces": look.replaces,
            "address": self._address.url(call.request),
            "fingerprint": await asyncio.to_thread(self._address.fingerprint),
            "claims": [_claim_view(claim, call.now) for claim in claims],
            "nodes": [
                _node_view(node, call.now) | {"may": caller.may(Role.OPERATOR, Place(node.organisation, node.site))}
                for node in piece.items
            ],
            "next": piece.next,
        }


def _claim_view(claim: Claim, now: int) -> dict[str, Any]:
    left = wording.age_text(claim.expires - now)
    return msgspec.structs.asdict(claim) | {"left": left}


def _node_view(node: EnrolledNode, now: int) -> dict[str, Any]:
    hardware = node.hardware or Hardware()
    return {
        "node": node.node,
        "site": node.site,
        "revoked": f"revoked {wording.age_text(now - node.revoked)} ago" if node.revoked is not None else "",
        "seen": f"seen {wording.age_text(now - node.last_seen)} ago" if node.last_seen else "never seen",
        "secret": _secret_text(node, now),
        "has_secret": node.secret_made is not None,
        "serial": hardware.serial,
        "mac": hardware.mac,
        "enrolled": f"enrolled {wording.age_text(now - hardware.at)} ago" if node.hardware else "",
    }


def _secret_text(node: EnrolledNode, now: int) -> str:
    if node.secret_made is None:
        return "no secret: it cannot come in"
    if node.changing_until is not None:
        left = wording.age_text(node.changing_until - now)
        return f"its secret is being changed; the old one is good for {left} at most"
    return f"its secret is {wording.age_text(now - node.secret_made)} old"
