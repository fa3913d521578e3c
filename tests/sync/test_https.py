"""The way over HTTPS: whom it believes, through whom it goes, and what it says when it does not get there."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.errors import ConfigError, PushError
from gateway.running import serve
from sync import wire
from sync.broker.patience import Patience
from sync.edge.https import HttpsTransport
from sync.edge.hubtime import time_of
from sync.edge.tls import Tls, trust
from sync.edge.transport import BatchRefused, HubBusy, HubRefused
from sync.edge.verdict import judge
from sync.hub.app import build_hub
from sync.hub.config import HubConfig, NodeConfig
from sync.hub.store.sqlite import SqliteStore
from sync.hub.tls import server_tls
from tests.gateway.ports import free_port
from tests.sync.certificates import Authority, Signed
from tests.sync.parts import SECRET

CURSOR = wire.Cursor("0123456789abcdef", 0, 0)
EMPTY = b"\x81\xa5packs\x90"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def signed(authority: Authority) -> Signed:
    return authority.sign("hub")


@asynccontextmanager
async def hub(folder: Path, signed: Signed | None = None, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A hub's address."""
    store = await SqliteStore.open(folder / "hub.db")
    config = HubConfig(store="hub.db", nodes=(NodeConfig(id="node", secret_sha256=digest(SECRET)),))
    tls = server_tls(signed.certificate, signed.key) if signed else None
    try:
        async with serve(build_hub(config, store, SystemClock(), folder, []), host, free_port(), tls=tls) as address:
            yield address
    finally:
        await store.close()


@asynccontextmanager
async def stranger(answer: Callable[[web.Request], web.StreamResponse]) -> AsyncIterator[str]:
    """The address of something that gives `answer` to all."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with serve(app, "127.0.0.1", free_port()) as address:
        yield address


async def push(
    address: str, tls: Tls | None = None, proxy: str | None = None, times: int = 1, **limits: Any
) -> wire.Answer:
    transport = HttpsTransport(address, "node", SECRET, tls=tls, proxy=proxy, **limits)
    try:
        for _ in range(times):
            answer = await transport.push("records", CURSOR, EMPTY)
    finally:
        await transport.close()
    return answer


async def complaint(address: str, tls: Tls | None = None, proxy: str | None = None, **limits: Any) -> str:
    """What is said where it does not go through."""
    with pytest.raises(PushError) as caught:
        await push(address, tls, proxy, **limits)
    return f"{caught.value}; {caught.value.hint}"


@asynccontextmanager
async def proxy_of_the_test(words: list[str], status: int = 200) -> AsyncIterator[str]:
    """A proxy that tunnels what it is asked to by CONNECT; `words` gets the heads of all requests."""

    async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65536):
                sink.write(piece)
        sink.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        words.append(head)
        writer.write(f"HTTP/1.1 {status} As the test says\r\n\r\n".encode())
        if status == 200:
            host, _, port = head.split()[1].rpartition(":")
            onward, upward = await asyncio.open_connection(host, int(port))
            await asyncio.gather(pour(reader, upward), pour(onward, writer))
        writer.close()

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with server:
        yield f"http://name:word@127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.P11
async def test_a_hub_with_a_certificate_of_its_own_authority_is_believed_and_by_nobody_else(
    tmp_path: Path, authority: Authority, signed: Signed
) -> None:
    async with hub(tmp_path, signed) as address:
        assert address.startswith("https://")
        assert (await push(address, trust(authority.file))).cursor == str(CURSOR)
        assert "signed by nobody whom this machine trusts; set hub.tls_ca" in await complaint(address)


@pytest.mark.P11
async def test_a_pinned_certificate_is_believed_whatever_it_says_and_no_other_is(
    tmp_path: Path, authority: Authority, signed: Signed
) -> None:
    old = authority.sign("old", days=-1, names="subjectAltName=DNS:elsewhere")
    async with hub(tmp_path, old) as address:
        assert (await push(address, trust(fingerprint=old.fingerprint))).cursor == str(CURSOR)
        words = await complaint(address, trust(authority.file, signed.fingerprint))
        assert f"this one's fingerprint is {old.fingerprint}" in words


@pytest.mark.P11
async def test_a_certificate_of_another_host_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    async with hub(tmp_path, authority.sign("away", names="subjectAltName=DNS:elsewhere")) as address:
        assert "another host's" in await complaint(address, trust(authority.file))


async def test_an_expired_certificate_may_be_a_clock_that_is_wrong(tmp_path: Path, authority: Authority) -> None:
    async with hub(tmp_path, authority.sign("expired", days=-1)) as address:
        words = await complaint(address, trust(authority.file))
    assert "has expired, or this machine's clock is wrong (it says 20" in words
    assert "NTP" in words


async def test_a_renewed_certificate_is_used_without_a_restart_once_its_key_is_there(
    tmp_path: Path, authority: Authority, signed: Signed
) -> None:
    used = Signed(tmp_path / "used.pem", tmp_path / "used.key")
    shutil.copy(signed.certificate, used.certificate)
    shutil.copy(signed.key, used.key)
    old, renewed = trust(fingerprint=signed.fingerprint), authority.sign("renewed")
    async with hub(tmp_path, used) as address:
        await push(address, old)
        shutil.copy(renewed.certificate, used.certificate)
        await push(address, old)
        used.key.unlink()
        await push(address, old)
        shutil.copy(renewed.key, used.key)
        assert (await push(address, trust(fingerprint=renewed.fingerprint))).cursor == str(CURSOR)


@pytest.mark.P11
async def test_through_a_proxy_the_hub_is_tunnelled_to_and_no_secret_is_shown_to_it(
    tmp_path: Path, authority: Authority, signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    async with hub(tmp_path, signed) as address, proxy_of_the_test(words) as proxy:
        for tls in (trust(authority.file), trust(fingerprint=signed.fingerprint)):
            assert (await push(address, tls, proxy, times=2)).cursor == str(CURSOR)
        assert len(words) == 2, "the connection is kept"
        assert all(head.startswith("CONNECT 127.0.0.1:") for head in words)
        assert all("Proxy-Authorization: Basic " in head and SECRET not in head for head in words)
        assert "this one's fingerprint" in await complaint(address, trust(fingerprint="00" * 32), proxy)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        await push(address, trust(authority.file))
        assert len(words) == 4, "the environment's counts where none is configured"
        assert "Proxy-Authorization: Basic " in words[-1]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        await push(address, trust(authority.file))
        assert len(words) == 4, "not for hosts that it excepts"


async def test_a_proxy_that_says_no_or_is_not_there_is_named(tmp_path: Path, signed: Signed) -> None:
    async with hub(tmp_path, signed) as address:
        async with proxy_of_the_test([], 407) as proxy:
            assert "the proxy wants to be signed in to (407)" in await complaint(address, proxy=proxy)
        async with proxy_of_the_test([], 403) as proxy:
            assert "the proxy does not let us through (403)" in await complaint(address, proxy=proxy)
        gone = f"http://name:word@127.0.0.1:{free_port()}"
        words = await complaint(address, proxy=gone)
        assert f"the proxy {gone[17:]} is not reached: nothing listens there" in words
        assert "word@" not in words


@pytest.mark.parametrize("place", ["http://[::1", "http://127.0.0.1:99999", "proxy.invalid:3128", "http://a..b"])
async def test_a_proxy_of_the_environment_that_is_none_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", place)
    assert "not an address that can be used; check hub.url and hub.proxy, or HTTPS" in await complaint("https://hub")


async def test_what_a_user_keeps_for_other_programs_is_not_shown_to_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    shown: list[str] = []

    def look(request: web.Request) -> web.Response:
        shown.extend(request.headers)
        return web.json_response({"cursor": str(CURSOR)})

    async with stranger(look) as address:
        await push(address)
    assert shown and "Authorization" not in shown


async def test_a_hub_is_reached_over_ipv6(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with hub(tmp_path, host="::1") as address:
        assert address.startswith("http://[::1]:")
        assert (await push(address)).cursor == str(CURSOR)


async def test_one_connection_carries_all_batches(tmp_path: Path) -> None:
    ports = set()

    def count(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.json_response({"cursor": str(CURSOR)})

    async with stranger(count) as address:
        transport = HttpsTransport(address, "node", SECRET)
        await asyncio.gather(*(transport.push("events", CURSOR, EMPTY) for _ in range(5)))
        await transport.close()
    assert len(ports) == 1


PARTS = [
    "Fri",
    "Jan",
    "0",
    "1",
    "15",
    "99",
    "0100",
    "2027",
    "9999",
    "99999999999",
    "GMT",
    "-0000",
    "+9999",
    "-",
    "\u00b2",
]
Answer = Callable[[web.Request], web.StreamResponse]


def says(status: int, text: str = "", content_type: str = "text/plain", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.Response(status=status, text=text, content_type=content_type, headers=named)


def hub_says(status: int, **headers: str) -> Answer:
    return says(status, f'{{"cursor": "{CURSOR}", "error": "because"}}', "application/json", **headers)


@pytest.mark.P2
@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (says(200, "<html>sign in", "text/html"), PushError, "a web page; open a web page from the site's network"),
        (says(200, "{}", "application/json"), PushError, "something that gives application/json"),
        (says(200, '{"cursor": "0123456789abcdef:0-9"}', "application/json"), PushError, "not the hub answers"),
        (says(204), PushError, "the hub fails (204)"),
        (says(302, Location="http://login.example/"), PushError, "sent on to http://login.example/ (302); check"),
        (hub_says(307, Location="/elsewhere"), PushError, "sent on to /elsewhere"),
        (hub_says(400), BatchRefused, "because"),
        (hub_says(422), BatchRefused, "because"),
        (says(400, "Bad Request"), HubRefused, "refuses what we send (400)"),
        (hub_says(401), HubRefused, "check hub.node_id and hub.secret"),
        (says(404, "nothing here"), HubRefused, "no hub at this address"),
        (says(407), HubRefused, "the proxy wants to be signed in to"),
        (hub_says(408), PushError, "the hub fails (408)"),
        (says(500, "Oops"), PushError, "the hub fails (500): Oops"),
        (hub_says(429), HubBusy, "busy (429): because"),
    ],
)  # fmt: skip
async def test_only_the_hubs_own_yes_is_an_acknowledgement(answer: Answer, kind: type[PushError], words: str) -> None:
    async with stranger(answer) as address:
        with pytest.raises(PushError) as caught:
            await push(address)
    assert type(caught.value) is kind
    assert words in f"{caught.value}; {caught.value.hint}"


@pytest.mark.parametrize(
    ("given", "least_s", "most_s"),
    [
        ("7", 7, 7),
        ("Fri, 31 Dec 2077 08:00:00 GMT", 1800, 1800),
        ("Fri, 15 Jan 2021 08:00:00 GMT", 0, 0),
        ("99999999", 1800, 1800),
        ("soon", 0, 0),
        ("\u00b2", 0, 0),
    ],
)
async def test_the_hub_says_when_to_come_again(given: str, least_s: float, most_s: float) -> None:
    async with stranger(hub_says(503, Retry_After=given)) as address:
        with pytest.raises(HubBusy) as caught:
            await push(address)
    assert least_s <= caught.value.retry_after_s <= most_s


async def test_a_page_without_an_end_is_not_read_to_it() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(bytes(65536))
                await writer.drain()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
        words = await complaint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", answer_max=100_000)
    assert "not the hub answers" in words


@example("JAN 0 3000000000:0 0")
@given(st.one_of(st.text(), st.builds("{}, {} {} {} {}:00:00 {}".format, *[st.sampled_from(PARTS)] * 6)))
def test_whatever_a_header_says_of_times_it_is_a_time_or_none(text: str) -> None:
    time_of({"Date": text, wire.HUB_TIME: text}, is_hub=True)
    with pytest.raises(HubBusy) as caught:
        judge(503, {"Retry-After": text}, wire.Answer(""), "", 0)
    assert 0 <= caught.value.retry_after_s <= 1800


@asynccontextmanager
async def talking(answer: bytes) -> AsyncIterator[str]:
    """Something that says `answer` to whatever it hears, and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_whatever_hinders_is_said_in_plain_words() -> None:
    assert "nothing listens there (connection refused); check whether" in await complaint(f"http://[::1]:{free_port()}")
    assert "the name hub.invalid is not found; check the host in hub.url" in await complaint("http://hub.invalid")
    async with talking(b"") as place:
        assert "the connection was cut" in await complaint(f"http://{place}")
        assert "check" in await complaint(f"https://{place}")
    async with talking(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{") as place:
        assert "the connection was cut before the whole answer came" in await complaint(f"http://{place}")
    async with talking(b"220 mail.example ESMTP\r\n") as place:
        assert "not HTTP as it should be" in await complaint(f"http://{place}")
        assert "no TLS can be spoken there" in await complaint(f"https://{place}")


async def test_a_hub_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no answer in time" in await complaint(
            f"http://127.0.0.1:{silent.getsockname()[1]}", patience=Patience(answer_s=0.01)
        )


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_complained_about(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"hub\.tls_ca: .*ca\.pem: "):
        trust(file)
    with pytest.raises(ConfigError, match="tls_cert, tls_key: "):
        server_tls(file, file)
