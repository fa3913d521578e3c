"""A TCP proxy between gateway and hub that keeps what passes, with the time when it passed."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of one stream; `at` is wall time in seconds."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Conversation:
    """One connection: what the gateway said and what the hub did, as bytes above TCP."""

    up: list[Chunk] = field(default_factory=list)
    down: list[Chunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it was sent; `at` is when its last byte passed."""

    at: float
    head: bytes  # request line and headers, with the blank line
    body: bytes

    def header(self, name: str) -> str:
        """The header's value; empty where there is none."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, text = line.partition(b":")
            if key.strip().lower() == name.lower().encode():
                return text.strip().decode("latin-1")
        return ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it listens, and all that has passed."""

    port: int
    conversations: list[Conversation]

    def requests(self) -> list[Request]:
        """All that have passed, by time."""
        found = (request for talk in self.conversations for request in split_requests(talk.up))
        return sorted(found, key=lambda request: request.at)

    def bytes_down(self, start: float, end: float) -> int:
        """What the hub sent at `start <= at < end`."""
        chunks = (chunk for talk in self.conversations for chunk in talk.down)
        return sum(len(chunk.data) for chunk in chunks if start <= chunk.at < end)


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """A proxy to `port` of this machine."""
    conversations: list[Conversation] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Conversation()
        conversations.append(talk)
        try:
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, hub_writer, talk.up), _pump(hub_reader, writer, talk.down))
        except OSError:
            writer.close()  # the hub is not there, or an end went away: the gateway sees the same

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Proxy(server.sockets[0].getsockname()[1], conversations)
    finally:
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: list[Chunk]) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            kept.append(Chunk(time.time(), data))
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def split_requests(chunks: list[Chunk]) -> Iterator[Request]:
    """The HTTP requests of one stream, in their order; a last one that is incomplete is left out."""
    ends: list[tuple[int, float]] = []
    total = 0
    for chunk in chunks:
        total += len(chunk.data)
        ends.append((total, chunk.at))
    stream = b"".join(chunk.data for chunk in chunks)
    at = 0
    while (head_end := stream.find(b"\r\n\r\n", at)) >= 0:
        head = stream[at : head_end + 4]
        body_end = head_end + 4 + _body_bytes(head, stream, head_end + 4)
        if body_end > len(stream):
            return
        passed = next(when for end, when in ends if end >= body_end)
        yield Request(passed, head, stream[head_end + 4 : body_end])
        at = body_end


def _body_bytes(head: bytes, stream: bytes, start: int) -> int:
    """The length of the body that starts at `start`: as its header says, or up to the last chunk."""
    request = Request(0, head, b"")
    if request.header("Transfer-Encoding").lower() == "chunked":
        end = stream.find(b"0\r\n\r\n", start)
        return end + 5 - start if end >= 0 else len(stream)
    return int(request.header("Content-Length") or 0)
