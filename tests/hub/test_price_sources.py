"""Prices as they are fetched: whole days or none, whatever a service answers."""

import asyncio
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web

from gateway.core.errors import ConfigError
from gateway.core.localtime import begin_of
from sync.hub.config import parse_hub_config
from sync.hub.prices.asking import Asker
from sync.hub.prices.generic import Generic
from sync.hub.prices.provider import PriceError, whole_day
from sync.hub.prices.pse import Pse
from sync.hub.prices.settings import DocumentConfig
from tests.hub.pricesource import WARSAW, Source, pse_rows, source

FRIDAY = date(2026, 11, 20)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("day", "count"), [(FRIDAY, 96), (date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2024, 6, 14), 96)]
)
async def test_a_day_of_pse_is_whole_also_where_the_clocks_change(day: date, count: int) -> None:
    async with source() as service:
        got = whole_day(await Pse(Asker(), service.url).day("PL", day), day, WARSAW)
    assert len(got) == count
    assert (got[0].ts, got[0].minutes, got[0].value, got[0].currency) == (begin_of(day, WARSAW), 15, 100, "PLN")
    assert got[-1].value == 99 + count


async def test_before_it_is_published_a_day_has_no_prices() -> None:
    async with source() as service:
        service.answer = lambda day: web.json_response({"value": []})
        assert await Pse(Asker(), service.url).day("PL", FRIDAY) == []


def changed(**fields: object) -> Callable[[date], web.StreamResponse]:
    def answer(day: date) -> web.StreamResponse:
        rows = pse_rows(day)
        rows[40] |= fields
        return web.json_response({"value": rows})

    return answer


ODD: dict[str, tuple[Callable[[date], web.StreamResponse], str]] = {
    "half": (lambda day: web.json_response({"value": pse_rows(day)[:48]}), "48 of 96 prices.*12:00"),
    "wrong day": (lambda day: web.json_response({"value": pse_rows(date(2026, 11, 19))}), "asked for 2026-11-20"),
    "an hour moved": (changed(dtime_utc="2026-11-22 10:00:00"), "another day"),
    "doubled": (lambda day: web.json_response({"value": pse_rows(day) * 2}), "192 prices where the day has 96"),
    "HTML": (lambda day: web.Response(text="<html>Przerwa techniczna</html>"), "not JSON, begins with '<html>"),
    "error": (lambda day: web.json_response({"error": {"code": "BadRequest"}}, status=400), "status 400"),
    "gone": (lambda day: web.Response(status=503, text="<html>"), "status 503"),
    "another shape": (lambda day: web.json_response({"data": []}), "no list `value`"),
    "a list": (lambda day: web.json_response([1, 2]), "no list `value`"),
    "odd rows": (lambda day: web.json_response({"value": [1, None]}), "a row is"),
    "cut": (lambda day: web.Response(text='{"value": [{"dtime_utc": "2026-'), "not JSON"),
    "deep": (lambda day: web.Response(text="[" * 100_000), "not JSON"),
    "no number": (changed(rce_pln="dużo"), "expected a number"),
    "no price": (changed(rce_pln=None), "expected a number"),
    "too dear": (changed(rce_pln=1e9), "is not from"),
    "NaN": (lambda day: web.Response(text='{"value": [{"business_date": "2026-11-20", "dtime_utc": '
                                     '"2026-11-20 10:00:00", "rce_pln": NaN}]}'), "expected a number"),
    "no time": (changed(dtime_utc="02a:15:00"), "dtime_utc is"),
    "huge": (lambda day: web.Response(body=b" " * 300_000), "more than 200000 bytes"),
    "not UTF-8": (lambda day: web.Response(body=b"\xff\xfe\xfa"), "not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
async def test_what_is_no_whole_day_is_refused_with_words(name: str) -> None:
    async with source() as service:
        service.answer, said = ODD[name]
        with pytest.raises(PriceError, match=said):
            whole_day(await Pse(Asker(body_max=200_000), service.url).day("PL", FRIDAY), FRIDAY, WARSAW)


async def test_a_service_that_says_nothing_is_given_up() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"value": [')
        await released.wait()
        return response

    service, released = Source(), asyncio.Event()
    service.server.app.router.add_get("/silent", silent)
    await service.server.start_server()
    try:
        with pytest.raises(PriceError, match="no whole answer within"):
            await Pse(Asker(timeout_s=0.05), str(service.server.make_url("/silent"))).day("PL", FRIDAY)
    finally:
        released.set()
        await service.server.close()


async def test_a_service_that_is_not_there_is_told() -> None:
    async with source() as service:
        url = service.url
    with pytest.raises(PriceError, match="ClientConnectorError"):
        await Pse(Asker(), url).day("PL", FRIDAY)


def document(service: Source, **fields: object) -> DocumentConfig:
    url = str(service.server.make_url("/prices/")) + "{date}"
    return DocumentConfig(url=url, currency="EUR", **fields)  # type: ignore[arg-type]


async def test_any_json_is_read_by_its_paths_and_its_unit() -> None:
    day = date(2026, 10, 25)  # 25 hours
    lo = begin_of(day, BERLIN)
    rows = [{"start": {"at": (lo + n * 3_600_000) // 1000}, "ct": "0.1234"} for n in range(-2, 30)]
    async with source() as service:
        service.answer = lambda _: web.json_response({"data": {"prices": rows}})
        config = document(service, rows="data.prices", time="start.at", value="ct", unit="kWh")
        got = whole_day(await Generic(Asker(), config, BERLIN).day("DE", day), day, BERLIN)
    assert len(got) == 25
    assert got[0].value == Decimal("123.4")


async def test_two_lists_side_by_side_are_read() -> None:
    lo = begin_of(FRIDAY, BERLIN)
    times, values = [lo + n * 3_600_000 for n in range(24)], list(range(24))
    async with source() as service:
        service.answer = lambda _: web.json_response({"unix": times, "price": values})
        config = document(service, time="unix", value="price")
        got = whole_day(await Generic(Asker(), config, BERLIN).day("DE", FRIDAY), FRIDAY, BERLIN)
    assert [price.value for price in got] == values


async def test_a_csv_with_local_times_is_right_in_the_hour_that_comes_twice() -> None:
    day = date(2026, 10, 25)
    hours = ["00", "01", "02", "02", *(f"{n:02}" for n in range(3, 24))]
    lines = ["Zeit;Preis", *(f"25.10.2026 {hour}:00;1.0{n:02},5" for n, hour in enumerate(hours))]
    async with source() as service:
        service.answer = lambda _: web.Response(text="\ufeff" + "\n".join(lines))
        config = document(
            service, format="csv", time="Zeit", value="Preis", delimiter=";", decimal_comma=True,
            time_format="%d.%m.%Y %H:%M",
        )  # fmt: skip
        got = whole_day(await Generic(Asker(), config, BERLIN).day("DE", day), day, BERLIN)
    assert [price.value for price in got][:4] == [Decimal(f"100{n}.5") for n in range(4)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "nothing at data"), ('{"data": [{"time": "soon", "price": 1}]}', "row 1: 'soon' is no time"),
        ('{"data": {"time": [1], "price": []}}', "no two lists of one length"), ('{"data": 1}', "nothing at time"),
        (f'{{"data": [{",".join(["1"] * 3000)}]}}', "nothing at time"),
        ('{"data": [{"time": "2026-11-20T00:00", "price": "1,5"}]}', "expected a number"),
        ('{"data": [{"time": "9999-12-31T23:00-12:00", "price": "1"}]}', "is no time"),
    ],
)  # fmt: skip
async def test_odd_documents_are_refused_with_words(text: str, said: str) -> None:
    async with source() as service:
        service.answer = lambda _: web.Response(text=text)
        with pytest.raises(PriceError, match=said):
            await Generic(Asker(), document(service, rows="data"), BERLIN).day("DE", FRIDAY)


@pytest.mark.parametrize(
    ("area", "said"),
    [
        ("{name: PL, provider: pse}, {name: PL, provider: pse}", "areas\\[1\\].name: PL is here twice"),
        ("{name: PL, provider: document}", "wants document:"), ("{name: P L, provider: pse}", "expected 1-32 letters"),
        ("{name: PL, provider: pse, timezone: Mars/Base}", "is no time zone"),
        ("{name: PL, provider: pse, url: 'ftp://x'}", "expected http"),
        ("{name: PL, provider: pse, published: '25:00'}", "expected HH:MM"),
        ("{name: PL, provider: pse, url: 'http://x:99999/'}", "is no address"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_with_their_place(area: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_hub_config(f"store: hub.db\nprices:\n  areas: [{area}]\n", "hub.yaml")
