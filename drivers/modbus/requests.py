"""What can be asked of a Modbus device, and which PDU answers it; pure.

A reply counts only where function, lengths and what the device must echo are those of the request.
Source: Modbus Application Protocol v1.1b3, section 6; addresses are 0-based, as on the wire.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
EXCEPTIONS = {
    1: "it does not know this function",
    2: "it has no such address",
    3: "it does not take this count or value",
    4: "it failed while answering",
    5: "it is still working on it",
    6: "it is busy",
    8: "its memory is damaged",
    10: "the path through the gateway is not there",
    11: "the device behind the gateway did not answer",
}
PDU_MAX = 253
_BITS = (1, 2)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: `words` (for reads 2 bytes for each register or bit), or the device's exception code."""

    words: bytes = b""
    exception: int = 0


class Request(Protocol):
    """One question to one unit."""

    @property
    def unit_id(self) -> int: ...
    @property
    def function(self) -> int: ...
    @property
    def pdu(self) -> bytes: ...

    def reply_size(self, pdu: bytes) -> int:
        """How many bytes the reply has whose first ones are `pdu`; more than it has where it is not all there.

        0 where this cannot become a reply to the request.
        """
        ...

    def reply_in(self, pdu: bytes) -> Reply | None:
        """The reply that `pdu` is; None where it answers something else. Exceptions are not its business."""
        ...


@dataclass(frozen=True, slots=True)
class Read:
    """`count` registers (or bits) of one table from `address` on."""

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

    def reply_size(self, pdu: bytes) -> int:
        return self.reply_bytes + 2 if len(pdu) < 2 or pdu[1] == self.reply_bytes else 0

    def reply_in(self, pdu: bytes) -> Reply | None:
        expected = self.reply_bytes
        if len(pdu) != expected + 2 or pdu[0] != self.function or pdu[1] != expected:
            return None
        if self.function not in _BITS:
            return Reply(words=pdu[2:])
        bits = int.from_bytes(pdu[2:], "little")
        return Reply(words=b"".join(b"\0\1" if bits >> index & 1 else b"\0\0" for index in range(self.count)))


class _Write(Protocol):
    echo_bytes: int

    @property
    def pdu(self) -> bytes: ...


class _Echoed:
    """A write whose reply begins as its request does; `echo_bytes` of it come back."""

    __slots__ = ()
    echo_bytes = 5

    def reply_size(self, pdu: bytes) -> int:
        return self.echo_bytes

    def reply_in(self: _Write, pdu: bytes) -> Reply | None:
        return Reply() if pdu == self.pdu[: self.echo_bytes] else None


@dataclass(frozen=True, slots=True)
class WriteOne(_Echoed):
    """One coil (function 5; `value` 0 or 0xFF00) or one holding register (function 6)."""

    unit_id: int
    function: int
    address: int
    value: int

    @property
    def pdu(self) -> bytes:
        return bytes([self.function]) + self.address.to_bytes(2) + self.value.to_bytes(2)


@dataclass(frozen=True, slots=True)
class WriteMany(_Echoed):
    """Holding registers from `address` on (function 16); `words` are 2 bytes each, at most 123 of them."""

    unit_id: int
    address: int
    words: bytes
    function = 16

    @property
    def pdu(self) -> bytes:
        head = b"\x10" + self.address.to_bytes(2) + (len(self.words) // 2).to_bytes(2)
        return head + bytes([len(self.words)]) + self.words


@dataclass(frozen=True, slots=True)
class WriteCoils(_Echoed):
    """Coils from `address` on (function 15), at most 1968 of them."""

    unit_id: int
    address: int
    values: tuple[bool, ...]
    function = 15

    @property
    def pdu(self) -> bytes:
        size = (len(self.values) + 7) // 8
        bits = sum(1 << index for index, value in enumerate(self.values) if value)
        head = b"\x0f" + self.address.to_bytes(2) + len(self.values).to_bytes(2)
        return head + bytes([size]) + bits.to_bytes(size, "little")


@dataclass(frozen=True, slots=True)
class MaskWrite(_Echoed):
    """One holding register becomes (register & `and_mask`) | (`or_mask` & ~`and_mask`) (function 22)."""

    unit_id: int
    address: int
    and_mask: int
    or_mask: int
    function = 22
    echo_bytes = 7

    @property
    def pdu(self) -> bytes:
        return b"\x16" + self.address.to_bytes(2) + self.and_mask.to_bytes(2) + self.or_mask.to_bytes(2)


@dataclass(frozen=True, slots=True)
class ReadWrite:
    """Write `words` at `write_address`, then read `count` registers from `address` on (function 23)."""

    unit_id: int
    address: int
    count: int
    write_address: int
    words: bytes
    function = 23

    @property
    def pdu(self) -> bytes:
        written = self.write_address.to_bytes(2) + (len(self.words) // 2).to_bytes(2) + bytes([len(self.words)])
        return b"\x17" + self.address.to_bytes(2) + self.count.to_bytes(2) + written + self.words

    def reply_size(self, pdu: bytes) -> int:
        return 2 + 2 * self.count if len(pdu) < 2 or pdu[1] == 2 * self.count else 0

    def reply_in(self, pdu: bytes) -> Reply | None:
        head = bytes([0x17, 2 * self.count])
        return Reply(words=pdu[2:]) if pdu[:2] == head and len(pdu) == 2 + 2 * self.count else None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """`count` registers of record `record` in file `file` (function 20, one group a request)."""

    unit_id: int
    file: int
    record: int
    count: int  # at most 124
    function = 20

    @property
    def pdu(self) -> bytes:
        return b"\x14\x07\x06" + self.file.to_bytes(2) + self.record.to_bytes(2) + self.count.to_bytes(2)

    @property
    def _head(self) -> bytes:
        return bytes([0x14, 2 + 2 * self.count, 1 + 2 * self.count, 6])

    def reply_size(self, pdu: bytes) -> int:
        return 4 + 2 * self.count if self._head.startswith(pdu[:4]) else 0

    def reply_in(self, pdu: bytes) -> Reply | None:
        return Reply(words=pdu[4:]) if pdu[:4] == self._head and len(pdu) == 4 + 2 * self.count else None


@dataclass(frozen=True, slots=True)
class Identify:
    """The device's identification (function 43, MEI type 14) from object `first` on.

    `level`: 1 basic (vendor, product, revision), 2 regular, 3 extended. `identification` reads the reply.
    """

    unit_id: int
    level: int = 1
    first: int = 0
    function = 43

    @property
    def pdu(self) -> bytes:
        return bytes([0x2B, 14, self.level, self.first])

    def reply_size(self, pdu: bytes) -> int:
        if not bytes([0x2B, 14, self.level]).startswith(pdu[:3]):
            return 0
        if len(pdu) < 7:
            return 7
        at = 7
        for _ in range(pdu[6]):
            at += 2 if len(pdu) < at + 2 else 2 + pdu[at + 1]
        return at if at <= PDU_MAX else 0

    def reply_in(self, pdu: bytes) -> Reply | None:
        return Reply(words=pdu[4:]) if len(pdu) >= 7 and len(pdu) == self.reply_size(pdu) else None


def identification(reply: Reply) -> tuple[dict[int, str], int | None]:
    """The objects of an `Identify` reply by their number (0 vendor, 1 product, 2 revision), and where to go on.

    The second is None when these were the last.
    """
    more, following, count = reply.words[:3]
    objects, at = {}, 3
    for _ in range(count):
        number, size = reply.words[at : at + 2]
        objects[number] = reply.words[at + 2 : at + 2 + size].decode("utf-8", errors="replace").strip("\0 ")
        at += 2 + size
    return objects, following if more == 0xFF else None


@dataclass(frozen=True, slots=True)
class Custom:
    """A maker's own function; its reply is `reply`, byte for byte (PZEM-004T's energy reset: 0x42, echoed)."""

    unit_id: int
    pdu: bytes
    reply: bytes

    @property
    def function(self) -> int:
        return self.pdu[0]

    def reply_size(self, pdu: bytes) -> int:
        return len(self.reply) if self.reply.startswith(pdu[: len(self.reply)]) else 0

    def reply_in(self, pdu: bytes) -> Reply | None:
        return Reply() if pdu == self.reply else None


def parse_pdu(request: Request, pdu: bytes) -> Reply | None:
    """The reply in `pdu`, an exception too; None where it answers something else."""
    if len(pdu) == 2 and pdu[0] == request.function | 0x80:
        return Reply(exception=pdu[1])
    return request.reply_in(pdu)


def words_of(values: Sequence[int]) -> bytes:
    """Registers as they go over the wire."""
    return b"".join(value.to_bytes(2) for value in values)
