"""P1 under SIGKILL: whatever the buffer was doing, what it had acknowledged is there, once, and nothing else is."""

import random
from pathlib import Path

import pytest

from tests.faults.accounting import Kept, by_buffer, by_sql, check, copied, in_flight
from tests.faults.writers import Writers, writers

FILES, ROUNDS = 5, 40  # 200 kills
BOTH_WAYS_EVERY = 20  # rounds


def one_round(writer: Writers, folder: Path, chance: random.Random, number: int, kept: Kept, again: set[int]) -> Kept:
    writer.start(folder / "site", polled=kept.polled)
    writer.work(chance.randrange(30))
    writer.kill(after_s=chance.uniform(0, 0.005))
    copy = copied(folder / "site", folder / "copy")
    kept = by_sql(copy)
    again |= in_flight(writer.acknowledged)
    check(kept, writer.acknowledged, again)
    if number % BOTH_WAYS_EVERY == 0:
        other = by_buffer(copied(folder / "site", folder / "copy"))
        assert (other.records, other.events) == (kept.records, kept.events)
    return kept


@pytest.mark.P1
@pytest.mark.parametrize("file", range(FILES))
def test_nothing_that_was_acknowledged_is_lost_or_doubled_by_sigkill(tmp_path: Path, file: int) -> None:
    (tmp_path / "site").mkdir()
    seed = random.randrange(1 << 32)
    chance, kept, again = random.Random(seed), Kept({}, [], [], [], 0), set[int]()
    with writers() as writer:
        for number in range(ROUNDS):
            try:
                kept = one_round(writer, tmp_path, chance, number, kept, again)
            except AssertionError as error:
                raise AssertionError(f"round {number} of seed {seed}") from error
    assert writer.acknowledged.polled and writer.acknowledged.pushed
