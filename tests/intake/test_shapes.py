"""Bodies as devices send them, to records."""

import gzip
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.intake.shapes import BYTES_MAX, PARTS_MAX, parse
from gateway.core.errors import CodecError, TooLargeError
from gateway.core.pushed import RECORDS_MAX, Parsed, PushedRecord

NOON = 1_790_000_000_000
UNWRITABLE = "text with half of a surrogate pair, which cannot be written as UTF-8"
FIXTURES = Path(__file__).parents[1] / "fixtures/pushed"


def one(body: str | bytes, **more: str) -> PushedRecord:
    parsed = parse(body if isinstance(body, bytes) else body.encode(), **more)
    assert parsed.rejected == []
    (record,) = parsed.records
    return record


@pytest.mark.parametrize(
    "stamp", [NOON, NOON // 1000, NOON / 1000, str(NOON), '"2026-09-21T14:13:20Z"', '"2026-09-21 16:13:20+02:00"']
)
def test_a_time_may_be_seconds_milliseconds_or_iso_8601(stamp: object) -> None:
    assert one(f'{{"ts": {stamp}, "values": {{"power": 1}}}}').ts_ms == NOON


def test_a_time_without_a_zone_is_in_the_zone_of_the_site() -> None:
    body = b'{"Time": "2026-07-01T12:00:00", "ENERGY": {"Power": 5}}'
    (record,) = parse(body, zone=ZoneInfo("Australia/Sydney")).records
    assert record.ts_ms == one('{"ts": "2026-07-01T02:00:00Z", "power": 5}').ts_ms


@pytest.mark.parametrize("nothing", ["null", "NaN", "Infinity", "-Infinity", "nan", '"NaN"', '""', "1e999"])
def test_what_is_no_number_is_missing_and_never_0(nothing: str) -> None:
    assert one(f'{{"ts": {NOON}, "values": {{"a": {nothing}, "b": 1.5}}}}').values == {"a": None, "b": 1.5}


def test_one_bad_record_does_not_lose_the_others() -> None:
    things = [{"ts": NOON, "values": {"a": 1}}, {"ts": "soon", "values": {"a": 2}}, 7, {"ts": NOON + 1, "a": 3}]
    for body in (json.dumps(things), "\n".join(map(json.dumps, things))):
        parsed = parse(body.encode())
        assert [(r.number, r.values) for r in parsed.records] == [(1, {"a": 1}), (4, {"a": 3})]
        assert [r.record for r in parsed.rejected] == [2, 3]
        assert parsed.rejected[0].reason.startswith("expected a time as seconds, milliseconds or ISO 8601")
        assert parsed.rejected[1].reason.startswith('expected an object like {"ts"')


def test_a_broken_line_of_ndjson_loses_only_itself() -> None:
    parsed = parse(b'{"ts": 1790000000, "a"\n{"ts": 1790000001, "a": 2}\n')
    assert [r.number for r in parsed.records] == [2]
    assert [r.record for r in parsed.rejected] == [1]


def test_csv_has_one_record_a_row_with_units_in_its_header() -> None:
    parsed = parse(b"Timestamp,index,power [kW],mode\n1790000000,3,1.5,on\n1790000001,4,,off\n1790000002,5\n")
    assert parsed.records == [
        PushedRecord(NOON, {"power": 1.5, "mode": "on"}, {"power": "kW"}, 3, 1),
        PushedRecord(NOON + 1000, {"power": None, "mode": "off"}, {"power": "kW"}, 4, 2),
    ]
    assert [(r.record, r.reason) for r in parsed.rejected] == [(3, "expected 4 columns as in the header, not 2")]


def test_csv_with_a_value_a_row_joins_what_is_of_one_time() -> None:
    parsed = parse(b"ts,key,value,unit\n1790000000,p,1,kW\n1790000000,u,230,V\n1790000060,p,2,kW\n")
    assert [(r.ts_ms, r.values, r.units) for r in parsed.records] == [
        (NOON, {"p": 1, "u": 230}, {"p": "kW", "u": "V"}),
        (NOON + 60_000, {"p": 2}, {"p": "kW"}),
    ]


def test_a_decimal_comma_is_understood_where_semicolons_part() -> None:
    assert parse(b"ts;power\n1790000000;1,5\n").records[0].values == {"power": 1.5}


def test_both_shapes_of_axm_web2_are_read_and_a_form_around_them() -> None:
    old, new = ((FIXTURES / f"axm_web2_{shape}.json").read_bytes() for shape in "ab")
    first = one(old)
    assert first.values == {"V1": 230.5, "Psum": 286000.0, "Ep_imp": 1842.7}
    assert first.units["Psum"] == "W"
    second = one(new)
    assert second.ts_ms == 1778252253000
    assert second.units == {"V1": "V", "Psum_kW": "kW"}
    form = b'--xyz\r\nContent-Disposition: form-data; name="n"\r\n\r\nmeter\r\n--xyz\r\nContent-Disposition: form-data;'
    form += b' name="data"; filename="a.json"\r\nContent-Type: application/json\r\n\r\n' + old + b"\r\n--xyz--\r\n"
    assert one(form, content_type="multipart/form-data; boundary=xyz") == first


def test_stored_minutes_of_a_shelly_are_one_record_a_row() -> None:
    data = [{"ts": 1790000000, "period": 60, "values": [[1, 2], [3, None]]}]
    for body in ({"keys": ["a", "b"], "data": data}, {"id": 1, "result": {"keys": ["a", "b"], "data": data}}):
        records = parse(json.dumps(body).encode()).records
        assert [(r.ts_ms, r.values) for r in records] == [
            (NOON, {"a": 1, "b": 2}),
            (NOON + 60_000, {"a": 3, "b": None}),
        ]


def test_nested_values_get_the_names_of_their_way() -> None:
    body = '{"Time": "2026-07-01T12:00:00Z", "ENERGY": {"Power": [1, 2], "Total": 3.5}, "TempUnit": "F", "A.b": 1}'
    assert one(body).values == {"ENERGY_Power_0": 1, "ENERGY_Power_1": 2, "ENERGY_Total": 3.5, "A_b": 1}


def test_the_logger_xml_of_sunspec_is_read_with_its_scale_factors() -> None:
    points = '<m id="103"><p id="W" sf="2">23</p></m>'
    body = f'<sunSpecData v="1"><d man="F" t="2026-09-21T14:13:20Z">{points}</d></sunSpecData>'
    assert one(body) == PushedRecord(NOON, {"103_W": 2300.0}, {}, None, 1)


@pytest.mark.parametrize(("body", "value"), [("12.5", 12.5), ('{"value": "12.5", "unit": "W"}', 12.5), ("on", "on")])
def test_a_value_that_stands_alone_is_named_by_its_topic(body: str, value: object) -> None:
    assert one(body, metric="power").values == {"power": value}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"hello", "expected JSON, NDJSON, CSV with a header row"),
        (b'{"ts": 1', "not sound JSON"),
        (b"\xff\xfe", "expected text in UTF-8"),
        (b"1,2\n3,4\n", "expected a header row"),
        (b"<html></html>", "expected <sunSpecData>"),
        (b"<!DOCTYPE x><sunSpecData/>", "XML with declarations is not taken"),
        (gzip.compress(b'{"a": 1}')[:-4], "gzip that ends too early"),
        (b"\x1f\x8bnonsense", "not sound gzip"),
        (b"[" * 100_000, "not sound JSON"),
        (b",,,\n,,\n", "expected a header row"),
        (b"\n,,,\n,,\n", "expected a header row"),
        (b'"\n"', "expected a header row"),
    ],
)
def test_what_cannot_be_read_at_all_says_what_was_expected(body: bytes, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        parse(body)


def test_gzip_is_unpacked_but_not_without_end() -> None:
    assert one(gzip.compress(b'{"ts": 1790000000, "a": 1}')).ts_ms == NOON
    with pytest.raises(TooLargeError):
        parse(gzip.compress(bytes(BYTES_MAX + 1)))


@pytest.mark.parametrize(
    "body",
    [
        b"a\n" + b"1\n" * RECORDS_MAX,
        b"[" + b'{"a":1},' * RECORDS_MAX + b'{"a":1}]',
        b'<sunSpecData><d><m id="1">%s</m></d></sunSpecData>'
        % b"".join(b'<p id="W" t="%d">1</p>' % t for t in range(RECORDS_MAX + 1)),
    ],
    ids=["CSV", "JSON", "XML"],
)
def test_more_records_than_anybody_should_send_at_once_are_refused(body: bytes) -> None:
    with pytest.raises(TooLargeError):
        parse(body)


@pytest.mark.parametrize(
    "broken",
    [
        {"values": {"a": "\ud800"}},
        {"values": {"a\udfff": 1}},
        {"readings": [{"param": "a", "value": 1, "unit": "\ud800"}]},
    ],
)
def test_text_that_cannot_be_written_loses_only_its_own_record(broken: dict[str, object]) -> None:
    things = [{"ts": NOON} | broken, broken, {"ts": NOON, "values": {"a": 1}}]
    parsed = parse(json.dumps(things).encode())
    assert [record.number for record in parsed.records] == [3]
    assert [(r.record, r.reason) for r in parsed.rejected] == [(1, UNWRITABLE), (2, UNWRITABLE)]


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    "part",
    [b"--x\r\n\r\n{}\r\n", b"--x\n\n{}\n", b"--x\r\r{}\r", b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"],
    ids=["CRLF", "LF", "CR", "nested"],
)
def test_a_form_has_no_more_parts_than_anybody_should_send(part: bytes) -> None:
    with pytest.raises(TooLargeError, match=f"more than {PARTS_MAX} parts"):
        parse(part * (PARTS_MAX + 2), FORM)


def test_the_parts_of_a_form_have_no_more_records_together_than_one_body() -> None:
    half = b"--x\r\n\r\n[" + b",".join([b'{"a":1}'] * (RECORDS_MAX // 2)) + b"]\r\n"
    assert len(parse(half * 2, FORM).records) == RECORDS_MAX
    with pytest.raises(TooLargeError, match=f"more than {RECORDS_MAX} records"):
        parse(half * 2 + b'--x\r\n\r\n{"a":1}\r\n', FORM)


@given(st.binary(max_size=200) | st.text('{}[]":,0123456789.eE+-NaInul \n;<>/ts=', max_size=80).map(str.encode))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    try:
        parsed = parse(body, metric="m")
    except CodecError:
        return
    assert isinstance(parsed, Parsed)
