"""What a body is when it is unpacked, within limits; pure."""

import io
import zlib

import zstandard

from gateway.core.errors import CodecError, TooLargeError

UNPACKED_MAX = 64 * 1024 * 1024
WINDOW_MAX = 8 * 1024 * 1024  # RFC 9659: what a receiver of Content-Encoding zstd has to bear, and no more


def unpacked(body: bytes, encoding: str) -> bytes:
    """`body` without its `encoding`, which is as in Content-Encoding.

    Raises CodecError, also for what was cut off, and TooLargeError above UNPACKED_MAX.
    """
    if encoding in ("", "identity"):
        return body
    if encoding == "gzip":
        plain, is_whole = _gunzipped(body)
    elif encoding == "zstd":
        plain, is_whole = _unzstd(body)
    else:
        raise CodecError(f"Content-Encoding: expected gzip, zstd or none; got {encoding!r}")
    if len(plain) > UNPACKED_MAX:
        raise TooLargeError(f"more than {UNPACKED_MAX} bytes when unpacked")
    if not is_whole:
        raise CodecError(f"{encoding} that was cut off, or has something behind its end")
    return plain


def _gunzipped(body: bytes) -> tuple[bytes, bool]:
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(body, UNPACKED_MAX + 1)
    except zlib.error as error:
        raise CodecError(f"not sound gzip: {error}") from error
    return plain, unzip.eof and not unzip.unused_data


def _unzstd(body: bytes) -> tuple[bytes, bool]:
    """Twice: a reader keeps to the limit and does not see where it was cut off, the other way sees it and has none."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW_MAX)
    try:
        plain = unpacker.stream_reader(io.BytesIO(body)).read(UNPACKED_MAX + 1)
        if len(plain) > UNPACKED_MAX:
            return plain, False
        whole = unpacker.decompressobj()
        whole.decompress(body)
    except zstandard.ZstdError as error:
        raise CodecError(f"not sound zstd: {error}") from error
    return plain, whole.eof and not whole.unused_data
