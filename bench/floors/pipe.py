"""Floor 2: a bare pipe: read all devices, one SQLite row per commit, post the new rows every few seconds."""

import asyncio
import json
import sqlite3
import struct
import zlib
from argparse import ArgumentParser

import aiohttp

from bench.floors.reading import Account, Devices, Registers, arguments, ticks
from bench.work import DEVICES, POINTS, PUSH_S, REGISTERS

SCHEMA = "CREATE TABLE row(id INTEGER PRIMARY KEY, ts INTEGER, words BLOB)"
APPEND = "INSERT INTO row(ts, words) VALUES (?, ?)"
FETCH = "SELECT id, ts, words FROM row WHERE id > ? ORDER BY id"

WORDS = struct.Struct(f">{REGISTERS}H")
FLOATS = struct.Struct(f">{POINTS}f")


class Store:
    """The rows; WAL and FULL, as the gateway has it, and nothing else."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(SCHEMA)

    def append(self, ts: int, registers: list[Registers]) -> None:
        """Commit one tick of all devices; on the disk when this returns."""
        self._database.execute(APPEND, (ts, b"".join(WORDS.pack(*words) for words in registers)))

    def after(self, last: int) -> list[tuple[int, int, bytes]]:
        return self._database.execute(FETCH, (last,)).fetchall()


def body_of(rows: list[tuple[int, int, bytes]]) -> bytes:
    """The rows as JSON, deflated: for each its time and each device's values."""
    values = [
        [ts, [FLOATS.unpack_from(words, 4 * POINTS * index) for index in range(DEVICES)]] for _, ts, words in rows
    ]
    return zlib.compress(json.dumps(values, separators=(",", ":")).encode())


async def pipe(port: int, phase_ms: int, database: str, sink: str) -> None:
    """Run until SIGTERM."""
    devices, store, account = Devices(port), Store(database), Account()
    await devices.connect()
    last = 0
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async for tick_ms in ticks(phase_ms):
            store.append(tick_ms, await devices.read())
            account.add(tick_ms)
            if tick_ms // 1000 % PUSH_S == 0:
                rows = store.after(last)
                async with session.post(sink, data=body_of(rows)):
                    last = rows[-1][0]
    devices.close()
    account.print()


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--sink", required=True, help="URL that takes the posts")
    options = arguments(parser)
    asyncio.run(pipe(options.port, options.phase_ms, options.database, options.sink))
