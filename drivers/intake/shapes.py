"""A body that a device sends, in whatever shape, as records; pure.

The shape is told by the body itself: devices name their content wrongly. Of a list, one bad record
does not lose the others. Only one thing is taken from the content type, the boundary of a form.
"""

import email.parser
import email.policy
import json
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, tzinfo

import msgspec

from drivers.intake.logger_xml import parse_logger_xml
from drivers.intake.objects import records_of
from drivers.intake.table import parse_table
from drivers.intake.values import number_or_words
from gateway.core.errors import CodecError, TooLargeError
from gateway.core.pushed import RECORDS_MAX, Parsed, PushedRecord, Rejected

BYTES_MAX = 8 * 1024 * 1024  # of one body when unpacked
PARTS_MAX = 100  # of one form
VALUES_MAX = 500  # of one record
GZIP = b"\x1f\x8b"
BARE_NAN = re.compile(r"(?<=[:,\[\s])[+-]?(?:nan|inf(?:inity)?)(?=[\s,\]}])", re.IGNORECASE)


def parse(body: bytes, content_type: str = "", *, zone: tzinfo = UTC, metric: str = "") -> Parsed:
    """The records of `body`; `metric` names a value that stands alone, as in many MQTT topics.

    A time without a zone is in `zone`. Raises CodecError where nothing of it can be read, TooLargeError
    above BYTES_MAX, PARTS_MAX or RECORDS_MAX.
    """
    if body.startswith(GZIP):
        body = _unzipped(body)
    if len(body) > BYTES_MAX:
        raise TooLargeError(f"more than {BYTES_MAX} bytes", hint="send fewer records at a time")
    if content_type.lower().startswith("multipart/"):
        parsed = _form(body, content_type, zone)
    else:
        parsed = _text(_decoded(body), zone, metric)
    return _fit_to_keep(parsed)


def _unzipped(body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    try:
        unzipped = unzip.decompress(body, BYTES_MAX + 1)
    except zlib.error as error:
        raise CodecError(f"not sound gzip: {error}") from error
    if len(unzipped) <= BYTES_MAX and not unzip.eof:
        raise CodecError("gzip that ends too early")
    return unzipped


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise CodecError("expected text in UTF-8") from error


def _form(body: bytes, content_type: str, zone: tzinfo) -> Parsed:
    """The parts of a form that hold JSON, one after the other."""
    if not content_type.isascii():
        raise CodecError("expected a form whose boundary is ASCII")
    if body.count(b"\n--") + body.count(b"\r--") > PARTS_MAX:  # before the parts are made: that takes long
        raise TooLargeError(f"more than {PARTS_MAX} parts", hint="send fewer parts at a time")
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    texts = [text for part in parts if isinstance(part, bytes) and (text := _decoded(part))[:1] in ("{", "[")]
    if not texts:
        raise CodecError("expected a form with a part of JSON")
    whole = Parsed([], [])
    for text in texts:
        parsed = _text(text, zone, "")
        whole.records.extend(parsed.records)
        whole.rejected.extend(parsed.rejected)
        _check_count(whole)
    return whole


def _text(text: str, zone: tzinfo, metric: str) -> Parsed:
    if not text:
        raise CodecError("the body is empty")
    if text[0] in "{[":
        return _json(text, zone, metric)
    if text[0] == "<":
        return Parsed(parse_logger_xml(text, zone))
    if metric and "\n" not in text:
        return Parsed([PushedRecord(None, {metric: number_or_words(text)})])
    if "\n" in text or "\r" in text:
        return parse_table(text, zone)
    raise CodecError("expected JSON, NDJSON, CSV with a header row, or SunSpec logger XML")


def _json(text: str, zone: tzinfo, metric: str) -> Parsed:
    try:
        whole = _load(text)
    except CodecError as error:
        lines = text.splitlines()
        if len(lines) < 2 or not any(map(_is_object, lines)):
            raise error
        return _each(((number, line) for number, line in enumerate(lines, 1) if line.strip()), zone, metric)
    things = whole if isinstance(whole, list) else [whole]
    return _each(enumerate(things, 1), zone, metric)


def _each(things: Iterable[tuple[int, object]], zone: tzinfo, metric: str) -> Parsed:
    """The records of each thing, which is an object or a line of NDJSON."""
    parsed = Parsed([], [])
    for number, thing in things:
        try:
            loaded = _load(thing) if isinstance(thing, str) else thing
            records = [msgspec.structs.replace(r, number=number) for r in records_of(loaded, zone, metric)]
        except TooLargeError:
            raise
        except CodecError as error:
            parsed.rejected.append(Rejected(number, str(error)))
        else:
            parsed.records.extend(records)
        _check_count(parsed)
    return parsed


def _check_count(parsed: Parsed) -> None:
    if len(parsed.records) + len(parsed.rejected) > RECORDS_MAX:
        raise TooLargeError(f"more than {RECORDS_MAX} records", hint="send fewer records at a time")


def _is_object(line: str) -> bool:
    try:
        return isinstance(_load(line), dict)
    except CodecError:
        return False


def _load(text: str) -> object:
    """JSON, with NaN and infinity in any spelling as null. Raises CodecError."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        try:
            return json.loads(BARE_NAN.sub("null", text), parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            raise CodecError(f"not sound JSON: {error}") from error


def _fit_to_keep(parsed: Parsed) -> Parsed:
    kept: list[PushedRecord] = []
    rejected = list(parsed.rejected)
    for record in parsed.records:
        if why := _why_unfit(record):
            rejected.append(Rejected(record.number, why))
        else:
            kept.append(record)
    return Parsed(kept, rejected) if len(kept) < len(parsed.records) else parsed


def _why_unfit(record: PushedRecord) -> str:
    if len(record.values) > VALUES_MAX:
        return f"more than {VALUES_MAX} values in one record"
    try:
        msgspec.json.encode(record)
    except UnicodeEncodeError:  # JSON may say \ud800, which is no character
        return "text with half of a surrogate pair, which cannot be written as UTF-8"
    return ""
