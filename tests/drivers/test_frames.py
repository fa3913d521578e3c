"""Replies are found among noise and foreign frames; a wrong value never comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import frames
from drivers.modbus.requests import Read, Reply, parse_pdu
from gateway.core.errors import CodecError

UNIT = 17
requests = st.builds(Read, st.just(UNIT), st.sampled_from([1, 2, 3, 4]), st.integers(0, 65000), st.integers(1, 100))


def pdu_for(request: Read, data: bytes) -> bytes:
    return bytes([request.function, request.reply_bytes]) + (data * 200)[: request.reply_bytes]


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + frames.crc(frame)


def mbap(transaction: int, unit: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


def foreign_pdus(request: Read) -> st.SearchStrategy[tuple[int, bytes]]:
    """Good frames that answer something else: another unit, function or count."""
    other_function = 4 if request.function == 3 else 3
    return st.sampled_from(
        [
            (UNIT + 1, pdu_for(request, b"\x55")),
            (UNIT, bytes([other_function, 4]) + b"\x55" * 4),
            (UNIT, bytes([request.function, request.reply_bytes + 2]) + b"\x55" * (request.reply_bytes + 2)),
            (UNIT, bytes([0x2B, 14, 1])),
        ]
    )


@given(st.data())
def test_an_rtu_reply_is_found_in_noise_and_among_foreign_frames(data: st.DataObject) -> None:
    request = data.draw(requests)
    true = pdu_for(request, data.draw(st.binary(min_size=1, max_size=40)))
    noise = st.binary(max_size=6).map(lambda junk: junk.replace(bytes([UNIT]), b"\0"))
    around = st.lists(st.one_of(noise, foreign_pdus(request).map(lambda f: rtu(*f))), max_size=4).map(b"".join)
    inbox = data.draw(around) + rtu(UNIT, true) + data.draw(around)
    assert frames.find_rtu_reply(inbox, request) == parse_pdu(request, true)


@given(st.data())
def test_without_its_reply_nothing_comes_out_of_an_rtu_line(data: st.DataObject) -> None:
    request = data.draw(requests)
    parts = st.one_of(foreign_pdus(request).map(lambda f: rtu(*f)), st.just(rtu(UNIT, pdu_for(request, b"\x01"))[:-1]))
    assert frames.find_rtu_reply(data.draw(st.lists(parts, max_size=1).map(b"".join)), request) is None


@given(st.data())
def test_a_tcp_reply_is_found_however_the_stream_is_cut(data: st.DataObject) -> None:
    request = data.draw(requests)
    true = pdu_for(request, data.draw(st.binary(min_size=1, max_size=40)))
    others = data.draw(st.lists(foreign_pdus(request), max_size=3))
    stream = b"".join(mbap(8, unit, pdu) for unit, pdu in others)  # ours too, but for the contents
    stream += mbap(7, UNIT, pdu_for(request, b"\x99")) + mbap(8, UNIT, true)
    inbox, taken = bytearray(), []
    for byte in stream:
        inbox.append(byte)
        while (frame := frames.take_tcp_frame(inbox)) is not None:
            taken.append(frame)
    replies = [frames.tcp_reply(frame, request) for frame in taken if int.from_bytes(frame[:2]) == 8]
    assert [reply for reply in replies if reply is not None] == [parse_pdu(request, true)]
    assert b"".join(taken) == stream


@pytest.mark.parametrize(
    "inbox",
    [b"HTTP/1.1 400 Bad", b"\0\1\0\1\0\5\1", b"\0\1\0\0\0\1\1", b"\0\1\0\0\0\xff\1"],
    ids=["another protocol", "another protocol id", "too short", "too long"],
)
def test_what_is_no_modbus_tcp_ends_the_connection(inbox: bytes) -> None:
    with pytest.raises(CodecError, match="not Modbus TCP"):
        frames.take_tcp_frame(bytearray(inbox))


def test_an_exception_is_a_reply_with_its_code() -> None:
    assert frames.find_rtu_reply(b"\0" + rtu(UNIT, b"\x83\x02"), Read(UNIT, 3, 0, 9)) == Reply(exception=2)


@given(st.data())
def test_a_reply_with_a_wrong_bit_is_not_taken(data: st.DataObject) -> None:
    request = data.draw(requests)
    frame = bytearray(rtu(UNIT, pdu_for(request, data.draw(st.binary(min_size=1, max_size=40)))))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert frames.find_rtu_reply(bytes(frame), request) is None


@pytest.mark.parametrize(
    "pdu", [b"\3\4\0\1", b"\3\2\0\1\0\2", b"\3\4\0\1\0\2\0", b"\4\4\0\1\0\2", b"\3", b"", b"\x84\2"]
)
def test_a_reply_whose_count_and_length_are_not_both_right_is_not_taken(pdu: bytes) -> None:
    assert parse_pdu(Read(1, 3, 0, 2), pdu) is None


def test_bits_come_as_one_word_each() -> None:
    bits = [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    filled = b"\x01\x02\x05\xfe"  # what fills the last byte is no bit that was asked for
    assert parse_pdu(Read(1, 1, 0, 10), filled) == Reply(b"".join(bit.to_bytes(2) for bit in bits))


def test_the_checksum_is_that_of_a_recorded_frame() -> None:
    request = bytes.fromhex("01040000000a")  # a PZEM-004T's poll
    assert frames.crc(request).hex() == "700d"
    assert frames.rtu_request(Read(1, 4, 0, 10)) == request + b"\x70\x0d"
