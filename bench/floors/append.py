"""The floor of the disk: the same values appended to a preallocated file, one fdatasync per commit.

The file is written full of zeros first: then a commit changes data only, neither the file's length nor its extents.
"""

import os
import struct

import zstandard

FILE_BYTES = 48 * 1024 * 1024
HEAD = struct.Struct(">IQ")  # length and time of the commit

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


def packed(rows: bytes) -> bytes:
    """`rows` with the bytes of equal weight of each float32 side by side, by zstd."""
    return _compressor.compress(b"".join(rows[weight::4] for weight in range(4)))
