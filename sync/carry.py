"""Batches in a file that somebody carries to the hub, and the receipt that comes back: one format, both signed.

    file := MAGIC, part...
    part := length of the body (4 bytes, big-endian), body, seal (32 bytes)
    body := MessagePack of an Opening; then of each Batch; then of the Ending
    seal := HMAC-SHA256 of the seal before it (of the first: of MAGIC) and the body

So every part vouches for its place, and a file that was cut off lacks its Ending. The key comes from the SHA-256 of
the node's secret, which is what the hub keeps of it. A receipt has for each batch that was taken one of the same type
and cursor, with the hub's Answer as JSON.
"""

import hashlib
import hmac
from collections.abc import Iterator
from typing import IO, Literal

import msgspec

from gateway.core.errors import CodecError
from sync import wire

PATH = "/api/v1/carry"
MAGIC = b"holdfast-carry 1\n"
SEAL = 32
OPENING_MAX = 1024  # bytes of the first part
BODY_MAX = wire.BODY_MAX + 1024

Kind = Literal["batches", "receipt"]


class Opening(msgspec.Struct, frozen=True, tag_field="part", tag="opening"):
    """Whose file it is."""

    kind: Kind
    node: str
    epoch: wire.Id
    made: int  # milliseconds since 1970 UTC


class Batch(msgspec.Struct, frozen=True, tag_field="part", tag="batch"):
    """As it goes over the wire, header and body."""

    type: Literal["records", "layouts", "events"]
    cursor: str
    body: bytes


class Ending(msgspec.Struct, frozen=True, tag_field="part", tag="ending"):
    """So many batches are before it, and nothing is behind it."""

    batches: int


_PARTS: msgspec.msgpack.Decoder[Opening | Batch | Ending] = msgspec.msgpack.Decoder(Opening | Batch | Ending)


def key_of(secret_sha256: str) -> bytes:
    """What signs a node's files; `secret_sha256` as `gateway.core.credential.digest` gives it."""
    return hmac.digest(bytes.fromhex(secret_sha256), b"holdfast carry", "sha256")


OTHER_KIND: dict[Kind, tuple[str, str]] = {
    "batches": ("a receipt, and no file of batches", "the hub wants what `holdfast sync export` has written"),
    "receipt": ("no receipt, but a file of batches", "bring the receipt that `holdfast hub import` has written"),
}


class Writer:
    """Writes one file; it is whole once `end` was called."""

    def __init__(self, file: IO[bytes], key: bytes, opening: Opening) -> None:
        self.batches = 0
        self._file = file
        self._key = key
        self._seal = MAGIC
        file.write(MAGIC)
        self._put(opening)

    def batch(self, batch: Batch) -> None:
        self.batches += 1
        self._put(batch)

    def end(self) -> None:
        self._put(Ending(self.batches))

    def _put(self, part: msgspec.Struct) -> None:
        body = msgspec.msgpack.encode(part)
        self._seal = _sealed(self._key, self._seal, body)
        self._file.write(len(body).to_bytes(4) + body + self._seal)


def opening(file: IO[bytes]) -> Opening:
    """Whose file it says it is: nothing is proved yet. Raises CodecError."""
    first = _opening(_part(_at_start(file), OPENING_MAX)[0])
    file.seek(0)
    return first


def read(file: IO[bytes], key: bytes | None, kind: Kind) -> Iterator[Batch]:
    """The batches of a file from its start, each proved to be in its place. Raises CodecError, at the end for a part
    that is missing; only a file that was read to its end once is proved. Without a key nothing is: for what our own
    hub has written."""
    seal, most, batches = MAGIC, OPENING_MAX, 0
    _at_start(file)
    while True:
        body, found = _part(file, most)
        seal = _sealed(key, seal, body) if key is not None else found
        if not hmac.compare_digest(seal, found):
            raise CodecError("it was not signed by this node, or was changed since", hint="write it once more")
        if most == OPENING_MAX:
            if _opening(body).kind != kind:
                words, hint = OTHER_KIND[kind]
                raise CodecError(words, hint=hint)
            most = BODY_MAX
            continue
        part = _decoded(body)
        if isinstance(part, Ending) and part.batches == batches and not file.read(1):
            return
        if not isinstance(part, Batch):
            raise CodecError("its parts do not belong together")
        batches += 1
        yield part


def is_opened_by(file: IO[bytes], key: bytes) -> bool:
    """Whether the first part alone is signed by `key`: so much is asked before more is taken from a stranger."""
    body, seal = _part(_at_start(file), OPENING_MAX)
    return hmac.compare_digest(_sealed(key, MAGIC, body), seal)


def _at_start(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise CodecError("not a file of batches", hint="it is made with `holdfast sync export`")
    return file


def _part(file: IO[bytes], most: int) -> tuple[bytes, bytes]:
    length = int.from_bytes(file.read(4))
    body, seal = file.read(length) if length <= most else b"", file.read(SEAL)
    if not length or len(body) < length or len(seal) < SEAL:
        raise CodecError("it is cut off, or damaged", hint="copy it again, or write it once more")
    return body, seal


def _opening(body: bytes) -> Opening:
    part = _decoded(body)
    if not isinstance(part, Opening):
        raise CodecError("its parts do not belong together")
    return part


def _decoded(body: bytes) -> Opening | Batch | Ending:
    try:
        return _PARTS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"a part that this release does not know: {error}", hint="update the hub") from error


def _sealed(key: bytes, before: bytes, body: bytes) -> bytes:
    return hmac.digest(key, hashlib.sha256(before).digest() + body, "sha256")
