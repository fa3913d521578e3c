"""What answers in the hub's place, or between: sign-in pages, proxies that know better, a hub that lies."""

import msgspec

from gateway.core.model import Command
from sync import wire
from tests.faults.proxy import Forward, header


def http(status: str, body: bytes, kind: str = "application/json") -> bytes:
    """A whole HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def sign_in_page(request: bytes, forward: Forward) -> bytes:
    """A captive portal: everything is well, says a page for people."""
    return http("200 OK", b"<html><title>Welcome</title>Please sign in</html>", "text/html")


async def to_the_portal(request: bytes, forward: Forward) -> bytes:
    """Another portal, which sends everybody to its own address."""
    return b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/login\r\nContent-Length: 0\r\n\r\n"


async def liar(request: bytes, forward: Forward) -> bytes:
    """Acknowledges readings and events as a hub would, and throws them away; all else reaches the hub."""
    if header(request, wire.BATCH_TYPE) not in ("records", "events"):
        return await forward(request)
    return http("200 OK", msgspec.json.encode(wire.Answer(header(request, wire.CURSOR))))


async def twice(request: bytes, forward: Forward) -> bytes:
    """A proxy that tries again what had gone through."""
    await forward(request)
    return await forward(request)


async def empty_success(request: bytes, forward: Forward) -> bytes:
    """Delivers, and says no more than that all went well."""
    await forward(request)
    return http("200 OK", b"")


async def gateway_timeout(request: bytes, forward: Forward) -> bytes:
    """Delivers, and says that the hub did not answer."""
    await forward(request)
    return http("504 Gateway Time-out", b"<html>upstream timed out</html>", "text/html")


class Stale:
    """A cache: gives the answer that another batch got."""

    def __init__(self) -> None:
        self._kept = b""

    async def __call__(self, request: bytes, forward: Forward) -> bytes:
        answer, self._kept = self._kept, await forward(request)
        return answer or self._kept


class Few:
    """A hub that takes some batches of readings and then asks for patience."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    async def __call__(self, request: bytes, forward: Forward) -> bytes:
        if header(request, wire.BATCH_TYPE) == "records":
            if self.left <= 0:
                return b"HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"
            self.left -= 1
        return await forward(request)


class Forgetful:
    """A hub that gives all its commands again with each answer, as one out of an old backup would."""

    def __init__(self) -> None:
        self.times = 0
        self._given: dict[str, Command] = {}

    async def __call__(self, request: bytes, forward: Forward) -> bytes:
        answer = await forward(request)
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            return answer
        said = msgspec.json.decode(body, type=wire.Answer)
        self.times += bool(self._given)
        self._given |= {command.id: command for command in said.commands}
        commands = list(self._given.values())
        return http("200 OK", msgspec.json.encode(msgspec.structs.replace(said, commands=commands)))
