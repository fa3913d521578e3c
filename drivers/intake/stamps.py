"""When a device says that it measured: seconds, milliseconds or ISO 8601, as milliseconds since 1970 UTC; pure."""

from datetime import datetime, tzinfo

from gateway.core.errors import CodecError

MILLISECONDS_FROM = 1e11  # a larger number is milliseconds: as seconds it would be after the year 5000
LARGEST_MS = 10**15
NAMES = ("ts", "timestamp", "time")


def parse_stamp(value: object, zone: tzinfo) -> int | None:
    """None where the device says no time. A time without a zone is in `zone`.

    Raises CodecError for what is no time.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return _iso(value, zone)
        return parse_stamp(number, zone)
    if isinstance(value, int | float) and not isinstance(value, bool):
        ms = value if abs(value) >= MILLISECONDS_FROM else value * 1000
        if abs(ms) <= LARGEST_MS:  # not for NaN and infinity either
            return round(ms)
    raise CodecError(f"expected a time as seconds, milliseconds or ISO 8601, not {value!r:.40}")


def _iso(text: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(text.strip().replace("/", "-"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise CodecError(
            f"expected a time as seconds, milliseconds or ISO 8601 (2026-05-31T14:00:00Z), not {text!r:.40}"
        ) from error
