"""What select.live's JSON holds, as points; pure.

Facts: github.com/eliotharper/ha-selectronic, and neerolyte/selpi, which imitates the box. Keys `..._wh_...` are kWh
despite their names; battery power is positive while discharging, grid power while importing; `battery_in` is
what was charged. A fault that comes and goes between two polls leaves no trace in `fault_code`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from gateway.core.errors import CodecError
from gateway.core.model import Point, Raw


def _power(key: str) -> Point:
    return Point(f"{key}_power", "f64", unit="W", quantity="power")


def _today(key: str) -> Point:
    return Point(f"{key}_energy_today", "f64", unit="kWh", quantity="energy")


def _total(key: str) -> Point:
    return Point(f"{key}_energy_total", "f64", unit="kWh", quantity="energy", kind="counter")


POINTS = {
    "battery_soc": Point("battery_soc", "f64", unit="%", quantity="battery"),
    "battery_w": _power("battery"),
    "grid_w": _power("grid"),
    "load_w": _power("load"),
    "solarinverter_w": _power("solar_inverter"),
    "shunt_w": _power("shunt"),
    "battery_in_wh_total": _total("battery_charge"),
    "battery_out_wh_total": _total("battery_discharge"),
    "grid_in_wh_total": _total("grid_import"),
    "grid_out_wh_total": _total("grid_export"),
    "load_wh_total": _total("load"),
    "solar_wh_total": _total("solar"),
    "battery_in_wh_today": _today("battery_charge"),
    "battery_out_wh_today": _today("battery_discharge"),
    "grid_in_wh_today": _today("grid_import"),
    "grid_out_wh_today": _today("grid_export"),
    "load_wh_today": _today("load"),
    "solar_wh_today": _today("solar"),
    "gen_status": Point("generator_status", "u32", kind="enum"),
    "fault_code": Point("fault_code", "u32", kind="enum"),
    "fault_ts": Point("fault_time", "text:19", kind="text", quantity="timestamp"),  # UTC; missing where there is none
}
"""By the key in the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The values in the order of POINTS, and the device's own time (ms since 1970 UTC), 0 where it gives none."""

    values: tuple[Raw | None, ...]
    ts: int


def parse_answer(body: bytes) -> Answer:
    """What is not there, or is no number, is missing. Raises CodecError where nothing is usable."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"not JSON, but {body[:40].decode(errors='replace')!r}") from error
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, dict):
        raise CodecError("JSON without items")
    values = tuple(_value(items, item, point) for item, point in POINTS.items())
    if all(value is None for value in values):
        raise CodecError("JSON with none of the items that an SP PRO has")
    return Answer(values, 1000 * (_whole(items.get("timestamp")) or 0))


def _value(items: Mapping[str, object], item: str, point: Point) -> Raw | None:
    value = items.get(item)
    if point.type == "f64":
        return _number(value)
    whole = _whole(value)
    if point.kind != "text":
        return whole
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%d %H:%M:%S") if whole else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON knows no bounds
        return None


def _whole(value: object) -> int | None:
    """A whole number of at most 32 bits; 50.0 is one, too."""
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and 0 <= number < 1 << 32 else None
