"""An SP PRO behind a select.live that answers, fails, lies or is silent; and the cloud that wants a sign-in."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from drivers.selectlive.device import STALE_S, SelectLive
from drivers.selectlive.feed import BoxFeed, CloudFeed, Feed
from gateway.core.errors import ConfigError, DeviceError
from gateway.core.model import DATED, Raw, Reading, readings_of
from tests.drivers.answers import DEVICE_DATA, WHY_SKIPPED
from tests.drivers.manual_clock import ManualClock

DEVICE_ID = "0123456789ABCDEF0123456789ABCDEF"
SHAPE = DEVICE_DATA / "push-payloads" / "select_live_point.json"
MEASURED_S = 1_789_999_990
ITEMS: Mapping[str, object] = {
    "battery_in_wh_total": 6813.32080078125, "battery_soc": 99.0859375, "battery_w": 707.51953125,
    "grid_w": -3.558349609375, "load_w": 678.3103942871094, "fault_code": 0, "fault_ts": 0, "timestamp": MEASURED_S,
}  # fmt: skip
NEVER_S = 1000.0  # a timeout that would make the test fail by its own
PASSWORD = "correct horse battery staple"
Reply = Callable[[], web.Response]


def answer(**changed: object) -> web.Response:
    items = {key: value for key, value in (ITEMS | changed).items() if value is not ...}
    return web.Response(text=json.dumps({"device": {"name": "Selectronic SP-PRO"}, "items": items, "now": 0}))


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Box:
    """A select.live on the LAN; `reply` is what it does."""

    def __init__(self) -> None:
        self.reply: Reply = answer
        self.asked = 0
        self.clock = ManualClock()

    @asynccontextmanager
    async def read_by_device(self, *, timeout_s: float = NEVER_S) -> AsyncIterator[SelectLive]:
        async def point(request: web.Request) -> web.Response:
            self.asked += 1
            return self.reply()

        app = web.Application()
        app.router.add_get(f"/cgi-bin/solarmonweb/devices/{DEVICE_ID}/point", point)
        async with serving(app) as host:
            device = SelectLive("sp pro", BoxFeed(host, DEVICE_ID, timeout_s=timeout_s), self.clock)
            yield device
            await device.close()


async def readings(device: SelectLive) -> dict[str, Reading]:
    taken = await device.read("live")
    assert taken is not None
    return {reading.key: reading for reading in readings_of(*taken)}


async def values(device: SelectLive) -> dict[str, Raw | None]:
    return {key: reading.value for key, reading in (await readings(device)).items()}


async def failed(device: SelectLive, match: str, times: int = 1) -> DeviceError:
    for _ in range(times):
        with pytest.raises(DeviceError, match=match) as caught:
            await device.read("live")
    return caught.value


async def test_values_come_in_their_true_units_under_the_device_s_own_time() -> None:
    box = Box()
    async with box.read_by_device() as device:
        taken = await device.read("live")
    assert taken is not None
    found = {reading.key: (reading.value, reading.unit) for reading in readings_of(*taken)}
    assert taken[1].ts == MEASURED_S * 1000
    assert taken[1].flags == DATED
    assert found["battery_power"] == (707.51953125, "W")
    assert found["battery_charge_energy_total"] == (6813.32080078125, "kWh")
    assert found["battery_soc"] == (99.0859375, "%")
    assert found["fault_code"] == (0, "")


async def test_every_item_of_the_known_shape_is_a_point() -> None:
    if not SHAPE.exists():
        pytest.skip(WHY_SKIPPED)
    items = json.loads(SHAPE.read_text())["items"]
    box = Box()
    box.reply = lambda: web.Response(text=json.dumps({"items": dict.fromkeys(items, 7)}))
    async with box.read_by_device() as device:
        assert None not in (found := await values(device)).values()
    assert len(found) == len(items) - 1  # all but the timestamp


@pytest.mark.parametrize(
    ("key", "item", "sent"),
    [
        ("load_power", "load_w", ...), ("load_power", "load_w", None), ("load_power", "load_w", "678"),
        ("load_power", "load_w", True), ("load_power", "load_w", [1]), ("fault_code", "fault_code", 1.5),
        ("fault_code", "fault_code", -1), ("fault_code", "fault_code", 1 << 32), ("fault_time", "fault_ts", 0),
    ],
)  # fmt: skip
async def test_what_is_not_there_or_no_number_is_missing_and_harms_no_other(key: str, item: str, sent: object) -> None:
    box = Box()
    box.reply = lambda: answer(**{item: sent})
    async with box.read_by_device() as device:
        found = await values(device)
    assert found[key] is None
    assert found["grid_power"] == -3.558349609375


async def test_a_fault_has_a_time_that_people_read() -> None:
    box = Box()
    box.reply = lambda: answer(fault_code=50, fault_ts=1_789_603_200)
    async with box.read_by_device() as device:
        found = await values(device)
    assert (found["fault_code"], found["fault_time"]) == (50, "2026-09-17 00:00:00")


@pytest.mark.parametrize("stamp", [0, ..., 86_400, 4_000_000_000, "now"])
async def test_a_stamp_that_cannot_be_right_gives_way_to_our_clock(stamp: object) -> None:
    box = Box()
    box.reply = lambda: answer(timestamp=stamp)
    async with box.read_by_device() as device:
        first = await device.read("live")
        box.clock.go_on(10)
        second = await device.read("live")
    assert first is not None and second is not None
    assert (first[1].ts, second[1].ts) == (1_790_000_000_000, 1_790_000_010_000)


async def test_the_same_measurement_is_not_a_new_record_and_after_long_not_an_answer() -> None:
    box = Box()
    async with box.read_by_device() as device:
        await readings(device)
        box.clock.go_on(STALE_S)
        assert await device.read("live") is None
        box.clock.go_on(1)
        error = await failed(device, "same measurement for 601 s")
        assert "cable" in error.hint
        box.reply = lambda: answer(timestamp=MEASURED_S + 611)
        assert (await readings(device))["battery_power"].value == 707.51953125


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (lambda: web.Response(status=500, text="oops"), "answers with status 500"),
        (lambda: web.Response(status=404), "does not know this device id"),
        (lambda: web.Response(text="<html>restarting", content_type="text/html"), "not JSON, but '<html>"),
        (lambda: web.Response(text=""), "not JSON"),
        (lambda: web.Response(body=b'{"items": {"load_w": "\xff"}}'), "not JSON"),
        (lambda: web.Response(text='{"items": {"load_w": NaN}}'), "not JSON"),
        (lambda: web.Response(text="[]"), "JSON without items"),
        (lambda: web.Response(text='{"items": [1]}'), "JSON without items"),
        (lambda: web.Response(text='{"items": {"battery_v": 52.4}}'), "none of the items"),
        (lambda: web.Response(text='{"items": {"load_w": 1' + " " * 100_000 + "}}"), "not JSON"),
        (lambda: web.Response(status=302, headers={"Location": "/login"}), "answers with status 302"),
    ],
)
async def test_what_is_no_measurement_is_an_error_in_words(reply: Reply, match: str) -> None:
    box = Box()
    box.reply = reply
    async with box.read_by_device() as device:
        assert (await failed(device, match)).hint
        box.reply = answer
        assert (await values(device))["load_power"] == 678.3103942871094


async def test_numbers_beyond_all_bounds_take_nothing_down() -> None:
    box = Box()
    box.reply = lambda: web.Response(text='{"items": {"load_w": 1e300, "fault_code": 1e300, "grid_w": 5}}')
    async with box.read_by_device() as device:
        found = await values(device)
        assert (found["load_power"], found["fault_code"], found["grid_power"]) == (1e300, None, 5)
        box.clock.go_on(1)
        box.reply = lambda: web.Response(text=f'{{"items": {{"load_w": 1{400 * "0"}, "grid_w": 5}}}}')
        found = await values(device)
        assert (found["load_power"], found["grid_power"]) == (None, 5)


async def test_silence_is_an_error() -> None:
    stop = asyncio.Event()

    async def point(request: web.Request) -> web.Response:
        await stop.wait()
        return answer()

    app = web.Application()
    app.router.add_get("/{tail:.*}", point)
    async with serving(app) as host:
        device = SelectLive("sp pro", BoxFeed(host, DEVICE_ID, timeout_s=0.05), ManualClock())
        await failed(device, f"no answer from {host} in time")
        stop.set()
        await device.close()


async def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    async def point(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * 4096)
        return response

    app = web.Application()
    app.router.add_get("/{tail:.*}", point)
    async with serving(app) as host:
        device = SelectLive("sp pro", BoxFeed(host, DEVICE_ID, timeout_s=NEVER_S), ManualClock())
        await failed(device, "not JSON")
        await device.close()


async def test_nobody_there_is_an_error() -> None:
    async with serving(web.Application()) as host:
        pass
    device = SelectLive("sp pro", BoxFeed(host, DEVICE_ID), ManualClock())
    await failed(device, f"{host} cannot be reached")
    await device.close()


@pytest.mark.P7
async def test_who_failed_five_times_is_not_asked_for_a_minute_and_the_error_says_so() -> None:
    box = Box()
    box.reply = lambda: web.Response(status=503)
    async with box.read_by_device() as device:
        await failed(device, "status 503", times=5)
        box.clock.go_on(17)
        error = await failed(device, "is not asked for 43 s more after 5 failures: .* answers with status 503")
        assert error.hint and box.asked == 5
        box.reply = answer
        box.clock.go_on(43)
        assert (await values(device))["load_power"] == 678.3103942871094
        assert box.asked == 6


async def test_failures_with_a_success_between_do_not_add_up() -> None:
    box = Box()
    async with box.read_by_device() as device:
        for second in range(1, 4):
            box.reply = lambda: web.Response(status=503)
            await failed(device, "status 503", times=4)
            box.reply = lambda second=second: answer(timestamp=MEASURED_S + second)
            await readings(device)
    assert box.asked == 15


class Cloud:
    """The maker's site: a session is a cookie, and a page is what you get without one."""

    def __init__(self) -> None:
        self.sign_ins = 0
        self.session = ""
        self.refuses = 0  # with this status
        self.down = 0  # with this status
        self.away: Reply = lambda: web.Response(status=302, headers={"Location": "/login"})  # what strangers get

    async def login(self, request: web.Request) -> web.Response:
        self.sign_ins += 1
        if self.refuses:
            return web.Response(status=self.refuses, text="<html>sign in</html>")
        form = await request.post()
        response = web.Response(status=302, headers={"Location": "/dashboard"})
        if (form["email"], form["pwd"]) == ("a@b.example", PASSWORD):
            self.session = f"session-{self.sign_ins}"
            response.set_cookie("session", self.session)
        return response

    async def data(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=self.down)
        if not self.session or request.cookies.get("session") != self.session:
            return self.away()
        return answer()

    @asynccontextmanager
    async def read_by_device(self, password: str = PASSWORD) -> AsyncIterator[SelectLive]:
        app = web.Application()
        app.router.add_post("/login", self.login)
        app.router.add_get("/dashboard/hfdata/4711", self.data)
        async with serving(app) as host:
            feed: Feed = CloudFeed("a@b.example", password, "4711", url=f"http://{host}")
            device = SelectLive("sp pro", feed, ManualClock())
            yield device
            await device.close()


@pytest.mark.parametrize(
    "away",
    [
        lambda: web.Response(status=302, headers={"Location": "/login"}),
        lambda: web.Response(status=401),
        lambda: web.Response(text="\n<!doctype html><title>Sign in", content_type="text/html"),
    ],
    ids=["redirects", "refuses", "shows the page"],
)
async def test_the_cloud_is_signed_in_to_once_and_again_when_it_forgot_us(away: Reply) -> None:
    cloud = Cloud()
    cloud.away = away
    async with cloud.read_by_device() as device:
        assert (await values(device))["load_power"] == 678.3103942871094
        assert await device.read("live") is None
        assert cloud.sign_ins == 1
        cloud.session = "of somebody else"
        assert await device.read("live") is None
        assert cloud.sign_ins == 2


async def test_a_cloud_that_is_down_is_not_signed_in_to_again() -> None:
    cloud = Cloud()
    async with cloud.read_by_device() as device:
        await readings(device)
        cloud.down = 504
        await failed(device, "status 504")
        cloud.down = 0
        assert await device.read("live") is None
    assert cloud.sign_ins == 1


@pytest.mark.P11
@pytest.mark.parametrize("status", [0, 200, 401, 500], ids=["redirects", "shows the page", "refuses", "fails"])
async def test_a_failed_sign_in_is_told_without_the_password(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cloud = Cloud()
    cloud.refuses = status
    wrong = "hunter2-not-the-password"
    async with cloud.read_by_device(wrong) as device:
        error = await failed(device, "sign" if status < 500 else "status 500", times=5)
        await failed(device, "is not asked")
    assert cloud.sign_ins == 5
    assert error.hint
    told = [str(error), error.hint, repr(device), repr(vars(device)), caplog.text, repr(caplog.records)]
    assert not any(wrong in text for text in told)


def test_the_password_never_goes_unencrypted() -> None:
    with pytest.raises(ConfigError, match="unencrypted"):
        CloudFeed("a@b.example", PASSWORD, "4711", url="http://select.live")
