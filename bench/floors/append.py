"""The floor of the disk: the same rows appended to a preallocated file, one fdatasync per commit.

Two files, each on a disk of its own: native rows as they are, and the same shuffled and packed by
zstd. The files are written full of zeros first: then a commit changes data only, neither the file's
length nor its extents.
"""

import asyncio
import os
import struct
from argparse import ArgumentParser

import zstandard

from bench.floors.reading import Account, Devices, Registers, arguments, ticks
from bench.work import DEVICES, REGISTERS

FILE_BYTES = 48 * 1024 * 1024  # an hour of native rows takes 12 MB
HEAD = struct.Struct(">IQ")  # length and time of the commit

_words = struct.Struct(f">{DEVICES * REGISTERS}H")
_compressor = zstandard.ZstdCompressor(level=3)


class Preallocated:
    """An append-only file of fixed length."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.write(self._file, bytes(FILE_BYTES))
        os.fsync(self._file)
        self._at = 0

    def append(self, ts: int, payload: bytes) -> None:
        """Write one commit; on the disk when this returns."""
        self._at += os.pwrite(self._file, HEAD.pack(len(payload), ts) + payload, self._at)
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def native(registers: list[Registers]) -> bytes:
    """One tick of all devices, big end first."""
    return _words.pack(*(word for words in registers for word in words))


def packed(rows: bytes) -> bytes:
    """`rows` with the bytes of equal weight of each float32 side by side, by zstd."""
    return _compressor.compress(b"".join(rows[weight::4] for weight in range(4)))


async def append(port: int, phase_ms: int, native_path: str, packed_path: str) -> None:
    """Run until SIGTERM."""
    devices, account = Devices(port), Account()
    native_file, packed_file = Preallocated(native_path), Preallocated(packed_path)
    await devices.connect()
    async for tick_ms in ticks(phase_ms):
        rows = native(await devices.read())
        native_file.append(tick_ms, rows)
        packed_file.append(tick_ms, packed(rows))
        account.add(tick_ms)
    devices.close()
    account.print()


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--native", required=True, help="file for native rows")
    parser.add_argument("--packed", required=True, help="file for packed rows")
    options = arguments(parser)
    asyncio.run(append(options.port, options.phase_ms, options.native, options.packed))
