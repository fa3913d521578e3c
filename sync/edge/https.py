"""Batches over HTTP(S), one after the other on a connection that is kept; the time comes back with the answers."""

import asyncio
import socket
from collections.abc import Mapping
from random import Random
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from gateway.core.clock import SystemClock
from gateway.core.errors import PushError, StorageError
from sync import wire
from sync.broker.patience import USUAL, Patience
from sync.edge import troubles, verdict
from sync.edge.backoff import Backoff
from sync.edge.hubtime import TimeSink, tell, time_of
from sync.edge.tls import Tls, trust
from sync.edge.transport import Hear, HubBusy, HubRefused

UNHEARD_MS = 30_000  # what was sent and not acknowledged by the other machine ends a connection after this
KEPT_S = 70.0  # less than most proxies keep an idle connection
ANSWER_MAX = 16 * 1024 * 1024
POLL_EVERY_S = 1.0  # at most so often, whatever the hub answers


class HttpsTransport:
    """Posts to the hub at `url` as `node_id`. Made inside a running loop; `close` ends it."""

    kind = "https"

    def __init__(
        self, url: str, node_id: str, secret: str, time_sink: TimeSink | None = None,
        *, tls: Tls | None = None, proxy: str | None = None, long_poll: bool = False, random: Random | None = None,
        patience: Patience = USUAL, answer_max: int = ANSWER_MAX,
    ) -> None:  # fmt: skip
        """Without `proxy` those of the environment count: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.

        `answer_max`: the most bytes that are read of an answer.
        """
        self._patience, self._answer_max = patience, answer_max
        self._time_sink = time_sink
        self.name = url
        self._url = url.rstrip("/")
        self._headers = {wire.NODE_ID: node_id, wire.NODE_SECRET: secret}
        self._proxy = proxy or _of_environment(url)
        self._long_poll = long_poll
        self._waiting: asyncio.Timeout | None = None
        self._random = random or Random()
        self._machine = SystemClock()
        self._turn = asyncio.Lock()  # one batch at a time; its time begins with its turn
        connector = aiohttp.TCPConnector(ssl=tls or trust(), keepalive_timeout=KEPT_S, socket_factory=_socket)
        # What sign-in pages leave as cookies is forgotten.
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def push(
        self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes, *, live: bool = False
    ) -> wire.Answer:
        """See `Transport.push`."""
        headers = {wire.BATCH_TYPE: batch_type, "Content-Type": wire.CONTENT_TYPE}
        async with self._turn:
            seconds = self._patience.answer_s + len(body) / self._patience.slowest
            return await self._ask("POST", wire.PATH, str(cursor), seconds, headers=headers, data=body)

    async def _ask(
        self, method: str, path: str, cursor: str, seconds: float,
        *, headers: Mapping[str, str], **options: Any,
    ) -> wire.Answer:  # fmt: skip
        """The hub's answer to `cursor`, within `seconds`. Raises PushError."""
        sent_s = self._time_sink.monotonic_s() if self._time_sink else 0
        timeout = aiohttp.ClientTimeout(total=seconds, connect=self._patience.connect_s)
        headers = {**self._headers, wire.CURSOR: cursor, **headers}  # the session's would be told to a proxy, too
        try:
            async with self._session.request(
                method, self._url + path, headers=headers, timeout=timeout, proxy=self._proxy,
                allow_redirects=False, **options,
            ) as response:  # fmt: skip
                answer = verdict.answer_in(await _body(response, self._answer_max))
                if method == "POST":  # who polls is answered when there is news: not in the middle
                    hub_time = time_of(response.headers, is_hub=answer.cursor == cursor)
                    tell(self._time_sink, hub_time, sent_s)
                return verdict.judge(response.status, response.headers, answer, cursor, self._machine.wall_ms())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # the last of addresses
            raise troubles.explained(error, self.name, self._proxy, self._machine.wall_ms()) from error

    def use_secret(self, secret: str) -> None:
        """Sign in with another one from the next request on; what waits at the hub with the old one does so anew."""
        self._headers = {**self._headers, wire.NODE_SECRET: secret}
        if self._waiting is not None:
            self._waiting.reschedule(0)

    async def run(self, hear: Hear) -> None:
        """See `Transport.run`. What stops it is said by the batches, which meet the same."""
        backoff = Backoff(self._random, self._patience)
        while self._long_poll:
            asked_s = self._machine.monotonic_s()
            try:
                await hear(await self._polled())
            except (PushError, StorageError) as error:  # what could not be kept is given again
                at_least_s = error.retry_after_s if isinstance(error, HubBusy) else 0
                await asyncio.sleep(backoff.failed(refused=isinstance(error, HubRefused), at_least_s=at_least_s))
            else:
                backoff.succeeded()
                await asyncio.sleep(asked_s + POLL_EVERY_S - self._machine.monotonic_s())
        await asyncio.Event().wait()

    async def _polled(self) -> wire.Answer:
        """As `_poll`; empty where there is another secret meanwhile."""
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await self._poll()
        except TimeoutError:
            return wire.Answer(cursor="")
        finally:
            self._waiting = None

    async def _poll(self) -> wire.Answer:
        """The cursor is another each time: an answer out of a proxy's memory is none."""
        cursor = f"{token_hex(8)}:0-0"
        headers = {"Cache-Control": "no-store"}
        wait_s = self._patience.poll_s
        seconds = wait_s + self._patience.answer_s
        query = {"wait": str(wait_s)}
        return await self._ask("GET", wire.COMMANDS_PATH, cursor, seconds, headers=headers, params=query)

    async def close(self) -> None:
        await self._session.close()


def _of_environment(url: str) -> str | None:
    """The proxy for `url`. Looked up once: aiohttp's own looking (trust_env) reads ~/.netrc for each batch."""
    try:
        address = urlsplit(url)
    except ValueError:  # aiohttp says so, too
        return None
    return None if proxy_bypass(address.hostname or "") else getproxies().get(address.scheme)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """For a connection that ends soon when the other side is gone without a word, as behind a modem."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    return made


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """What fits; of a stranger's endless page no more than that."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            break
    return bytes(body)
