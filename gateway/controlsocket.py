"""The door for the machine's own commands: the page's app on a Unix socket beside the site's configuration.

Not beside the buffer's file: a socket holds on to its disk, which a gateway must bear to see pulled out and put back.
Who may open the socket is the user that the gateway runs as, and root; nobody is asked for a password there.
"""

import contextlib
import errno
import http.client
import json
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.core.errors import HoldfastError

PATIENCE_S = 60
LOOK_S = 1.0  # who listens takes a connection at once, however busy the program is

log = logging.getLogger(__name__)


def socket_path(site: Path) -> Path:
    """Where the gateway listens that has this configuration."""
    return site.with_name(f"{site.name}.sock")


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket | None]:
    """A socket for the server, gone with the block; None where there can be none: only the commands miss it.

    One that a killed process has left is replaced, one that somebody listens at is not.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            _bind(server, path)
        except OSError as error:
            log.warning("no socket for commands", extra={"file": str(path), "why": error.strerror or str(error)})
            yield None
            return
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _bind(server: socket.socket, path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file of that name")
        if _is_heard(path):
            raise OSError(errno.EADDRINUSE, "another program listens there")
        path.unlink()
    os.fchmod(server.fileno(), 0o600)  # before it has a name, so that it is never open to others
    with _address(path) as address:
        server.bind(address)


def _is_heard(path: Path) -> bool:
    try:
        with _connected(path, LOOK_S):
            return True
    except ConnectionRefusedError:
        return False


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """What bind and connect take for `path`: at most 107 bytes, so the folder stands for itself by a handle."""
    folder = os.open(path.absolute().parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _connected(path: Path, patience_s: float) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(patience_s)
        with _address(path) as address:
            client.connect(address)
    except OSError:
        client.close()
        raise
    return client


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = _connected(self._path, PATIENCE_S)


def ask(
    site: Path, method: str, route: str, body: bytes | None = None, content_type: str = "application/json"
) -> bytes | None:
    """What the running gateway of this configuration answers; None where none runs.

    Raises HoldfastError for what the gateway refuses, and where it cannot be asked.
    """
    connection = _Connection(socket_path(site))
    try:
        connection.request(method, route, body, {"Content-Type": content_type} if body is not None else {})
        response = connection.getresponse()
        answer = response.read()
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        hint = "run this as the user that the gateway runs as"
        raise HoldfastError(f"{socket_path(site)}: {error.strerror}", hint=hint) from error
    except (OSError, http.client.HTTPException) as error:
        hint = "it may be stopping or starting; try again"
        raise HoldfastError(f"{socket_path(site)}: the gateway does not answer: {error}", hint=hint) from error
    finally:
        connection.close()
    if response.status >= 400:
        raise HoldfastError(complaint(answer) or f"the gateway answers {response.status} {response.reason}")
    return answer


def complaint(answer: bytes) -> str:
    """What is wrong, as a page's or a hub's API says it; empty where it does not."""
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
