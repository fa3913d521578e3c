"""SunSpec's logger XML, which inverters' data loggers upload; pure.

<sunSpecData v="1"><d man mod sn t="2026-05-31T14:00:00Z"><m id="103"><p id="W" sf="1">230</p></m></d></sunSpecData>
"""

from collections.abc import Iterator
from datetime import tzinfo
from xml.etree import ElementTree

from drivers.intake.stamps import parse_stamp
from drivers.intake.values import Value, clean_key, number_or_words
from gateway.core.errors import CodecError, TooLargeError
from gateway.core.pushed import RECORDS_MAX, PushedRecord


def parse_logger_xml(text: str, zone: tzinfo) -> list[PushedRecord]:
    """A record for each time of each <d>; keys are model and point, 103_W. Raises CodecError, TooLargeError."""
    if "<!" in text:  # no logger declares entities, and they can unfold without end
        raise CodecError("XML with declarations is not taken")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise CodecError(f"not sound XML: {error}") from error
    if root.tag != "sunSpecData":
        raise CodecError(f"expected <sunSpecData>, not <{root.tag:.40}>")
    records: list[PushedRecord] = []
    for device in root.iter("d"):
        by_time: dict[str, PushedRecord] = {}
        for stamp, key, value, unit in _points(device):
            record = by_time.get(stamp)
            if record is None:
                record = by_time[stamp] = PushedRecord(parse_stamp(stamp, zone), {}, {}, None, len(records) + 1)
                records.append(record)
                if len(records) > RECORDS_MAX:
                    raise TooLargeError(f"more than {RECORDS_MAX} records", hint="send fewer records at a time")
            record.values[key] = value
            if unit:
                record.units[key] = unit
    return records


def _points(device: ElementTree.Element) -> Iterator[tuple[str, str, Value, str]]:
    for model in device.iter("m"):
        for point in model.iter("p"):
            key = "_".join(part for part in (model.get("id"), model.get("x"), point.get("id"), point.get("x")) if part)
            value = number_or_words(point.text or "")
            if isinstance(value, float) and (factor := number_or_words(point.get("sf", "0"))):
                try:
                    value = number_or_words(value * 10.0 ** float(factor))
                except (ValueError, OverflowError):
                    value = None
            yield point.get("t") or device.get("t") or "", clean_key(key), value, point.get("u", "")
