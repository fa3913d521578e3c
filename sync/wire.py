"""The batch as bytes: one definition for both ends, over HTTPS and AMQP alike.

POST /api/v1/ingest with the headers below; the body is MessagePack, its shape by X-Batch-Type:

    records    Records    packs as gateway.core.codec makes them, with the span that they cover
    layouts    Layouts    the layouts that the hub asked for
    events     Events     events by seq
    ledger     Ledger     what the gateway holds of some hours, for comparison
    heartbeat  Heartbeat  how the gateway is
    config     Configuration  what is in effect on the gateway, where an Answer asked for it
    secret     NewSecret  what is told of the gateway's next secret, see sync/enrol.py

The answer to all is an Answer as JSON, status 200; or 409 with `wanted` filled: send these layouts
first, then the same batch again. Everything else is an Answer with `error`, and nothing was stored:
400 and 422 the batch is not what it should be, 413 it is too large, 401 the secret is wrong, 429 and
503 come again later. Only an Answer that repeats the batch's cursor is the hub's.
"""

from typing import Annotated, Literal

import msgspec

from gateway.core.configreport import ConfigReport
from gateway.core.model import Command, Event

PATH = "/api/v1/ingest"
COMMANDS_PATH = "/api/v1/commands"  # GET ?wait=S: an Answer as soon as there is something to say, or after S seconds
CONTENT_TYPE = "application/msgpack"
NODE_ID, NODE_SECRET, BATCH_TYPE, CURSOR = "X-Node-ID", "X-Node-Secret", "X-Batch-Type", "X-Push-Cursor"
HUB_TIME = "X-Hub-Time"  # of every answer: milliseconds since 1970 UTC, when the hub gave it
BODY_MAX = 16 * 1024 * 1024

BatchType = Literal["records", "layouts", "events", "ledger", "heartbeat", "config", "secret"]
Seq = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
HOURS_BELOW = 1 << 53  # milliseconds, either way; every store can look for them
Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]


class Cursor(msgspec.Struct, frozen=True):
    """Which part of which buffer's life a batch is: `epoch:lo-hi` in the header."""

    epoch: Id
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


class Hour(msgspec.Struct, frozen=True, array_like=True):
    """What one end holds of one layout's hour: [layout, hour, count, digest]."""

    layout: Id
    hour: Annotated[int, msgspec.Meta(ge=-HOURS_BELOW, lt=HOURS_BELOW)]  # when it begins, milliseconds since 1970 UTC
    count: int  # records
    digest: int  # sum over the records, modulo 2^63, of `gateway.core.accounts.of_record`: order does not matter


class Ledger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hours: Annotated[list[Hour], msgspec.Meta(max_length=20_000)]


class Heartbeat(msgspec.Struct, frozen=True):
    """How the gateway is; a newer gateway may say more than its hub understands."""

    version: str
    now: int  # its clock, milliseconds since 1970 UTC
    uptime_s: Annotated[float, msgspec.Meta(ge=0, lt=1e12)]
    clock: str  # where its time comes from, as in ClockState.source
    config: str = ""  # SHA-256 of site.yaml, hexadecimal
    backlog: int = 0  # records that the hub has not acknowledged
    oldest: int = 0  # ts of the oldest of them; 0: none
    quarantined: int = 0
    disk_free: int = 0  # bytes, where the buffer is
    buffer_bytes: int = 0
    problems: tuple[str, ...] = ()  # in words; empty: all is well
    effective: str = ""  # digest of its Configuration; empty: it tells none
    taken: tuple[str, ...] = ()  # ids of commands that came and are kept: the hub need not send them again
    disk_total: int = 0  # bytes of that disk; 0: not told
    # Of the problems, those that nothing else here tells. None, as the next: an older gateway tells problems alone.
    faults: tuple[str, ...] | None = None
    silent: dict[str, int] | None = None  # devices that do not answer: for how many seconds


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]  # of the report, as its gateway makes it
    report: ConfigReport


class Rejection(msgspec.Struct, frozen=True, array_like=True):
    """A record or an event that the hub will never take: [seq, reason]."""

    seq: int
    reason: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the hub says to a batch, or by itself. An answer whose cursor is not the batch's is no acknowledgement."""

    cursor: str
    accepted: int = 0
    duplicate: int = 0
    rejected: list[Rejection] = []  # the rest of the batch was taken
    wanted: list[Id] = []  # layout ids, hexadecimal
    differing: list[Hour] = []  # of a ledger: the hub's own account, where it is another
    commands: list[Command] = []
    configuration_wanted: bool = False  # the hub does not have the one that the heartbeat named
    error: str = ""
    type: str = ""  # of the batch, where an answer comes later than its batch was delivered; empty: records
