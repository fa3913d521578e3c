"""P1 with a write-ahead log that is torn, cut short, damaged or gone: what was committed before the damage is there."""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.accounting import INDEX, LOG, Kept, by_buffer, by_sql, check, check_sound, copied, in_flight
from tests.faults.writers import Acknowledged, Writers, writers

LOG_HEAD, FRAME_HEAD = 32, 24  # https://www.sqlite.org/fileformat2.html#walformat
DAMAGES = 40


@dataclass
class Killed:
    """What a writer left: a file, and a log of some dozen commits that are not in the file yet."""

    folder: Path
    log: bytes
    ends: list[int]  # where frames end in the log; the first is the end of its head
    commits: dict[int, Kept]  # what is there at the end of each commit, and at the head's
    writer: Writers
    acknowledged: Acknowledged
    repeated: set[int]

    def with_log(self, log: bytes | None, *more: str) -> Path:
        """A copy with another log; without one where it is None."""
        copy = copied(self.folder, self.folder.with_name("copy"), *more)
        (copy / LOG).unlink()
        if log is not None:
            (copy / LOG).write_bytes(log)
        return copy

    def before(self, damage: int) -> Kept:
        """What the last commit that ends before the damage has left."""
        return self.commits[max(end for end in self.commits if end <= damage)]


def frames(log: bytes) -> Iterator[tuple[int, bool]]:
    """The end of the log's head and of each frame of the log's newest round, and whether a commit ends there."""
    page_size, salts = struct.unpack_from(">I", log, 8)[0], log[16:24]
    at = LOG_HEAD
    yield at, True
    while log[at + 8 : at + 16] == salts:
        commit = struct.unpack_from(">I", log, at + 4)[0] > 0
        at += FRAME_HEAD + page_size
        yield at, commit


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    folder = tmp_path_factory.mktemp("torn") / "site"
    folder.mkdir()
    with writers() as writer:
        writer.start(folder)
        writer.work(20)
        writer.kill()
        first = by_sql(copied(folder, folder.with_name("copy")))
        repeated = in_flight(writer.acknowledged)
        by_buffer(folder)  # closing it brings the log into the file
        writer.start(folder, polled=first.polled, checkpoint=0)
        writer.work(40)
        writer.kill()
        log = (folder / LOG).read_bytes()
        ends = dict(frames(log))
        left = Killed(folder, log, list(ends), {}, writer, replace(writer.acknowledged), repeated)
        for end, commit in ends.items():
            if commit:
                left.commits[end] = by_sql(left.with_log(log[:end]))
        yield left


@pytest.mark.P1
def test_a_log_that_ends_with_any_of_its_frames_gives_what_was_committed_until_there(killed: Killed) -> None:
    assert len(killed.commits) > 40
    states = list(killed.commits.values())
    for kept, following in pairwise(states):
        check_sound(kept, killed.repeated)
        assert following.records[: len(kept.records)] == kept.records, "a seq is one record's for ever"
    check(states[-1], killed.acknowledged, killed.repeated)
    for end in killed.ends:
        assert by_sql(killed.with_log(killed.log[:end])) == killed.before(end)


@pytest.mark.P1
def test_a_log_that_is_torn_within_a_frame_gives_what_was_committed_before_it(killed: Killed) -> None:
    for cut in random.Random(4).sample(range(LOG_HEAD, len(killed.log)), DAMAGES):
        assert by_sql(killed.with_log(killed.log[:cut])) == killed.before(cut)


@pytest.mark.P1
def test_a_damaged_frame_costs_its_commit_and_what_came_after_and_nothing_before(killed: Killed) -> None:
    chance = random.Random(4)
    for _ in range(DAMAGES):
        number = chance.randrange(1, len(killed.ends))
        at = chance.randrange(killed.ends[number - 1], killed.ends[number])
        log = bytearray(killed.log)
        log[at] ^= 1 << chance.randrange(8)
        for more in ((), (INDEX,)):  # the log's index as it was has nothing to say
            assert by_sql(killed.with_log(bytes(log), *more)) == killed.before(killed.ends[number - 1])


@pytest.mark.P1
def test_without_its_log_the_file_is_as_it_was_when_the_log_began(killed: Killed) -> None:
    assert by_sql(killed.with_log(None)) == killed.commits[LOG_HEAD]
    assert by_sql(killed.with_log(b"")) == killed.commits[LOG_HEAD]


@pytest.mark.P1
@pytest.mark.parametrize("seed", range(8))
def test_after_the_damage_the_gateway_goes_on_where_the_file_ends(killed: Killed, seed: int) -> None:
    chance = random.Random(seed)
    cut = chance.randrange(LOG_HEAD, len(killed.log))
    kept = killed.before(cut)
    folder = killed.with_log(killed.log[:cut] + chance.randbytes(5000))
    killed.writer.acknowledged = Acknowledged(kept.polled, kept.marks)
    again = killed.repeated | in_flight(killed.writer.acknowledged)
    killed.writer.start(folder, polled=kept.polled)
    killed.writer.work(10)
    killed.writer.kill()
    after = by_sql(copied(folder, folder.with_name("after")))
    check(after, killed.writer.acknowledged, again)
    assert after.records[: len(kept.records)] == kept.records
    assert by_buffer(folder).records == after.records
