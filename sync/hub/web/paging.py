"""Lists of many rows: a piece at a time, each from where the last one ended."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from sync.hub.web.api import ApiError

LIMIT_MAX = 1000
LAST = (1 << 63) - 1  # no row's number is beyond it
ALL_TIME = 1 << 53  # ms: no time is beyond it
T = TypeVar("T")

Ms = Annotated[int, msgspec.Meta(ge=0, lt=ALL_TIME, description="milliseconds since 1970 UTC")]
Name = Annotated[str, msgspec.Meta(max_length=200)]  # that is looked for; empty: any
Named = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Number = Annotated[int, msgspec.Meta(ge=0, le=LAST)]
After = Annotated[str, msgspec.Meta(max_length=2000, description="`next` of the piece before; empty: from the start")]
Limit = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX, description="at most so many items")]


class Paged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a list that knows nothing else."""

    after: After = ""
    limit: Limit = 100


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """A piece of a list; `next` is the `after` of the piece that follows, empty at the end."""

    items: list[T]
    next: str = ""


def mark(*key: object) -> str:
    """The opaque `next` that says where a list goes on: behind `key`."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(key)).decode().rstrip("=")


def marked(after: str, kind: type[T]) -> T | None:
    """The key in `after`, which `kind` says the type of; None for the start. Raises ApiError where it is none."""
    if not after:
        return None
    try:
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)), type=kind)
    except (binascii.Error, ValueError) as error:  # msgspec's errors are ValueErrors
        raise ApiError(400, "after: expected the `next` of another answer") from error


def name_before(after: str) -> str:
    """The name behind which a list by name goes on; empty: from the start. Raises ApiError for what no list said."""
    (name,) = marked(after, tuple[str]) or ("",)
    return name


def number_before(after: str) -> int:
    """The number below which a list by numbers, the highest first, goes on. Raises ApiError for what no list said."""
    (number,) = marked(after, tuple[Number]) or (LAST,)
    return number


def itself(one: T) -> T:
    """For a list whose items need no other form."""
    return one


def listed(
    rows: Sequence[Any], limit: int, item: Callable[[Any], T], key: Callable[[Any], Sequence[object]]
) -> Listed[T]:
    """Of up to `limit` + 1 rows, of which the last only says that there are more."""
    here = rows[:limit]
    return Listed([item(row) for row in here], mark(*key(here[-1])) if len(rows) > limit else "")


def checked_range(since: int | None, until: int | None, now: int, usual_ms: int) -> tuple[int, int]:
    """From `since` up to `until`, in ms; without `since` the last `usual_ms`. Raises ApiError for one upside down."""
    until = now if until is None else until
    since = max(0, until - usual_ms) if since is None else since
    if since >= until:
        raise ApiError(400, f"since: expected a time before until, which is {until}; got {since}")
    return since, until
