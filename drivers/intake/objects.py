"""One JSON object that a device sends, in each of the shapes that are known; pure.

{"ts": ..., "values": {...}}                                   nodes, PowerTrack, ThingsBoard devices
{"timestamp": ..., "readings": [{"param", "value", "unit"}]}   AXM-WEB2, also with the readings under "device"
{"keys": [...], "data": [{"ts", "period", "values": [[...]]}]} Shelly's stored minutes
{"value": 1.5, "unit": "W"}                                    one metric, named by its MQTT topic
{"Time": "...", "ENERGY": {"Power": 1}}                        Tasmota, and any other object of values
"""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from drivers.intake.stamps import NAMES, parse_stamp
from drivers.intake.values import clean_key, flatten, number_or_words
from gateway.core.errors import CodecError, TooLargeError
from gateway.core.pushed import RECORDS_MAX, PushedRecord

EXPECTED = 'an object like {"ts": 1790000000, "values": {"power": 230}}'


def records_of(thing: object, zone: tzinfo, metric: str = "") -> Iterator[PushedRecord]:
    """The records of one object; `metric` names a value that stands alone. Raises CodecError."""
    if metric and not isinstance(thing, dict | list):
        thing = {metric: thing}
    if not isinstance(thing, dict):
        raise CodecError(f"expected {EXPECTED}, not {_kind(thing)}")
    thing = _unwrapped(thing)
    readings = thing.get("readings") or (isinstance(thing.get("device"), dict) and thing["device"].get("readings"))
    if isinstance(thing.get("keys"), list) and isinstance(thing.get("data"), list):
        yield from _stored_minutes(thing, zone)
    elif isinstance(readings, list):
        yield _readings(thing, readings, zone)
    elif isinstance(thing.get("values"), dict):
        yield _record(thing, thing["values"], zone)
    elif metric and "value" in thing:
        unit = thing.get("unit")
        yield _record(thing, {metric: thing["value"]}, zone, {clean_key(metric): unit} if isinstance(unit, str) else {})
    else:
        yield _record(thing, {key: value for key, value in thing.items() if key.lower() not in NAMES}, zone)


def _unwrapped(thing: dict[str, Any]) -> dict[str, Any]:
    """Without the envelope of a remote call, as Shelly's answers and notes have it."""
    inner = thing.get("result", thing.get("params") if "method" in thing else None)
    return inner if isinstance(inner, dict) else thing


def _record(
    thing: dict[str, Any], values: dict[str, Any], zone: tzinfo, units: dict[str, str] | None = None
) -> PushedRecord:
    flat: dict[str, float | str | None] = {}
    flatten(values, flat)
    if not flat:
        raise CodecError(f"has no values; expected {EXPECTED}")
    degrees = thing.get("TempUnit")  # Tasmota's
    if isinstance(degrees, str):
        units = {key: f"°{degrees}" for key in flat if key.endswith("Temperature")}
        flat.pop("TempUnit", None)
    return PushedRecord(_stamp(thing, zone), flat, units or {}, _index(thing) if "values" in thing else None)


def _stamp(thing: dict[str, Any], zone: tzinfo) -> int | None:
    return parse_stamp(next((value for key, value in thing.items() if key.lower() in NAMES), None), zone)


def _index(thing: dict[str, Any]) -> int | None:
    index = thing.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _readings(thing: dict[str, Any], readings: list[Any], zone: tzinfo) -> PushedRecord:
    values: dict[str, float | str | None] = {}
    units: dict[str, str] = {}
    for reading in readings:
        if not isinstance(reading, dict) or not isinstance(reading.get("param"), str):
            raise CodecError('expected readings like {"param": "V1", "value": "230.5", "unit": "V"}')
        key = clean_key(reading["param"])
        values[key] = number_or_words(reading.get("value"))
        if isinstance(unit := reading.get("unit"), str) and unit:
            units[key] = unit
    if not values:
        raise CodecError("has no readings")
    return PushedRecord(_stamp(thing, zone), values, units, _index(thing))


def _stored_minutes(thing: dict[str, Any], zone: tzinfo) -> Iterator[PushedRecord]:
    """Runs of rows: the first at `ts`, each next one `period` seconds later."""
    keys = [clean_key(key) for key in thing["keys"]]
    runs = [run.get("values") for run in thing["data"] if isinstance(run, dict)]
    if sum(len(rows) for rows in runs if isinstance(rows, list)) > RECORDS_MAX:
        raise TooLargeError(f"more than {RECORDS_MAX} records", hint="ask for fewer at a time")
    for run in thing["data"]:
        try:
            start, period_ms, rows = parse_stamp(run["ts"], zone), round(float(run["period"]) * 1000), run["values"]
            rows = [dict(zip(keys, map(number_or_words, row), strict=True)) for row in rows]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CodecError('expected {"ts", "period", "values": [a row for all keys, ...]} in data') from error
        if start is None:
            raise CodecError("expected a time in each entry of data")
        yield from (PushedRecord(start + i * period_ms, values) for i, values in enumerate(rows) if values)


def _kind(thing: object) -> str:
    return {list: "a list", str: "text", type(None): "null", bool: "true or false"}.get(type(thing), "a number")
