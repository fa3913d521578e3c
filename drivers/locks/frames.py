"""Frames of Kerong-type lock boards (KR-CU16), pure: STX ADDR CMD [DATA] ETX SUM, at 19200 8N1.

SUM is the low byte of the sum of all before it. ADDR carries two numbers, both counted from 0 on the wire:
the board in the high nibble, the lock in the low one. Locks are counted from 1 everywhere else.

No document of the maker was at hand; this is what public programs for such boards agree on. The nibbles:
suryavirkapur/kerong-lib, xaleel/locker (both on GitHub) and an unnamed CU12/CU16 module. That a status is asked with
lock 0 and answered for all 16 under the same ADDR: kerong-lib and jin0949/KR-CU16_locker. What is not settled
is kept out of every decision: whether a board answers an unlocking at all (kerong-lib: never), and what it says to
WAKE. Three programs read a hook's bit 1 as closed, kerong-lib as open; it may go by the lock's switch, and so
it is a setting of `LockBoard`.

Do not give a Modbus device beside such boards the unit id 2: its frames begin as those of the boards do.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass

STX, ETX = 0x02, 0x03
STATUS, UNLOCK, WAKE = 0x30, 0x31, 0x38
STATE, STATE_OF_ALL = 0x35, 0x36  # the commands of answers
LOCKS = 16
BOARD_MAX = 14  # ADDR 0xF0 speaks to all boards
FRAME_MIN, FRAME_MAX = 5, 9


@dataclass(frozen=True, slots=True)
class BoardState:
    """What a board says of its 16 locks; bit 0 is lock 1."""

    hooks: int
    sensors: int  # infrared, beside the hooks

    def hook(self, lock: int) -> int:
        return self.hooks >> lock - 1 & 1


def frame(unit_id: int, command: int, *, lock: int = 1, data: bytes = b"") -> bytes:
    """A whole frame; `unit_id` is the board's address. Raises ValueError for what no ADDR can carry."""
    if not 0 <= unit_id <= BOARD_MAX or not 1 <= lock <= LOCKS:
        raise ValueError(f"no board {unit_id} with a lock {lock}: boards are 0-{BOARD_MAX}, locks 1-{LOCKS}")
    head = bytes([STX, unit_id << 4 | lock - 1, command]) + data + bytes([ETX])
    return head + bytes([checksum(head)])


def state_frame(unit_id: int, state: BoardState) -> bytes:
    """What a board answers to a status."""
    return frame(unit_id, STATE, data=state.hooks.to_bytes(2, "little") + state.sensors.to_bytes(2, "little"))


def checksum(head: bytes) -> int:
    return sum(head) & 0xFF


@dataclass(frozen=True, slots=True)
class StatusQuestion:
    """How all locks of a board stand."""

    unit_id: int
    answer_bytes = FRAME_MAX

    @property
    def frame(self) -> bytes:
        return frame(self.unit_id, STATUS)

    def answer_in(self, inbox: bytes) -> BoardState | None:
        found = _find(inbox, [self.unit_id << 4], (STATE, STATE_OF_ALL), [FRAME_MAX])
        return None if found is None else _state(found)


@dataclass(frozen=True, slots=True)
class UnlockQuestion:
    """The pulse that opens one lock. Its answer proves nothing, and may never come: read the hook back."""

    unit_id: int
    lock: int
    answer_bytes = FRAME_MAX

    @property
    def frame(self) -> bytes:
        return frame(self.unit_id, UNLOCK, lock=self.lock)

    def answer_in(self, inbox: bytes) -> BoardState | None:
        found = _find(inbox, _all_of(self.unit_id), (STATE, STATE_OF_ALL), [FRAME_MAX])
        return None if found is None else _state(found)


@dataclass(frozen=True, slots=True)
class WakeQuestion:
    """Takes a board out of the busy state that an unlocking may leave it in; changes nothing else.

    Any frame with data from this board will do as the answer; without data it may be the echo of ours.
    """

    unit_id: int
    answer_bytes = FRAME_MAX

    @property
    def frame(self) -> bytes:
        return frame(self.unit_id, WAKE)

    def answer_in(self, inbox: bytes) -> bytes | None:
        return _find(inbox, _all_of(self.unit_id), (WAKE, STATE, STATE_OF_ALL), range(FRAME_MIN + 1, FRAME_MAX + 1))


def frames_in(inbox: bytes) -> list[tuple[int, bytes]]:
    """Every whole frame in `inbox` as (board, frame), whoever sent it; for listening to a line."""
    found, at = [], inbox.find(STX)
    while at >= 0:
        pieces = (inbox[at : at + size] for size in range(FRAME_MIN, FRAME_MAX + 1) if at + size <= len(inbox))
        piece = next((piece for piece in pieces if _is_whole(piece)), b"")
        if piece:
            found.append((piece[1] >> 4, piece))
        at = inbox.find(STX, at + (len(piece) or 1))
    return found


def _all_of(unit_id: int) -> range:
    return range(unit_id << 4, (unit_id << 4) + LOCKS)


def _find(inbox: bytes, addresses: Container[int], commands: Container[int], sizes: Iterable[int]) -> bytes | None:
    at = inbox.find(STX)
    while at >= 0:
        for size in sizes:
            piece = inbox[at : at + size]
            if len(piece) == size and piece[1] in addresses and piece[2] in commands and _is_whole(piece):
                return piece
        at = inbox.find(STX, at + 1)
    return None


def _is_whole(piece: bytes) -> bool:
    return piece[0] == STX and piece[-2] == ETX and piece[-1] == checksum(piece[:-1])


def _state(found: bytes) -> BoardState:
    return BoardState(int.from_bytes(found[3:5], "little"), int.from_bytes(found[5:7], "little"))
