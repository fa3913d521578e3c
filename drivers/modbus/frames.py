"""Modbus frames as bytes, pure: requests out, replies in, for TCP (MBAP) and for RTU.

A reply is taken only where unit, function and length are those of the request, and for TCP the
transaction, for RTU the checksum. Anything else is passed over: late replies, foreign units, noise.
Facts: Modbus Application Protocol v1.1b3; Modbus over Serial Line v1.02.
"""

from dataclasses import dataclass

from gateway.core.errors import CodecError

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
TCP_HEADER = 7
TCP_FRAME_MAX = 260
_BITS = (1, 2)
_CRC_TABLE = []
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = _crc >> 1 ^ 0xA001 if _crc & 1 else _crc >> 1
    _CRC_TABLE.append(_crc)


@dataclass(frozen=True, slots=True)
class Read:
    """A request for `count` registers (or bits) of one table from `address` on, 0-based as on the wire."""

    unit_id: int
    function: int  # 1 to 4
    address: int
    count: int

    @property
    def pdu(self) -> bytes:
        return bytes([self.function]) + self.address.to_bytes(2) + self.count.to_bytes(2)

    @property
    def reply_bytes(self) -> int:
        """How many bytes of data the reply carries."""
        return (self.count + 7) // 8 if self.function in _BITS else 2 * self.count


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: `words`, 2 bytes for each register or bit, or the device's exception code."""

    words: bytes = b""
    exception: int = 0


EXCEPTIONS = {
    1: "it does not know this function",
    2: "it has no such address",
    3: "it does not take this count",
    4: "it failed while answering",
    5: "it is still working on it",
    6: "it is busy",
    10: "the path through the gateway is not there",
    11: "the device behind the gateway did not answer",
}


def crc(frame: bytes) -> bytes:
    """The RTU checksum, 2 bytes as on the wire."""
    total = 0xFFFF
    for byte in frame:
        total = total >> 8 ^ _CRC_TABLE[(total ^ byte) & 0xFF]
    return total.to_bytes(2, "little")


def tcp_request(transaction: int, request: Read) -> bytes:
    pdu = request.pdu
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([request.unit_id]) + pdu


def rtu_request(request: Read) -> bytes:
    frame = bytes([request.unit_id]) + request.pdu
    return frame + crc(frame)


def parse_pdu(request: Read, pdu: bytes) -> Reply | None:
    """The reply in `pdu`; None where it answers something else."""
    if len(pdu) == 2 and pdu[0] == request.function | 0x80:
        return Reply(exception=pdu[1])
    expected = request.reply_bytes
    if len(pdu) != expected + 2 or pdu[0] != request.function or pdu[1] != expected:
        return None
    if request.function not in _BITS:
        return Reply(words=pdu[2:])
    bits = int.from_bytes(pdu[2:], "little")
    return Reply(words=b"".join(b"\0\1" if bits >> index & 1 else b"\0\0" for index in range(request.count)))


def find_tcp_reply(inbox: bytearray, transaction: int, request: Read) -> tuple[Reply | None, int]:
    """The reply in `inbox`, and how many frames that were not it have been passed over.

    Takes whole frames off the front. Raises CodecError where the bytes are no MBAP frames: the
    stream cannot be read on, the connection must be closed.
    """
    foreign = 0
    while len(inbox) >= TCP_HEADER:
        size = 6 + int.from_bytes(inbox[4:6])
        if inbox[2:4] != b"\0\0" or not TCP_HEADER < size <= TCP_FRAME_MAX:
            raise CodecError(f"not Modbus TCP: {bytes(inbox[:TCP_HEADER]).hex(' ')}")
        if len(inbox) < size:
            break
        frame = bytes(inbox[:size])
        del inbox[:size]
        if int.from_bytes(frame[:2]) == transaction and frame[6] == request.unit_id:
            reply = parse_pdu(request, frame[TCP_HEADER:])
            if reply is not None:
                return reply, foreign
        foreign += 1
    return None, foreign


def find_rtu_reply(inbox: bytes, request: Read) -> Reply | None:
    """The first reply to `request` anywhere in `inbox`, whatever noise or foreign frames stand around it."""
    for function, size in ((request.function, request.reply_bytes + 5), (request.function | 0x80, 5)):
        start = bytes([request.unit_id, function])
        at = inbox.find(start)
        while at >= 0:
            frame = inbox[at : at + size]
            if len(frame) == size and crc(frame[:-2]) == frame[-2:]:
                reply = parse_pdu(request, frame[1:-2])
                if reply is not None:
                    return reply
            at = inbox.find(start, at + 1)
    return None
