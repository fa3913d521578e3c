"""What devices send by themselves: the records of one body before they have a layout, and the answer to it."""

import msgspec

RECORDS_MAX = 50_000  # of one body


class PushedRecord(msgspec.Struct, frozen=True):
    """What a device says it measured at one time, in its own words; a missing value is None."""

    ts_ms: int | None  # milliseconds since 1970 UTC by the device's clock; None: it does not say
    values: dict[str, float | str | None]
    units: dict[str, str] = {}
    index: int | None = None  # the device's own count of records; goes on where its clock does not
    number: int = 1  # which record of the body it is, from 1


class Rejected(msgspec.Struct, frozen=True):
    """A record that could not be taken, and why."""

    record: int  # from 1
    reason: str


class Parsed(msgspec.Struct, frozen=True):
    """One body: what could be read of it, and what could not."""

    records: list[PushedRecord] = []
    rejected: list[Rejected] = []


class Parcel(msgspec.Struct, frozen=True):
    """What one device sent at once; the points of a record with several values make up `group`."""

    device: str
    parsed: Parsed
    group: str = "push"


class PushAnswer(msgspec.Struct, frozen=True):
    """What became of one body; all but `rejected` is on the disk."""

    accepted: int = 0
    duplicate: int = 0  # taken before
    doubtful: int = 0  # set aside: the time cannot be right
    rejected: list[Rejected] = []
