"""A captured conversation as a device that answers as it did then; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from drivers.bus.capture import Header, Piece
from drivers.modbus.frames import TCP_HEADER, rtu_frames, take_rtu_frames, take_tcp_frame
from drivers.modbus.registers import Table
from drivers.modbus.shapes import answers, is_request
from drivers.simulator.image import Image
from gateway.core.errors import CodecError

TABLES: dict[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}  # by function
UNKNOWN_FUNCTION, UNKNOWN_ADDRESS = 1, 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What came after a request: a PDU, on a line perhaps bytes that are no whole frame, or nothing."""

    pdu: bytes = b""
    garbled: bytes = b""
    latency_ms: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    unit_id: int
    request: bytes  # the PDU
    answer: Answer


class Replay:
    """Answers requests out of `exchanges`: those to one request in their order, the last for ever.

    A read that was never asked so is answered from all registers that any answer showed, else
    refused; a unit that never answered stays silent.
    """

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._answers: dict[tuple[int, bytes], list[Answer]] = {}
        self._images: dict[int, Image] = {}
        self._given: dict[tuple[int, bytes], int] = {}
        tables: dict[int, dict[Table, dict[int, int]]] = {}
        for exchange in exchanges:
            self._answers.setdefault((exchange.unit_id, exchange.request), []).append(exchange.answer)
            if exchange.answer.pdu:
                _show(exchange.request, exchange.answer.pdu, tables.setdefault(exchange.unit_id, {}))
        self._images = {unit_id: Image(unit_id, held) for unit_id, held in tables.items()}

    @property
    def unit_ids(self) -> list[int]:
        """The units that answered."""
        return sorted(self._images)

    def answer(self, unit_id: int, request: bytes) -> Answer:
        key = unit_id, request
        if key in self._answers:
            given = self._given[key] = self._given.get(key, -1) + 1
            return self._answers[key][min(given, len(self._answers[key]) - 1)]
        if unit_id not in self._images:
            return Answer()
        function = request[0]
        if function not in TABLES or len(request) != 5:
            return Answer(bytes([function | 0x80, UNKNOWN_FUNCTION]))
        address, count = int.from_bytes(request[1:3]), int.from_bytes(request[3:5])
        words = self._images[unit_id].read(TABLES[function], address, count, 0)
        if not words:
            return Answer(bytes([function | 0x80, UNKNOWN_ADDRESS]))
        return Answer(_reply(function, words))


def _reply(function: int, words: list[int]) -> bytes:
    if function in (3, 4):
        data = b"".join(word.to_bytes(2) for word in words)
    else:
        bits = sum(1 << index for index, bit in enumerate(words) if bit)
        data = bits.to_bytes((len(words) + 7) // 8, "little")
    return bytes([function, len(data)]) + data


def _show(request: bytes, reply: bytes, tables: dict[Table, dict[int, int]]) -> None:
    """Keep what a read showed."""
    if reply[0] not in TABLES or not answers(reply, request):
        return
    address, count = int.from_bytes(request[1:3]), int.from_bytes(request[3:5])
    held = tables.setdefault(TABLES[reply[0]], {})
    for index in range(count):
        if reply[0] in (3, 4):
            held[address + index] = int.from_bytes(reply[2 + 2 * index : 4 + 2 * index])
        else:
            held[address + index] = reply[2 + index // 8] >> index % 8 & 1


def exchanges(header: Header, pieces: Sequence[Piece]) -> list[Exchange]:
    """What was asked and answered in a capture."""
    if header.listened:
        return list(_listened(pieces))
    return list(_on_tcp(pieces) if header.framing == "tcp" else _on_line(pieces))


def _on_line(pieces: Sequence[Piece]) -> Iterator[Exchange]:
    """A request goes out, and what comes until the next one is its answer."""
    turns = [(direction, list(turn)) for direction, turn in groupby(pieces, lambda piece: piece.direction)]
    for index, (direction, turn) in enumerate(turns):
        asked = rtu_frames(b"".join(piece.data for piece in turn)) if direction == ">" else []
        for unit_id, request in asked[:-1]:
            yield Exchange(unit_id, request, Answer())
        if asked:
            unit_id, request = asked[-1]
            heard = turns[index + 1][1] if index + 1 < len(turns) else []
            yield Exchange(unit_id, request, _heard(unit_id, request, heard, turn[-1].t_ms))


def _heard(unit_id: int, request: bytes, pieces: Sequence[Piece], asked_ms: int) -> Answer:
    if not pieces:
        return Answer()
    data, latency_ms = b"".join(piece.data for piece in pieces), pieces[-1].t_ms - asked_ms
    for who, pdu in rtu_frames(data):
        if who == unit_id and answers(pdu, request):
            return Answer(pdu, latency_ms=latency_ms)
    return Answer(garbled=data, latency_ms=latency_ms)


def _on_tcp(pieces: Sequence[Piece]) -> Iterator[Exchange]:
    """Requests and replies are tied by their transaction."""
    asked: list[tuple[int, bytes, int]] = []  # transaction, unit id and PDU, time
    found: dict[int, Answer] = {}  # by place in `asked`
    inboxes = {">": bytearray(), "<": bytearray()}
    for piece in pieces:
        inbox = inboxes[piece.direction]
        inbox += piece.data
        for frame in _tcp_frames(inbox):
            transaction, content = int.from_bytes(frame[:2]), frame[TCP_HEADER - 1 :]
            if piece.direction == ">":
                asked.append((transaction, content, piece.t_ms))
                continue
            for place in range(len(asked) - 1, max(-1, len(asked) - 33), -1):
                number, request, asked_ms = asked[place]
                if number == transaction and place not in found and request[0] == content[0]:
                    found[place] = Answer(content[1:], latency_ms=piece.t_ms - asked_ms)
                    break
    for place, (_, request, _) in enumerate(asked):
        yield Exchange(request[0], request[1:], found.get(place, Answer()))


def _tcp_frames(inbox: bytearray) -> Iterator[bytes]:
    try:
        while (frame := take_tcp_frame(inbox)) is not None:
            if len(frame) > TCP_HEADER:
                yield frame
    except CodecError:
        inbox.clear()  # as the link did: it closed the connection


def _listened(pieces: Sequence[Piece]) -> Iterator[Exchange]:
    """All comes from one side: a frame that can answer the one before is its answer, else the next request."""
    inbox = bytearray()
    asked: tuple[int, bytes, int] | None = None
    for piece in pieces:
        inbox += piece.data
        for unit_id, pdu in take_rtu_frames(inbox):
            if asked is not None and asked[0] == unit_id and answers(pdu, asked[1]):
                yield Exchange(unit_id, asked[1], Answer(pdu, latency_ms=piece.t_ms - asked[2]))
                asked = None
            elif is_request(pdu):
                if asked is not None:
                    yield Exchange(asked[0], asked[1], Answer())
                asked = unit_id, pdu, piece.t_ms
    if asked is not None:
        yield Exchange(asked[0], asked[1], Answer())
