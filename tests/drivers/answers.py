"""Reads a simulated device the way the driver would, without a socket."""

from functools import cache
from pathlib import Path

from drivers.modbus.load import parse_profile
from drivers.modbus.planner import Block, plan_blocks
from drivers.modbus.points import PlacedPoint, PointReading, decode_point, locate, place_points
from drivers.modbus.profile import Profile
from drivers.modbus.registers import Table
from drivers.modbus.sunspec import place_models, walk
from drivers.simulator.source import Source

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "config" / "profiles"
IMAGES = ROOT / "tests" / "fixtures" / "images"
DEVICE_DATA = ROOT.parent / "shared" / "device-data"
WHY_SKIPPED = "the collection of recorded answers does not stand beside the repository"


@cache
def profile(name: str) -> Profile:
    """A shipped profile, or one of the tests' own."""
    return parse_profile(*text_of(name), text_of)


def text_of(name: str) -> tuple[str, str]:
    path = PROFILES / f"{name}.yaml"
    if not path.exists():
        path = ROOT / "tests" / "profiles" / f"{name}.yaml"
    return path.read_text(), path.name


async def read_all(source: Source, of: Profile, now_s: float = 0) -> list[PointReading]:
    """Every point of `of`, in blocks as the driver plans them; what is refused is missing."""

    def words(table: Table, address: int, count: int) -> bytes | None:
        answer = source.read(table, address, count, now_s)
        return None if answer is None else b"".join(word.to_bytes(2) for word in answer)

    async def holding(address: int, count: int) -> bytes | None:
        return words("holding", address, count)

    placed: tuple[PlacedPoint, ...] = place_points(of)
    if of.sunspec is not None:
        placed = place_models(of.sunspec, await walk(holding, of.sunspec))
    tables: dict[str, Table] = {"coil": "coil", "discrete": "discrete", "holding": "holding", "input": "input"}
    answers: dict[Block, bytes] = {}
    blocks = plan_blocks(
        (piece for point in placed for piece in point.blocks),
        gap_max=of.link.gap,
        words_max=of.link.words_max,
        barriers=of.barriers,
    )
    for block in blocks:
        answer = words(tables[block.table], block.address, block.count)
        if answer is not None:
            answers[block] = answer
    located = [locate(point, blocks) for point in placed]
    return [decode_point(one, answers.get(one.block), answers) for one in located]
