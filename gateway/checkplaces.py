"""Whether hosts, ports and files of a configuration can be what it says they are, and no two are one.

Nothing is opened but the files that must be there.
"""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config import BusConfig, Config
from gateway.core.document import Document
from gateway.core.document import Path as Keys
from gateway.core.hosts import is_host, same_host


def check_places(config: Config, merged: Document, file: Path) -> None:
    """Raises ConfigError; `file` is the configuration's, and other paths are relative to its folder."""
    for keys, host in _hosts(config):
        if not is_host(host):
            raise merged.complaint(keys, f"expected the name or address of a host{f', got {host!r}' if host else ''}")
    _check_buses(config, merged)
    _check_files(config, merged, file)


def _hosts(config: Config) -> Iterator[tuple[Keys, str]]:
    for b, bus in enumerate(config.buses):
        for key, where in (("tcp", bus.tcp), ("udp", bus.udp)):
            if where is not None:
                yield ("buses", b, key), where.rpartition(":")[0]
        if bus.selectlive is not None and bus.selectlive.host is not None:
            yield ("buses", b, "selectlive", "host"), _host_of(f"http://{bus.selectlive.host}", path_allowed=False)
    yield ("page", "host"), config.page.host
    if config.hub is not None:
        yield ("hub", "url"), _host_of(config.hub.url)
        if config.hub.proxy is not None:
            yield ("hub", "proxy"), _host_of(config.hub.proxy)
        if config.hub.amqp is not None:
            yield ("hub", "amqp", "url"), _host_of(config.hub.amqp.url)
    if config.mqtt is not None:
        yield ("mqtt", "host"), config.mqtt.host


def _host_of(url: str, *, path_allowed: bool = True) -> str:
    """Empty where the URL has none, or a port that is none."""
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        return ""
    return (parts.hostname or "") if port_is_good and (path_allowed or not parts.path) else ""


def _check_buses(config: Config, merged: Document) -> None:
    taken: dict[tuple[str, str], str] = {}
    for b, bus in enumerate(config.buses):
        key, where = place_of_bus(bus)
        if (key, where) in taken:
            raise merged.complaint(
                ("buses", b, key), f"{where} is the place of {taken[key, where]} already",
                hint="put devices that share an endpoint or a port on one bus",
            )  # fmt: skip
        taken[key, where] = bus.name


def place_of_bus(bus: BusConfig) -> tuple[str, str]:
    """The key that says where the bus is, and one text for all spellings of the same place."""
    for key, where in (("tcp", bus.tcp), ("udp", bus.udp)):
        if where is not None:
            host, _, port = where.rpartition(":")
            return key, f"{same_host(host)}:{int(port)}"
    if bus.serial is not None:
        return "serial", os.path.realpath(bus.serial)
    live = bus.selectlive
    assert live is not None  # exactly one is given
    return "selectlive", live.host.lower() if live.host is not None else f"{live.url} system {live.system}"


def _check_files(config: Config, merged: Document, file: Path) -> None:
    local = file.with_name(f"{file.stem}_local{file.suffix}")
    buffer = file.parent / config.buffer.path
    if buffer.is_dir():
        raise merged.complaint(("buffer", "path"), f"{buffer} is a folder")
    taken = {os.path.realpath(one): f"the configuration {one.name}" for one in (file, local)}
    if (real := os.path.realpath(buffer)) in taken:
        raise merged.complaint(("buffer", "path"), f"{buffer} is {taken[real]}")
    taken |= {f"{real}{end}": "the buffer" for end in ("", "-wal", "-shm", "-journal")}
    for b, bus in enumerate(config.buses):
        if bus.capture is None:
            continue
        keys, path = ("buses", b, "capture"), file.parent / bus.capture
        if not path.parent.is_dir():
            raise merged.complaint(keys, f"there is no folder {path.parent}", hint="make it, or name another")
        if path.is_dir():
            raise merged.complaint(keys, f"{path} is a folder")
        for one in (path, path.with_name(f"{path.name}.1")):  # the newer and the older half
            real = os.path.realpath(one)
            if real in taken:
                raise merged.complaint(keys, f"{one} is {taken[real]}", hint="name a file of its own")
            taken[real] = f"the capture of {bus.name}"
    if config.mqtt is not None and config.mqtt.tls_ca is not None:
        _check_authorities(file.parent / config.mqtt.tls_ca, merged, ("mqtt", "tls_ca"))
    if config.hub is not None and config.hub.tls_ca is not None:
        _check_authorities(file.parent / config.hub.tls_ca, merged, ("hub", "tls_ca"))
    if config.hub is not None and config.hub.amqp is not None and config.hub.amqp.tls_ca is not None:
        _check_authorities(file.parent / config.hub.amqp.tls_ca, merged, ("hub", "amqp", "tls_ca"))


def _check_authorities(path: Path, merged: Document, keys: Keys) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # of which SSLError is one
        hint = "give a file of PEM certificates"
        raise merged.complaint(keys, f"{path}: {error.strerror or error}", hint=hint) from error
