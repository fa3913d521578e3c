"""The API of tariffs: written and checked as text, given to sites from a day on; and whose prices hold at a site."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import msgspec

from gateway.core.errors import ConfigError
from gateway.core.tariff import Tariff
from gateway.core.tariffcheck import mistakes, parse_tariff
from sync.hub.cost.tariffs import KeptTariff, Tariffs
from sync.hub.people.acts import Acts
from sync.hub.people.sites import SLUG
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.paging import Listed, Paged, itself, listed, marked
from sync.hub.web.rights import Caller, Place, Role

TEXT_MAX = 200_000
TariffText = Annotated[str, msgspec.Meta(max_length=TEXT_MAX, description="YAML or JSON, see docs/hub-prices.md")]
TariffId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Organisation = Annotated[str, msgspec.Meta(pattern=SLUG)]


class NewTariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    organisation: Organisation
    text: TariffText


class ChangedTariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: TariffText


class Mistake(msgspec.Struct, frozen=True):
    """line: of the text, from 1."""

    line: int
    words: str
    hint: str


class Checked(msgspec.Struct, frozen=True):
    """All that is wrong; nothing: it is good, and called `name`."""

    name: str
    mistakes: list[Mistake]


class Assignment(msgspec.Struct, frozen=True):
    since: date
    tariff: str
    name: str


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tariff: TariffId


class SiteArea(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    area: Annotated[str, msgspec.Meta(max_length=32)]


class TariffApi:
    """`areas`: those that prices are fetched for."""

    def __init__(self, tariffs: Tariffs, acts: Acts, areas: Sequence[str]) -> None:
        self._tariffs = tariffs
        self._acts = acts
        self._areas = areas

    def routes(self) -> Sequence[Route[Any, Any]]:
        one, of_site = "/api/v1/tariffs/{tariff}", "/api/v1/sites/{site}/tariffs"
        area = "/api/v1/sites/{site}/price-area"
        return (
            Route(
                method="GET", path="/api/v1/tariffs", summary="Tariffs of your organisations", right=Role.VIEWER,
                handle=self._list, query=Paged, body=Nothing, answer=Listed[KeptTariff],
            ),
            Route(
                method="POST", path="/api/v1/tariffs", summary="A new tariff", right=Role.ADMIN,
                handle=self._add, query=Nothing, body=NewTariff, answer=KeptTariff, status=201,
            ),
            Route(
                method="POST", path="/api/v1/tariffs/check", summary="What is wrong with the text of a tariff",
                right=Role.VIEWER, handle=self._check, query=Nothing, body=ChangedTariff, answer=Checked,
            ),
            Route(
                method="GET", path=one, summary="One tariff", right=Role.VIEWER,
                handle=self._one, query=Nothing, body=Nothing, answer=KeptTariff,
            ),
            Route(
                method="PUT", path=one, summary="Change a tariff; reports of the past change with it", right=Role.ADMIN,
                handle=self._change, query=Nothing, body=ChangedTariff, answer=KeptTariff,
            ),
            Route(
                method="DELETE", path=one, summary="Remove a tariff that no site has", right=Role.ADMIN,
                handle=self._remove, query=Nothing, body=Nothing, status=204,
            ),
            Route(
                method="GET", path=of_site, summary="Which tariff a site has from when on", right=Role.VIEWER,
                handle=self._of_site, query=Nothing, body=Nothing, answer=list[Assignment],
            ),
            Route(
                method="PUT", path=of_site + "/{since}", summary="Give a site a tariff from a local day on",
                right=Role.ADMIN, handle=self._assign, query=Nothing, body=Given, answer=list[Assignment],
            ),
            Route(
                method="DELETE", path=of_site + "/{since}", summary="Take back a tariff that a site has from a day on",
                right=Role.ADMIN, handle=self._take_off, query=Nothing, body=Nothing, status=204,
            ),
            Route(
                method="GET", path=area, summary="Whose market prices hold at a site", right=Role.VIEWER,
                handle=self._area, query=Nothing, body=Nothing, answer=SiteArea,
            ),
            Route(
                method="PUT", path=area, summary="Say whose market prices hold at a site", right=Role.ADMIN,
                handle=self._set_area, query=Nothing, body=SiteArea, answer=SiteArea,
            ),
        )  # fmt: skip

    async def _list(self, call: Call[Paged, Nothing]) -> Listed[KeptTariff]:
        organisations = sorted({grant.organisation for grant in call.caller.grants})
        after = marked(call.query.after, tuple[TariffId]) or ("",)
        found: dict[str, KeptTariff] = {}
        for organisation in [""] if "" in organisations else organisations:
            of_it = await self._tariffs.listed(organisation, after[0], call.query.limit + 1)
            found |= {kept.id: kept for kept in of_it}
        ordered = [found[tariff] for tariff in sorted(found)]
        return listed(ordered, call.query.limit, itself, lambda kept: (kept.id,))

    async def _check(self, call: Call[Nothing, ChangedTariff]) -> Checked:
        return checked(call.body.text)

    async def _add(self, call: Call[Nothing, NewTariff]) -> KeptTariff:
        organisation = call.body.organisation
        if not _sees(call.caller, organisation):
            raise ApiError(*NOT_THERE)
        self._want(call.caller, organisation)
        tariff = _parsed(call.body.text)
        kept = await self._tariffs.add(organisation, tariff.name, call.body.text, call.now)
        if kept is None:
            raise ApiError(*NOT_THERE)
        await self._note(call, "added a tariff", kept)
        return kept

    async def _one(self, call: Call[Nothing, Nothing]) -> KeptTariff:
        return await self.seen(call.caller, call.path["tariff"])

    async def seen(self, caller: Caller, tariff: str) -> KeptTariff:
        """Raises ApiError where it is not there, or another organisation's."""
        kept = await self._tariffs.one(tariff) if re.fullmatch("[0-9a-f]{16}", tariff) else None
        if kept is None or not _sees(caller, kept.organisation):
            raise ApiError(*NOT_THERE)
        return kept

    async def _change(self, call: Call[Nothing, ChangedTariff]) -> KeptTariff:
        kept = await self.seen(call.caller, call.path["tariff"])
        self._want(call.caller, kept.organisation)
        tariff = _parsed(call.body.text)
        site = await self._tariffs.site_with(kept.id)
        if site is not None and _unlike(tariff, _parsed(kept.text)):
            raise ApiError(409, f"the site {site} has this tariff: its currency and time zone stay as they are")
        await self._tariffs.change(kept.id, tariff.name, call.body.text, call.now)
        await self._note(call, "changed a tariff", kept)
        return msgspec.structs.replace(kept, name=tariff.name, text=call.body.text, changed=call.now)

    async def _remove(self, call: Call[Nothing, Nothing]) -> None:
        kept = await self.seen(call.caller, call.path["tariff"])
        self._want(call.caller, kept.organisation)
        if not await self._tariffs.remove(kept.id):
            site = await self._tariffs.site_with(kept.id)
            raise ApiError(409, f"the site {site} has this tariff; take it back there first")
        await self._note(call, "removed a tariff", kept)

    async def _of_site(self, call: Call[Nothing, Nothing]) -> list[Assignment]:
        return await self.of_site(call.place.site)

    async def of_site(self, site: str) -> list[Assignment]:
        return [Assignment(one.since, one.id, one.name) for one in await self._tariffs.of_site(site)]

    async def _assign(self, call: Call[Nothing, Given]) -> list[Assignment]:
        since = _day(call.path["since"])
        kept = await self._tariffs.one(call.body.tariff)
        if kept is None or kept.organisation != call.place.organisation:
            raise ApiError(422, f"tariff: {call.body.tariff} is not there, or another organisation's")
        tariff = _parsed(kept.text)
        for other in await self._tariffs.of_site(call.place.site):
            if other.since != since and _unlike(tariff, _parsed(other.text)):
                words = f"{other.name}, which the site has from {other.since} on, has another currency or time zone"
                raise ApiError(409, f"{words}; one site has one of each")
        await self._tariffs.assign(call.place.site, since, kept.id)
        await self._acts.note(call, "gave a site a tariff", call.place.site, f"{kept.name} from {since} on")
        return await self.of_site(call.place.site)

    async def _take_off(self, call: Call[Nothing, Nothing]) -> None:
        since = _day(call.path["since"])
        if not await self._tariffs.take_off(call.place.site, since):
            raise ApiError(404, f"the site has no tariff that begins on {since}")
        await self._acts.note(call, "took a tariff from a site", call.place.site, f"the one from {since} on")

    async def _area(self, call: Call[Nothing, Nothing]) -> SiteArea:
        return SiteArea(await self._tariffs.area(call.place.site))

    async def _set_area(self, call: Call[Nothing, SiteArea]) -> SiteArea:
        if call.body.area not in self._areas:
            raise ApiError(422, f"area: expected one of {', '.join(self._areas) or 'none: hub.yaml names none'}")
        await self._tariffs.set_area(call.place.site, call.body.area)
        await self._acts.note(call, "set the price area of a site", call.place.site, call.body.area)
        return call.body

    async def _note(self, call: Call[Any, Any], action: str, kept: KeptTariff) -> None:
        """At the tariff's organisation."""
        await self._acts.note(call, action, kept.id, kept.name, place=Place(kept.organisation))

    @staticmethod
    def _want(caller: Caller, organisation: str) -> None:
        if not caller.may(Role.ADMIN, Place(organisation)):
            raise ApiError(403, "that wants the role admin of the whole organisation")


def checked(text: str) -> Checked:
    """All that is wrong with a text, for whoever writes it."""
    found = [_mistake(error) for error in mistakes(text)]
    return Checked("" if found else parse_tariff(text).name, found)


def _mistake(error: ConfigError) -> Mistake:
    _, line, words = str(error).split(":", 2)
    return Mistake(int(line), words.strip(), error.hint)


def _parsed(text: str) -> Tariff:
    """Raises ApiError with all that is wrong, a line each."""
    found = checked(text).mistakes
    if found:
        lines = (f"line {one.line}: {one.words}{'; ' if one.hint else ''}{one.hint}" for one in found[:20])
        raise ApiError(422, "\n".join(lines))
    return parse_tariff(text)


def _sees(caller: Caller, organisation: str) -> bool:
    """Whoever has a role anywhere in an organisation sees what it pays for energy."""
    return any(grant.organisation in ("", organisation) for grant in caller.grants)


def _unlike(tariff: Tariff, other: Tariff) -> bool:
    return (tariff.currency, tariff.timezone) != (other.currency, other.timezone)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ApiError(400, f"{text[:40]!r} is no day; expected one as 2026-11-21") from error
