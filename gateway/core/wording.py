"""Numbers, keys and ages as people read them; pure, for the site's page and the hub's."""

from datetime import UTC, datetime
from functools import lru_cache

from gateway.core.model import Raw, Reading

DECIMALS = {"W": 0, "var": 0, "VA": 0, "Wh": 0, "V": 1, "A": 2, "Hz": 2, "kWh": 1, "kvarh": 1, "°C": 1, "%": 0, "h": 0}
UPPER = {"pv", "ac", "dc", "soc", "soh", "l1", "l2", "l3", "id", "mppt", "bms", "thd", "va", "n"}
QUANTITIES = ("power", "battery", "energy", "temperature", "voltage", "current", "frequency")
MAIN_MOST = 6
YEAR_9999_MS = 253_370_764_800_000  # datetime knows no more
MAIN_OF_ONE_QUANTITY = 2
DASH = "\N{EN DASH}"


def number_text(value: Raw | None, unit: str) -> str:
    """A value as the page shows it: decimals by unit, thousands parted, a dash where it is missing."""
    if value is None:
        return DASH
    if isinstance(value, str):
        return value
    decimals = DECIMALS.get(unit)
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}".rstrip("0").rstrip(".")


def reading_text(reading: Reading) -> str:
    """The words of an enum or bitfield where they are known, else the number."""
    return reading.words or number_text(reading.value, reading.unit)


@lru_cache(maxsize=4096)
def label(key: str) -> str:
    """A key as words: `pv1_voltage` is `PV1 voltage`."""
    words = [word.upper() if word.rstrip("0123456789") in UPPER or word in UPPER else word for word in key.split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def main_readings(readings: tuple[Reading, ...]) -> list[Reading]:
    """The few that say most, by quantity; of one quantity those with the plainest names, for totals have them.

    Where nothing has a quantity (relays), the first ones.
    """
    chosen: list[Reading] = []
    for quantity in QUANTITIES:
        alike = [r for r in readings if r.quantity == quantity and r.value is not None]
        chosen += sorted(alike, key=_plainness)[:MAIN_OF_ONE_QUANTITY]
    return (chosen or list(readings))[: MAIN_MOST if chosen else 8]


def _plainness(reading: Reading) -> tuple[int, bool, str]:
    """Small for a key of few words and without numbers, as totals have; the key itself settles ties."""
    return reading.key.count("_"), any(character.isdigit() for character in reading.key), reading.key


def age_text(ms: int) -> str:
    """An age in the largest unit that fits."""
    seconds = max(0, ms) // 1000
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def span_text(ms: int) -> str:
    """A stretch of time, in its two largest units; below a minute to the millisecond."""
    seconds, ms = divmod(abs(ms), 1000)
    for size, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // below} {small}"
    return f"{seconds}.{ms:03d} s"


def bytes_text(count: int) -> str:
    """A size in bytes with its unit."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def utc_text(ms: int, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time since 1970 UTC, to the minute; what no calendar has is shown as its nearest end."""
    return f"{datetime.fromtimestamp(min(max(ms, 0), YEAR_9999_MS) / 1000, UTC):{form}}"


def resolution_text(level_ms: int) -> str:
    """How far apart thinned records are: there is one ... in so many milliseconds."""
    return {60_000: "a minute", 3_600_000: "an hour"}.get(level_ms, f"in {level_ms // 60_000} minutes")
