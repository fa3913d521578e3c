"""A capture: what went over a bus, byte for byte, as lines of JSON.

The first line says where: {"holdfast_capture": 1, "where", "framing", "listened", "began_ms", ...}. Each other
line is a piece of bytes: {"t": milliseconds since the start, "dir": ">" out or "<" in, "hex"}. In a capture
that only listened all pieces are "<".
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO, cast

from drivers.bus.tap import Direction
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError

VERSION = 1
BEGIN = b'{"holdfast_capture":'
SIZE_MAX = 50_000_000  # bytes, of both files together
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Header:
    """Where a capture comes from; nothing here is secret."""

    where: str
    framing: Literal["tcp", "rtu"]
    baud: int = 0  # of a serial port
    parity: str = ""
    stop_bits: int = 0
    listened: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes in one direction; `t_ms` counts from the capture's start."""

    t_ms: int
    direction: Direction
    data: bytes


class CaptureFile:
    """Writes a capture. When half of `size_max` bytes is full, the file becomes FILE.1 and a new one begins.

    A capture that is there already becomes FILE.1, too. Raises ConfigError where the file cannot be
    made, or where it or FILE.1 is there and is no capture. A disk that later takes no more ends the
    capture, never the bus.
    """

    def __init__(self, path: Path, header: Header, clock: Clock, size_max: int = SIZE_MAX) -> None:
        self.bytes_heard = 0
        self._path = path
        self._clock = clock
        self._header = json.dumps({"holdfast_capture": VERSION, "began_ms": clock.wall_ms()} | asdict(header))
        self._start_s = clock.monotonic_s()
        self._half = size_max // 2
        self._size = 0
        self._file: TextIO | None = None
        check_replaceable(path)
        try:
            if path.is_file():
                path.replace(_older(path))
            self._begin()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error

    def took(self, direction: Direction, data: bytes) -> None:
        if self._file is None:
            return
        self.bytes_heard += len(data)
        t_ms = round((self._clock.monotonic_s() - self._start_s) * 1000)
        line = json.dumps({"t": t_ms, "dir": direction, "hex": data.hex()}, separators=(",", ":"))
        try:
            if self._size + len(line) > self._half:
                self._file.close()
                self._path.replace(_older(self._path))
                self._begin()
            self._write(line)
        except OSError as error:
            log.error("the capture ends", extra={"file": str(self._path), "why": error.strerror})
            self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                log.error("the end of the capture is lost", extra={"file": str(self._path), "why": error.strerror})

    def _begin(self) -> None:
        self._file = self._path.open("w", encoding="ascii", buffering=1)  # each line is whole in the file
        self._size = 0
        self._write(self._header)

    def _write(self, line: str) -> None:
        assert self._file is not None
        self._file.write(line + "\n")
        self._size += len(line) + 1


def check_replaceable(path: Path) -> None:
    """Raises ConfigError where a capture into `path` would overwrite what is no capture."""
    for one in (path, _older(path)):
        if not one.is_file():  # a device may be written
            continue
        try:
            with one.open("rb") as file:
                begun = file.read(len(BEGIN))
        except OSError as error:
            raise ConfigError(f"{one}: cannot be read: {error.strerror}") from error
        if not BEGIN.startswith(begun):
            raise ConfigError(f"{one} is there already, and is no capture", hint="name another file, or move it away")


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def read_capture(path: Path) -> tuple[Header, list[Piece]]:
    """Raises ConfigError for a file that is no capture; a last line that was cut off is left out."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not a capture'}") from error
    try:
        head = json.loads(lines[0])
        version = head.pop("holdfast_capture")
        head.pop("began_ms")
        header = Header(**head)
        if header.framing not in ("tcp", "rtu"):
            raise ValueError(header.framing)
    except (IndexError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}:1: not the first line of a capture") from error
    if version != VERSION:
        raise ConfigError(f"{path}:1: a capture of version {version!r}; this release reads {VERSION}")
    return header, list(_pieces(path, lines))


def _pieces(path: Path, lines: list[str]) -> Iterator[Piece]:
    for number, line in enumerate(lines[1:], start=2):
        try:
            piece = json.loads(line)
            direction, data = piece["dir"], bytes.fromhex(piece["hex"])
            if direction not in ("<", ">"):
                raise ValueError(direction)
            yield Piece(int(piece["t"]), cast(Direction, direction), data)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            if number == len(lines):
                return
            raise ConfigError(f"{path}:{number}: not a piece of a capture") from error
