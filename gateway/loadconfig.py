"""From a site's files to its checked configuration."""

import functools
import re
import zoneinfo
from pathlib import Path

from gateway.checkplaces import check_places
from gateway.config import BusConfig, Config, TopicConfig
from gateway.core import document
from gateway.core.errors import ConfigError
from gateway.hubfile import hub_path

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SELECT_LIVE = "selectronic-sp-pro"


def load_config(path: Path, text: str | None = None, *, over: str = "") -> tuple[Config, document.Document]:
    """The configuration of `path` and of what lies over it, and the document that says where each key stands.

    `text`: as if that stood in `path`; `over`: as if that lay over all. Raises ConfigError with file, line, key and
    what was expected.
    """
    merged = read_layers(path, text)
    if over:
        merged = document.overlay(merged, document.parse(over, path.name))
    config = document.convert(merged, Config)
    _check_names(config, merged)
    _check_page(config, merged)
    _check_hub(config, merged)
    _check_push(config, merged)
    _check_zones(config, merged)
    check_places(config, merged, path)
    return config, merged


def read_layers(path: Path, text: str | None = None) -> document.Document:
    """What `path` says, and the files that lie over it, unchecked. Raises ConfigError."""
    layers = [document.parse(read_text(path) if text is None else text, path.name)]
    over = [path.with_name(f"{path.stem}_local{path.suffix}"), hub_path(path)]
    layers += [document.parse(read_text(one), one.name) for one in over if one.exists()]
    return functools.reduce(document.overlay, layers)


def read_text(path: Path) -> str:
    """Raises ConfigError where the file is not there, not readable or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(f"{path}: cannot be read: {reason}", hint="check the path and its rights") from error


def _check_names(config: Config, merged: document.Document) -> None:
    seen: dict[str, str] = {}
    for b, bus in enumerate(config.buses):
        _check_place(bus, merged, ("buses", b))
        names: list[tuple[str, document.Path]] = [(f"bus {bus.name}", ("buses", b))]
        names += [(f"device {device.name}", ("buses", b, "devices", d)) for d, device in enumerate(bus.devices)]
        for name, path in names:
            _note(seen, name, merged, path)
    for d, pushing in enumerate(config.push.devices):
        _note(seen, f"device {pushing.name}", merged, ("push", "devices", d))


def _check_place(bus: BusConfig, merged: document.Document, path: document.Path) -> None:
    live = bus.selectlive
    if sum(where is not None for where in (bus.tcp, bus.udp, bus.serial, live)) != 1:
        raise merged.complaint(path, "expected exactly one of tcp, udp, serial and selectlive")
    if live is not None and not live.is_whole:
        raise merged.complaint((*path, "selectlive"), "expected host and device_id, or email, password and system")
    if (live is not None) != any(device.profile == SELECT_LIVE for device in bus.devices) or (
        live is not None and len(bus.devices) > 1
    ):
        words = f"expected selectlive with one device of the profile {SELECT_LIVE}, and only there"
        raise merged.complaint(path, words)


def _note(seen: dict[str, str], name: str, merged: document.Document, path: document.Path) -> None:
    place = merged.place_of(path)
    if name in seen:
        raise ConfigError(
            f"{place}: {document.dotted((*path, 'name'))}: {name} is here twice; the first is at {seen[name]}"
        )
    seen[name] = place


def _check_page(config: Config, merged: document.Document) -> None:
    page = config.page
    if page.host not in LOOPBACK and page.password_sha256 is None and not page.open:
        raise merged.complaint(
            ("page", "host"),
            f"{page.host} can be reached by others, but no password is set",
            hint="set page.password_sha256, or page.open: true if everybody on the network may look",
        )


def _check_hub(config: Config, merged: document.Document) -> None:
    hub = config.hub
    if hub is not None and hub.transport != "https" and hub.amqp is None:
        raise merged.complaint(
            ("hub", "transport"), f"{hub.transport} needs a broker", hint="add hub.amqp with its url"
        )
    if hub is not None and hub.url.startswith("http://"):
        for key in ("tls_ca", "tls_fingerprint"):
            if getattr(hub, key) is not None:
                raise merged.complaint(("hub", key), "hub.url is http://, without TLS", hint="write https:// there")


PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def _check_push(config: Config, merged: document.Document) -> None:
    for d, device in enumerate(config.push.devices):
        for name, entry in device.keys.items():
            if entry.scale == 0:
                raise merged.complaint(("push", "devices", d, "keys", name, "scale"), "expected a number other than 0")
    for t, topic in enumerate(config.mqtt.topics if config.mqtt else ()):
        path = ("mqtt", "topics", t)
        if complaint := _wrong_topic(topic):
            raise ConfigError(f"{merged.place_of(path)}: {document.dotted(path)}.{complaint}")


def _check_zones(config: Config, merged: document.Document) -> None:
    zones: list[tuple[document.Path, str | None]] = [(("site", "timezone"), config.site.timezone)]
    zones += [(("push", "devices", d, "timezone"), one.timezone) for d, one in enumerate(config.push.devices)]
    zones += [
        (("buses", b, "devices", d, "log", "zone"), one.log.zone)
        for b, bus in enumerate(config.buses) for d, one in enumerate(bus.devices) if one.log is not None
    ]  # fmt: skip
    for path, zone in zones:
        if zone is not None and not _is_zone(zone):
            raise merged.complaint(
                path,
                f"{zone} is no time zone that is known here",
                hint="give one as Europe/Berlin or UTC; on Debian the package tzdata brings them",
            )


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _wrong_topic(topic: TopicConfig) -> str:
    """What is wrong with an entry of `mqtt.topics`; empty where nothing is."""
    for level in topic.topic.split("/"):
        if not PLACEHOLDER.fullmatch(level) and set(level) & set("{}+#"):
            return f"topic: expected {{a_name}} in small letters for a whole level, not {level}"
    known = PLACEHOLDER.findall(topic.topic)
    if len(set(known)) < len(known):
        return "topic: a placeholder is there twice"
    for key, text in (("device", topic.device), ("metric", topic.metric or "")):
        if unknown := set(PLACEHOLDER.findall(text)) - set(known):
            return f"{key}: {{{unknown.pop()}}} is not in the topic"
    return ""
