"""Every request finds its own reply on both framings, and takes no other."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.bus.channel import TcpChannel
from drivers.modbus import frames
from drivers.modbus.requests import (
    Custom,
    Identify,
    MaskWrite,
    Read,
    ReadFile,
    ReadWrite,
    Reply,
    Request,
    WriteCoils,
    WriteMany,
    WriteOne,
    identification,
    words_of,
)
from drivers.modbus.tcp import TcpLink

UNIT = 9
# Examples of the Modbus Application Protocol v1.1b3, section 6; of 0x42 that of the PZEM-004T's data sheet.
EXAMPLES: dict[str, tuple[Request, str, str, bytes]] = {
    "coils": (Read(UNIT, 1, 0x13, 0x13), "01 0013 0013", "01 03 cd 6b 05", words_of(
        [1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1])),
    "holding": (Read(UNIT, 3, 0x6B, 3), "03 006b 0003", "03 06 022b 0000 0064", bytes.fromhex("022b00000064")),
    "input": (Read(UNIT, 4, 8, 1), "04 0008 0001", "04 02 000a", b"\0\x0a"),
    "one coil": (WriteOne(UNIT, 5, 0xAC, 0xFF00), "05 00ac ff00", "05 00ac ff00", b""),
    "one register": (WriteOne(UNIT, 6, 1, 3), "06 0001 0003", "06 0001 0003", b""),
    "coils written": (WriteCoils(UNIT, 0x13, tuple(map(bool, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]))),
                      "0f 0013 000a 02 cd01", "0f 0013 000a", b""),
    "registers written": (WriteMany(UNIT, 1, words_of([10, 0x102])), "10 0001 0002 04 000a 0102", "10 0001 0002", b""),
    "file record": (ReadFile(UNIT, 4, 1, 2), "14 07 06 0004 0001 0002", "14 06 05 06 0dfe 0020", b"\x0d\xfe\0\x20"),
    "mask write": (MaskWrite(UNIT, 4, 0xF2, 0x25), "16 0004 00f2 0025", "16 0004 00f2 0025", b""),
    "read and write": (ReadWrite(UNIT, 3, 6, 14, words_of([0xFF] * 3)), "17 0003 0006 000e 0003 06 00ff 00ff 00ff",
                       "17 0c 00fe 0acd 0001 0003 000d 00ff", bytes.fromhex("00fe0acd00010003000d00ff")),
    "identification": (Identify(UNIT), "2b 0e 01 00", "2b 0e 01 01 00 00 02 00 03 414243 01 02 4445",
                       bytes.fromhex("000002 0003414243 01024445")),
    "custom": (Custom(UNIT, b"\x42", b"\x42"), "42", "42", b""),
}  # fmt: skip


def whole(framing: str, pdu: bytes, unit: int = UNIT) -> bytes:
    body = bytes([unit]) + pdu
    return body + frames.crc(body) if framing == "rtu" else b"\0\5\0\0" + len(body).to_bytes(2) + body


def found(framing: str, frame: bytes, request: Request) -> Reply | None:
    return frames.find_rtu_reply(frame, request) if framing == "rtu" else frames.tcp_reply(frame, request)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_request_is_as_the_specification_shows_it(name: str) -> None:
    request, pdu, _, _ = EXAMPLES[name]
    assert request.pdu == bytes.fromhex(pdu)
    assert request.function == request.pdu[0]


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_reply_is_taken_as_the_specification_shows_it(name: str, framing: str) -> None:
    request, _, reply, words = EXAMPLES[name]
    assert found(framing, whole(framing, bytes.fromhex(reply)), request) == Reply(words)
    refusal = bytes([request.function | 0x80, 6])
    assert found(framing, whole(framing, refusal), request) == Reply(exception=6)


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_no_request_takes_the_reply_of_another_or_of_another_unit(name: str, framing: str) -> None:
    request = EXAMPLES[name][0]
    for other, (_, _, reply, _) in EXAMPLES.items():
        if other != name:
            assert found(framing, whole(framing, bytes.fromhex(reply)), request) is None, other
    assert found(framing, whole(framing, bytes.fromhex(EXAMPLES[name][2]), UNIT + 1), request) is None


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_a_reply_that_is_cut_short_or_has_a_wrong_bit_is_not_taken_from_a_line(name: str, data: st.DataObject) -> None:
    request, _, reply, _ = EXAMPLES[name]
    frame = bytearray(whole("rtu", bytes.fromhex(reply)))
    assert frames.find_rtu_reply(bytes(frame[: data.draw(st.integers(0, len(frame) - 1))]), request) is None
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert frames.find_rtu_reply(bytes(frame), request) is None


@given(st.sampled_from(sorted(EXAMPLES)), st.binary(max_size=60))
def test_any_bytes_at_all_are_either_no_reply_or_bear_a_good_checksum(name: str, noise: bytes) -> None:
    reply = frames.find_rtu_reply(noise, EXAMPLES[name][0])
    assert reply is None or frames.rtu_frames(noise)


def test_an_identification_is_read_object_by_object() -> None:
    reply = Reply(bytes.fromhex("ff02 02 0003414243 01024445"))
    assert identification(reply) == ({0: "ABC", 1: "DE"}, 2)
    assert identification(Reply(bytes.fromhex("0000 01 0003414243"))) == ({0: "ABC"}, None)


async def test_pymodbuss_server_tells_us_what_it_is() -> None:
    known = ModbusDeviceIdentification({0: "Makers", 1: "EM-1", 2: "3.1"})
    device = SimDevice(1, simdata=[SimData(0, count=4, values=7, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer([device], address=("127.0.0.1", 0), identity=known)
    await server.serve_forever(background=True)
    assert isinstance(server.transport, asyncio.Server)
    link = TcpLink(TcpChannel("127.0.0.1", server.transport.sockets[0].getsockname()[1]))
    reply = await link.ask(Identify(1), 5)
    await link.close()
    await server.shutdown()
    server.control._identity = ModbusDeviceIdentification()  # pymodbus keeps it for all servers of the process
    assert identification(reply) == ({0: "Makers", 1: "EM-1", 2: "3.1"}, None)
