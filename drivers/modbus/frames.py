"""Modbus frames as bytes, pure: requests out, replies in, for TCP (MBAP) and for RTU.

A reply is taken only where unit, function and length are those of the request, and for TCP the
transaction, for RTU the checksum. Anything else is passed over: late replies, foreign units, noise.
Facts: Modbus Application Protocol v1.1b3; Modbus over Serial Line v1.02.
"""

from dataclasses import dataclass

from drivers.modbus.requests import PDU_MAX, Identify, Reply, Request, parse_pdu
from gateway.core.errors import CodecError

TCP_HEADER = 7
TCP_FRAME_MAX = 260
RTU_FRAME_MIN = 4
RTU_FRAME_MAX = 256
FUNCTIONS_KNOWN = frozenset((1, 2, 3, 4, 5, 6, 15, 16, 20, 22, 23, 43))
_CRC_TABLE = []
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = _crc >> 1 ^ 0xA001 if _crc & 1 else _crc >> 1
    _CRC_TABLE.append(_crc)


def crc(frame: bytes) -> bytes:
    """The RTU checksum, 2 bytes as on the wire."""
    total = 0xFFFF
    for byte in frame:
        total = total >> 8 ^ _CRC_TABLE[(total ^ byte) & 0xFF]
    return total.to_bytes(2, "little")


def tcp_request(transaction: int, request: Request) -> bytes:
    pdu = request.pdu
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([request.unit_id]) + pdu


def rtu_request(request: Request) -> bytes:
    frame = bytes([request.unit_id]) + request.pdu
    return frame + crc(frame)


def take_tcp_frame(inbox: bytearray) -> bytes | None:
    """The first whole frame, taken off the front of `inbox`; None while there is none.

    Raises CodecError where the bytes are no MBAP frames: the stream cannot be read on, the
    connection must be closed.
    """
    if len(inbox) < TCP_HEADER:
        return None
    size = 6 + int.from_bytes(inbox[4:6])
    if inbox[2:4] != b"\0\0" or not TCP_HEADER < size <= TCP_FRAME_MAX:
        raise CodecError(f"not Modbus TCP: {bytes(inbox[:TCP_HEADER]).hex(' ')}")
    if len(inbox) < size:
        return None
    frame = bytes(inbox[:size])
    del inbox[:size]
    return frame


def tcp_reply(frame: bytes, request: Request) -> Reply | None:
    """What a whole frame answers to `request`, whose transaction it has; None where it is of another question."""
    return parse_pdu(request, frame[TCP_HEADER:]) if frame[6] == request.unit_id else None


def find_rtu_reply(inbox: bytes, request: Request) -> Reply | None:
    """The first reply to `request` anywhere in `inbox`, whatever noise or foreign frames stand around it."""
    function = request.function
    at = inbox.find(request.unit_id)
    while 0 <= at <= len(inbox) - 4:
        size = 0
        if inbox[at + 1] == function:
            size = request.reply_size(inbox[at + 1 : at + 1 + PDU_MAX])
        elif inbox[at + 1] == function | 0x80:
            size = 2
        end = at + 1 + size + 2
        if size and end <= len(inbox) and crc(inbox[at : end - 2]) == inbox[end - 2 : end]:
            reply = parse_pdu(request, inbox[at + 1 : end - 2])
            if reply is not None:
                return reply
        at = inbox.find(request.unit_id, at + 1)
    return None


def rtu_frames(inbox: bytes) -> list[tuple[int, bytes]]:
    """Every (unit id, PDU) in `inbox` that is a request or a reply with a good checksum, whoever asked for it.

    Only lengths that the function allows are tried: of noise, one start in thousands passes any checksum.
    """
    found, at = [], 0
    while at + RTU_FRAME_MIN <= len(inbox):
        for size in _sizes(inbox, at):
            frame = inbox[at : at + size]
            if len(frame) == size and crc(frame[:-2]) == frame[-2:]:
                found.append((frame[0], frame[1:-2]))
                at += size
                break
        else:
            at += 1
    return found


def _sizes(inbox: bytes, at: int) -> tuple[int, ...]:
    """How long a frame from `at` on may be, by its function: as a reply or as a request."""
    counts = inbox[at + 2 : at + 11].ljust(9, b"\0")  # with a count that is not there yet the frame is not whole either
    sizes: tuple[int, ...] = ()
    match inbox[at + 1]:
        case 1 | 2 | 3 | 4 | 20:
            sizes = 5 + counts[0], 8
        case 5 | 6:
            sizes = (8,)
        case 15 | 16:
            sizes = 8, 9 + counts[4]
        case 22:
            sizes = (10,)
        case 23:
            sizes = 5 + counts[0], 13 + counts[8]
        case 43 if counts[0] == 14:
            sizes = 7, 3 + Identify(inbox[at], level=counts[1]).reply_size(inbox[at + 1 : at + 1 + PDU_MAX])
        case function if function - 0x80 in FUNCTIONS_KNOWN:
            sizes = (5,)
    return sizes


def take_rtu_frames(inbox: bytearray) -> list[tuple[int, bytes]]:
    """The same, and takes off `inbox` all up to the last of them; of noise what may yet become a frame stays."""
    found = rtu_frames(bytes(inbox))
    for unit_id, pdu in found:
        frame = bytes([unit_id]) + pdu
        del inbox[: inbox.index(frame + crc(frame)) + len(frame) + 2]
    del inbox[:-RTU_FRAME_MAX]
    return found


@dataclass(frozen=True, slots=True)
class RtuQuestion:
    """A Modbus request as a half-duplex line asks it."""

    request: Request

    @property
    def unit_id(self) -> int:
        return self.request.unit_id

    @property
    def frame(self) -> bytes:
        return rtu_request(self.request)

    @property
    def answer_bytes(self) -> int:
        if self.request.function == 43:  # an identification is as long as its texts
            return 3 + PDU_MAX
        return 3 + max(2, self.request.reply_size(self.request.pdu[:1]))

    def answer_in(self, inbox: bytes) -> Reply | None:
        return find_rtu_reply(inbox, self.request)
