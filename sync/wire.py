"""The batch as bytes: one definition for both ends.

POST /api/v1/ingest with the headers below; the body is MessagePack, its shape by X-Batch-Type:

    records  Records    packs as gateway.core.codec makes them, with the span that they cover
    layouts  Layouts    the layouts that the hub asked for
    events   Events     events by seq

The answer to all is an Answer as JSON, status 200; or 409 with `wanted` filled: send these layouts
first, then the same batch again. Everything else is an Answer with `error`, and nothing was stored.
"""

from typing import Annotated, Literal

import msgspec

from gateway.core.model import Event

PATH = "/api/v1/ingest"
CONTENT_TYPE = "application/msgpack"
NODE_ID, NODE_SECRET, BATCH_TYPE, CURSOR = "X-Node-ID", "X-Node-Secret", "X-Batch-Type", "X-Push-Cursor"
HUB_TIME = "X-Hub-Time"  # of every answer: milliseconds since 1970 UTC, when the hub gave it
BODY_MAX = 16 * 1024 * 1024

BatchType = Literal["records", "layouts", "events"]
Seq = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class Cursor(msgspec.Struct, frozen=True):
    """Which part of which buffer's life a batch is: `epoch:lo-hi` in the header."""

    epoch: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
    lo: Seq
    hi: Seq

    def __str__(self) -> str:
        return f"{self.epoch}:{self.lo}-{self.hi}"


def parse_cursor(text: str) -> Cursor:
    """Raises ValueError with a sentence for the sender."""
    epoch, _, span = text.partition(":")
    lo, _, hi = span.partition("-")
    try:
        return msgspec.convert({"epoch": epoch, "lo": int(lo), "hi": int(hi)}, Cursor)
    except (ValueError, msgspec.ValidationError) as error:
        raise ValueError(f"{CURSOR}: expected epoch:lo-hi, got {text[:80]!r}") from error


class Records(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    packs: Annotated[list[bytes], msgspec.Meta(max_length=10_000)]


class Layouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    layouts: Annotated[list[bytes], msgspec.Meta(max_length=10_000)]  # each as Layout.encoded


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    events: Annotated[list[Event], msgspec.Meta(max_length=10_000)]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the hub says to a batch. An answer whose cursor is not the batch's is no acknowledgement."""

    cursor: str
    accepted: int = 0
    duplicate: int = 0
    wanted: list[str] = []  # layout ids, hexadecimal
    error: str = ""
