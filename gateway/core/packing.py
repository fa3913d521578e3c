"""Bytes packed by zstd, with a checksum, and unpacked within limits."""

import threading

import zstandard

from gateway.core.errors import CodecError

UNPACKED_MAX = 64 * 1024 * 1024  # bytes; a block of an hour is about 1 MB
BLOCK_FROM = 2048  # bytes that are worth statistics of their own; for fewer those take more than they save


class _Zstd(threading.local):
    """Of each thread its own: the library's objects must never be used by two at once, and crash where they are."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


def pack(*pieces: bytes) -> bytes:
    """All pieces as one; where a piece ends, what follows may be of another kind."""
    packer = _zstd.compressor.compressobj(size=sum(map(len, pieces)))
    out = bytearray()
    held = 0
    for piece in pieces:
        out += packer.compress(piece)
        held += len(piece)
        if held >= BLOCK_FROM:
            out += packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            held = 0
    return bytes(out + packer.flush())


def unpack(packed: bytes) -> bytes:
    """The bytes that `pack` was given. Raises CodecError for anything else, and above UNPACKED_MAX."""
    unpacked_size(packed)
    try:
        return _zstd.decompressor.decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CodecError(f"not a sound pack: {error}") from error


def unpacked_size(packed: bytes) -> int:
    """How many bytes `packed` says it holds, before any is allocated. Raises CodecError, also above UNPACKED_MAX."""
    try:
        size = zstandard.frame_content_size(packed)
    except zstandard.ZstdError as error:
        raise CodecError(f"not a pack: {error}") from error
    if not 0 <= size <= UNPACKED_MAX:
        raise CodecError(f"a pack that says it holds {size} bytes; at most {UNPACKED_MAX} can be")
    return size
