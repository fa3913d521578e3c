"""A device that counts its own answers, so that a test can say what must have arrived."""

import struct

from drivers.modbus.registers import Table

GROUPS = (0, 100)  # where each group of `tests/profiles/counter.yaml` begins
WORDS = 5  # of a group: u32 the count, f32 half of it, i16 a wave


def group_values(answers: int) -> tuple[int, float, int]:
    """What a group holds in its `answers`-th answer: the count, its half, and a wave of -10000 to 10000."""
    return answers, answers / 2, answers * 7 % 20001 - 10000


class Counter:
    """Holding registers; the n-th answered read that covers a whole group finds n in it, the first 1."""

    def __init__(self) -> None:
        self.answers = dict.fromkeys(GROUPS, 0)

    def read(self, table: Table, address: int, count: int, now_s: float) -> list[int] | None:
        del now_s
        wanted = range(address, address + count)
        known = {at for first in GROUPS for at in range(first, first + WORDS)}
        if table != "holding" or not known.issuperset(wanted):
            return None
        words: dict[int, int] = {}
        for first in GROUPS:
            self.answers[first] += first in wanted and first + WORDS - 1 in wanted
            packed = struct.pack(">Ifh", *group_values(self.answers[first]))
            words.update(enumerate(struct.unpack(f">{WORDS}H", packed), first))
        return [words[at] for at in wanted]
