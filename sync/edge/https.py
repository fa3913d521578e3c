"""Batches over HTTP(S), on one connection that is kept; what time it is comes back with the answers."""

import asyncio
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp
import msgspec

from gateway.core.errors import PushError
from sync import wire
from sync.edge.transport import BatchRefused, BatchTooLarge, Hear, HubBusy, HubRefused, LayoutsWanted

DATE_MS = 500  # a Date header is cut to whole seconds: in the middle it is wrong by at most this
TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)


class TimeSink(Protocol):
    """Who wants to know what time it is at the hub."""

    def monotonic_s(self) -> float: ...
    def hub_says(self, wall_ms: int, uncertainty_ms: int) -> None: ...


class HttpsTransport:
    """Posts to the hub at `url` as `node_id`. Made inside a running loop; `close` ends it."""

    def __init__(self, url: str, node_id: str, secret: str, time_sink: TimeSink | None = None) -> None:
        self._time_sink = time_sink
        self.name = url
        self.kind = "https"
        self._url = url.rstrip("/") + wire.PATH
        self._headers = {wire.NODE_ID: node_id, wire.NODE_SECRET: secret, "Content-Type": wire.CONTENT_TYPE}
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), timeout=TIMEOUT, trust_env=True)

    async def push(self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes) -> wire.Answer:
        """See `Transport.push`."""
        headers = self._headers | {wire.BATCH_TYPE: batch_type, wire.CURSOR: str(cursor)}
        sent_s = self._time_sink.monotonic_s() if self._time_sink else 0
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                answered = _answer(await response.read())
                self._tell_time(response, answered.cursor == str(cursor), sent_s)
                return _judge(response.status, response.headers.get("Retry-After", ""), answered, cursor)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise PushError(f"{self.name}: {why}", hint="check the network and the hub's address") from error

    def _tell_time(self, response: aiohttp.ClientResponse, is_hub: bool, sent_s: float) -> None:
        """The hub looked at its clock on the way there and back: in the middle, give or take the half."""
        if self._time_sink is None or (hub_time := time_of(response.headers, is_hub=is_hub)) is None:
            return
        half_ms = round((self._time_sink.monotonic_s() - sent_s) * 500)
        self._time_sink.hub_says(hub_time[0] + half_ms, hub_time[1] + half_ms)

    async def run(self, hear: Hear) -> None:
        """See `Transport.run`."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        await self._session.close()


def time_of(headers: Mapping[str, str], *, is_hub: bool) -> tuple[int, int] | None:
    """The hub's time and how uncertain it is, in ms; None where the answer does not say, or another gave it.

    The header of our own is the hub's; any proxy or sign-in page gives a Date, so it counts in the hub's answers only.
    """
    own = headers.get(wire.HUB_TIME, "")
    if own.isdecimal() and len(own) < 16:
        return int(own), 0
    try:
        date = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError):
        return None
    return (round(date.timestamp() * 1000) + DATE_MS, DATE_MS) if is_hub else None


def _answer(body: bytes) -> wire.Answer:
    """What the hub says; where it is no answer of a hub, one without a cursor."""
    try:
        return msgspec.json.decode(body, type=wire.Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return wire.Answer(cursor="", error=body[:200].decode(errors="replace"))


def _judge(status: int, retry_after: str, answer: wire.Answer, cursor: wire.Cursor) -> wire.Answer:
    """The answer, where the hub took the batch. Raises the PushError that fits otherwise."""
    if status == 200:
        if answer.cursor != str(cursor):  # a captive portal answers 200, too
            raise PushError(
                "something that is not the hub answers in its place", hint="check proxies and sign-in pages"
            )
        return answer
    if status == 409 and answer.wanted:
        raise LayoutsWanted(answer.wanted)
    if status in (429, 503):
        raise HubBusy(f"the hub is busy: {answer.error}", float(retry_after) if retry_after.isdigit() else 0)
    if status == 401:
        raise HubRefused("the hub does not know this node or its secret", hint="check hub.node_id and hub.secret")
    if status == 413:
        raise BatchTooLarge(f"the hub, or a proxy before it, takes no batch of this size: {answer.error}")
    if status in (400, 422) and answer.cursor == str(cursor):
        raise BatchRefused(answer.error)
    if 400 <= status < 500:
        raise HubRefused(f"the hub refuses the batch ({status}): {answer.error}", hint="update the gateway or the hub")
    raise PushError(f"the hub fails ({status}): {answer.error}", hint="look into the hub's log")
