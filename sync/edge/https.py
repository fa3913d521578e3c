"""Batches over HTTP(S), on one connection that is kept."""

import aiohttp
import msgspec

from gateway.core.errors import PushError
from sync import wire
from sync.edge.transport import HubBusy, HubRefused, LayoutsWanted

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)


class HttpsTransport:
    """Posts to the hub at `url` as `node_id`. Made inside a running loop; `close` ends it."""

    def __init__(self, url: str, node_id: str, secret: str) -> None:
        self.name = url
        self._url = url.rstrip("/") + wire.PATH
        self._headers = {wire.NODE_ID: node_id, wire.NODE_SECRET: secret, "Content-Type": wire.CONTENT_TYPE}
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), timeout=TIMEOUT, trust_env=True)

    async def push(self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes) -> wire.Answer:
        """See `Transport.push`."""
        headers = self._headers | {wire.BATCH_TYPE: batch_type, wire.CURSOR: str(cursor)}
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                return _judge(response.status, response.headers.get("Retry-After", ""), await response.read(), cursor)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise PushError(f"{self.name}: {why}", hint="check the network and the hub's address") from error

    async def close(self) -> None:
        await self._session.close()


def _judge(status: int, retry_after: str, body: bytes, cursor: wire.Cursor) -> wire.Answer:
    """The answer, where the hub took the batch. Raises the PushError that fits otherwise."""
    try:
        answer = msgspec.json.decode(body, type=wire.Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = wire.Answer(cursor="", error=body[:200].decode(errors="replace"))
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
    if 400 <= status < 500:
        raise HubRefused(f"the hub refuses the batch ({status}): {answer.error}", hint="update the gateway or the hub")
    raise PushError(f"the hub fails ({status}): {answer.error}", hint="look into the hub's log")
