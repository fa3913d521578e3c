"""How word of alerts gets to its receivers: each once, not too often, and through every fault of theirs."""

import asyncio
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sync.hub.alerts.mail import Mail
from sync.hub.alerts.notices import Message, subject, text
from sync.hub.alerts.receivers import Notice, Receiver
from sync.hub.alerts.settings import SmtpConfig
from sync.hub.alerts.webhook import DeliveryError, Webhooks, check_address, may_reach
from sync.hub.store.contract import Store
from tests.hub.alerting import ALL, Fleet
from tests.hub.clock import NOW
from tests.hub.mailsink import MailSink
from tests.sync.certificates import Authority


class Kept:
    """A receiver that keeps what it is sent, or fails as it is told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.fails = ""

    async def send(self, receiver: Receiver, message: Message) -> None:
        if self.fails:
            raise DeliveryError(self.fails)
        self.messages.append(message)

    @property
    def told(self) -> list[list[str]]:
        """Of each message: node and what."""
        return [[f"{one.node} {one.kind} {one.what}" for one in message.alerts] for message in self.messages]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def fleet(store: Store, kept: Kept) -> Fleet:
    return Fleet(store, {"webhook": kept})


ILL = {"quarantined": 1}


async def fall_ill(fleet: Fleet, *nodes: str) -> None:
    fleet.says |= dict.fromkeys(nodes, ILL)
    await fleet.pass_on(3)


async def test_a_receiver_hears_once_that_it_began_and_once_that_it_ended(fleet: Fleet, kept: Kept) -> None:
    await fleet.told()
    await fall_ill(fleet, "mill")
    await fleet.pass_on(60)
    fleet.says["mill"] = {}
    await fleet.pass_on(60)
    assert kept.told == [["mill quarantine began"], ["mill quarantine ended"]]
    assert len({message.delivery for message in kept.messages}) == 2


async def test_what_waits_survives_a_restart_and_is_not_told_twice(fleet: Fleet, kept: Kept) -> None:
    await fleet.told()
    kept.fails = "no answer within 10 s"
    await fall_ill(fleet, "mill")
    [receiver] = await fleet.receivers.listed(ALL)
    assert (receiver.failures > 0, receiver.error) == (True, "no answer within 10 s")
    kept.fails = ""
    fleet.start()
    await fleet.pass_on(60)
    fleet.start()
    await fleet.pass_on(60)
    assert kept.told == [["mill quarantine began"]]
    [receiver] = await fleet.receivers.listed(ALL)
    assert (receiver.failures, receiver.error) == (0, "")


async def test_a_receiver_that_fails_is_tried_ever_more_seldom_and_after_a_day_it_is_dropped(
    fleet: Fleet, kept: Kept
) -> None:
    await fleet.told()
    kept.fails = "not reached"
    await fall_ill(fleet, "mill")
    await fleet.pass_on(60)
    [receiver] = await fleet.receivers.listed(ALL)
    assert 5 <= receiver.failures <= 8
    await fleet.pass_on(24 * 60, look_s=240)
    kept.fails = ""
    await fleet.pass_on(120)
    assert kept.told == []


async def test_beyond_so_many_an_hour_the_rest_goes_in_one(fleet: Fleet, kept: Kept) -> None:
    await fleet.told(per_hour=2)
    for node in ("a", "b", "c", "d"):
        await fall_ill(fleet, node)
    assert kept.told == [["a quarantine began"], ["b quarantine began"]]
    await fleet.pass_on(60)
    assert kept.told[2:] == [["c quarantine began", "d quarantine began"]]


async def test_between_two_messages_lies_the_time_that_is_set(fleet: Fleet, kept: Kept) -> None:
    await fleet.told(every_s=1800)
    for node in ("a", "b", "c"):
        await fall_ill(fleet, node)
    assert kept.told == [["a quarantine began"]]
    await fleet.pass_on(30)
    assert kept.told[1:] == [["b quarantine began", "c quarantine began"]]


async def test_an_alert_that_somebody_has_seen_is_quiet(fleet: Fleet, kept: Kept) -> None:
    await fleet.told()
    kept.fails = "not reached"
    await fall_ill(fleet, "mill")
    [alert] = await fleet.alerts.listed(ALL, "standing")
    await fleet.alerts.acknowledge(alert.id, "ann", "on my way", fleet.clock.now)
    kept.fails = ""
    await fleet.pass_on(60)
    fleet.says["mill"] = {}
    await fleet.pass_on(20)
    await fall_ill(fleet, "mill")  # it comes back, and is the same
    assert kept.told == []


async def test_each_is_told_only_of_its_own_places_and_kinds(fleet: Fleet, kept: Kept) -> None:
    fleet.says = {"mill": {}, "farm": {}, "barn": {}}
    await fleet.pass_on(1)
    await fleet.at_site("mill", "valley", "acme")
    await fleet.at_site("farm", "hill", "acme")
    await fleet.told("everywhere")
    await fleet.told("acme", organisation="acme")
    await fleet.told("valley", organisation="acme", site="valley")
    await fleet.told("others", organisation="umbrella")
    await fleet.told("clocks", kinds=",clock,disk,")
    await fall_ill(fleet, "mill", "farm", "barn")
    assert sorted(sorted(one.node for one in message.alerts) for message in kept.messages) == [
        ["barn", "farm", "mill"], ["farm", "mill"], ["mill"],
    ]  # fmt: skip


@asynccontextmanager
async def receiving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Receiver]:
    """A real receiver at /hook."""
    app = web.Application()
    app.router.add_post("/hook", answer)
    app.router.add_post("/elsewhere", answer)
    async with TestServer(app) as server:
        yield Receiver("r", "", "", "webhook", str(server.make_url("/hook")), "s" * 32, "", 0, 10)


NOTICE = Notice(
    7, "mill", "valley", "the valley", "device", "pump\r\nBcc:\x1b a@b.example", "silent", NOW, None, "began", 1
)
MESSAGE = Message("d" * 32, NOW, [NOTICE], "https://hub.example/alerts")


async def test_a_webhook_is_json_with_a_signature_that_the_receiver_can_check() -> None:
    got: list[tuple[bytes, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((await request.read(), request.headers))
        return web.Response(status=204)

    async with receiving(answer) as receiver:
        await Webhooks("anywhere").send(receiver, MESSAGE)
    [(body, headers)] = got
    stamp = headers["X-Holdfast-Timestamp"]
    expected = hmac.new(b"s" * 32, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Holdfast-Signature"] == f"sha256={expected}"
    assert headers["X-Holdfast-Delivery"] == "d" * 32
    assert msgspec.json.decode(body)["alerts"][0]["device"] == NOTICE.device


@pytest.mark.parametrize("status", [302, 400, 500])
@pytest.mark.P11
async def test_what_is_not_taken_is_told_by_its_status_alone_and_nobody_is_followed_elsewhere(status: int) -> None:
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"}, text="inner secrets")

    async with receiving(answer) as receiver:
        with pytest.raises(DeliveryError, match=f"^the receiver answered {status}$"):
            await Webhooks("anywhere").send(receiver, MESSAGE)
    assert paths == ["/hook"]


async def test_a_slow_receiver_is_given_up() -> None:
    done = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await done.wait()
        return web.Response()

    async with receiving(answer) as receiver:
        with pytest.raises(DeliveryError, match=r"^no answer within 0.1 s$"):
            await Webhooks("anywhere", timeout_s=0.1).send(receiver, MESSAGE)
        done.set()


@pytest.mark.P11
@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost.", "127.0.0.1", "2130706433", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]",
     "\N{CIRCLED DIGIT ONE}27.0.0.1", "127\N{IDEOGRAPHIC FULL STOP}0.0.1"],
)  # fmt: skip
async def test_no_webhook_reaches_into_the_hubs_own_machine(host: str) -> None:
    reached: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response()

    async with receiving(answer) as receiver:
        address = receiver.address.replace("127.0.0.1", host)
        with pytest.raises(DeliveryError):
            await Webhooks("network").send(msgspec.structs.replace(receiver, address=address), MESSAGE)
    assert reached == []


@pytest.mark.P11
def test_which_addresses_webhooks_may_be_sent_to() -> None:
    for host in ("127.0.0.1", "0.0.0.0", "169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "224.0.0.1", "::"):
        assert not may_reach(host, "network"), host
        assert may_reach(host, "anywhere")
    for host in ("10.0.0.1", "192.168.1.1", "fd00::1"):
        assert (may_reach(host, "network"), may_reach(host, "public")) == (True, False)
    assert may_reach("93.184.215.14", "public")
    assert may_reach("::ffff:93.184.215.14", "public")
    assert not may_reach("::ffff:10.0.0.1", "public")
    for way_in in ("2002:a9fe:a9fe::1", "2001:0:5db8:d822::5601:5601"):  # 6to4 and Teredo, to 169.254.169.254
        assert not may_reach(way_in, "network"), way_in
    for address in (
        "ftp://h/x",
        "file:///etc/passwd",
        "http://",
        "http://u:p@h/",
        "http://[",
        "http://h:x/",
        "nothing",
    ):
        with pytest.raises(DeliveryError):
            check_address(address, "anywhere")


@pytest.mark.P11
def test_an_address_of_the_hubs_own_in_its_network_is_the_hubs_own_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing; tells which address would be used
        except OSError:
            pytest.skip("this machine has no network")
        own = str(probe.getsockname()[0])
    assert not may_reach(own, "network")
    assert may_reach(own, "anywhere")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def smtp(sink: MailSink, authority: Authority, **more: Any) -> Mail:
    fields: dict[str, Any] = {"host": "127.0.0.1", "port": sink.port, "sender": "hub@hub.example", "tls_ca": "ca.pem"}
    return Mail(SmtpConfig(**fields | more), authority.file.parent)


ANN = Receiver("r", "", "", "email", "ann@example.com", "", "", 0, 10)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.P11
async def test_a_mail_goes_over_tls_with_a_login(authority: Authority, security: str) -> None:
    sink = MailSink(authority.sign("mail").server(), ("hub", "secret"))
    async with sink.running(tls=security == "tls"):
        await smtp(sink, authority, security=security, username="hub", password="secret").send(ANN, MESSAGE)
    [mail] = sink.mails
    assert (sink.to, sink.secure) == (["ann@example.com"], [True])
    assert (mail["To"], mail["From"], mail["Bcc"]) == ("ann@example.com", "hub@hub.example", None)
    assert mail["Subject"] == "Holdfast: the valley: device silent: pump Bcc: a@b.example"
    content = mail.get_content()
    assert "- the valley, node mill: device silent: pump Bcc: a@b.example: silent (since 2026-09-21" in content
    assert "https://hub.example/alerts" in content


@pytest.mark.P11
async def test_no_password_and_no_mail_goes_where_the_line_is_not_safe(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    sink = MailSink(other.sign("mail").server(), ("hub", "secret"))
    async with sink.running():
        with pytest.raises(DeliveryError, match=r"^the mail server: SSLCertVerificationError$"):
            await smtp(sink, authority, username="hub", password="secret").send(ANN, MESSAGE)
    assert sink.mails == []


async def test_what_the_mail_server_refuses_is_told_in_words_without_the_password(authority: Authority) -> None:
    sink = MailSink(authority.sign("mail").server(), ("hub", "secret"))
    async with sink.running():
        with pytest.raises(DeliveryError, match=r"^the mail server says 535$"):
            await smtp(sink, authority, username="hub", password="wrong").send(ANN, MESSAGE)
        sink.refuses = b"550 no such person"
        with pytest.raises(DeliveryError, match=r"^the mail server: SMTPRecipientsRefused$"):
            await smtp(sink, authority).send(ANN, MESSAGE)
    with pytest.raises(DeliveryError, match=r"^the mail server: ConnectionRefusedError$"):
        await smtp(sink, authority).send(ANN, MESSAGE)
    with pytest.raises(DeliveryError, match=r"^this hub sends no e-mail$"):
        await Mail(None).send(ANN, MESSAGE)


def test_a_digest_counts_and_lists_and_stays_short() -> None:
    ended = msgspec.structs.replace(NOTICE, what="ended", ended=NOW + 90_000)
    message = Message("d", NOW, [NOTICE] * 150 + [ended])
    assert subject(message) == "Holdfast: 150 alerts began, 1 ended"
    lines = text(message).splitlines()
    assert (len(lines), lines[101]) == (105, "- and 50 more")
    assert lines[-1].endswith("UTC, for 1 min 30 s)")
