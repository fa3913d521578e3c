"""The gateway's configuration: built-in defaults < FILE < FILE's `_local` neighbour.

`site.yaml` may be managed by the hub; `site_local.yaml` beside it is the installer's, and only a
person on site changes it. Lists whose entries have a name merge by name.
"""

import re
import zoneinfo
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from gateway.core import document
from gateway.core.errors import ConfigError
from gateway.core.model import Kind, Name, Role

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Endpoint = Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):[0-9]{1,5}$", description="HOST:PORT")]
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class SiteConfig(_Checked, frozen=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "Holdfast"
    timezone: str = "UTC"  # of the times without a zone that devices send, as Europe/Berlin


class BufferConfig(_Checked, frozen=True, kw_only=True):
    path: str = "buffer.db"  # relative to the configuration's folder
    commit_interval_s: Annotated[float, msgspec.Meta(ge=0.2, le=600)] = 1


class PageConfig(_Checked, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Port = 8080
    password_sha256: Sha256 | None = None
    open: bool = False  # everybody who reaches the page may look at it


class HubLink(_Checked, frozen=True, kw_only=True):
    url: Annotated[str, msgspec.Meta(pattern="^https?://[^/]+", description="http(s)://HOST[:PORT]")]
    node_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    secret: Annotated[str, msgspec.Meta(min_length=16)]
    push_interval_s: Annotated[float, msgspec.Meta(ge=0.5, le=3600)] = 5


class DeviceConfig(_Checked, frozen=True, kw_only=True):
    name: Name
    profile: str
    role: Role | None = None  # the profile's where it is not given
    unit_id: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    poll_s: Annotated[float, msgspec.Meta(ge=0.1, le=86400)] = 5


class BusConfig(_Checked, frozen=True, kw_only=True):
    """One entry of `buses:`; exactly one of `tcp`, `udp` and `serial` says where it is."""

    name: Name
    tcp: Endpoint | None = None
    udp: Endpoint | None = None  # GoodWe's port 8899
    serial: Annotated[str, msgspec.Meta(min_length=1)] | None = None  # best by the name in /dev/serial/by-id
    framing: Literal["tcp", "rtu"] = "tcp"  # of `tcp`; rtu: a converter that passes RTU frames through
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] | None = None  # else the first profile's
    parity: Literal["none", "even", "odd"] | None = None
    stop_bits: Literal[1, 2] | None = None
    devices: Annotated[tuple[DeviceConfig, ...], msgspec.Meta(min_length=1)]


class KeyConfig(_Checked, frozen=True, kw_only=True):
    """What one name that a device sends stands for; what is not given is guessed from name and unit."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=96)] | None = None
    unit: str | None = None  # of the value times `scale`
    scale: float = 1
    quantity: str | None = None
    kind: Kind | None = None


class PushDevice(_Checked, frozen=True, kw_only=True):
    """A device that sends by itself, over HTTP or MQTT."""

    name: Name
    role: Role = "other"
    profile: str = "push"  # what kind of device it is, for people
    token_sha256: Sha256 | None = None  # without one it can send over MQTT only
    timezone: str | None = None  # the site's where it is not given
    stale_s: Annotated[float, msgspec.Meta(gt=0, le=31 * 86400)] | None = None
    keys: dict[str, KeyConfig] = {}


class PushConfig(_Checked, frozen=True, kw_only=True):
    devices: tuple[PushDevice, ...] = ()


class TopicConfig(_Checked, frozen=True, kw_only=True):
    """Which messages are whose; a whole level may be a {placeholder}, which `device` and `metric` may use."""

    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    device: Annotated[str, msgspec.Meta(min_length=1)]
    metric: str | None = None  # the name of a value that stands alone; the topic's last level where it is not given
    group: Name = "push"
    qos: Literal[0, 1] = 1  # 0: what nobody was there to take is lost, and never stamped with a wrong time
    accept_new: bool = False  # take devices that are not under push.devices


class MqttConfig(_Checked, frozen=True, kw_only=True):
    """The broker that devices send to."""

    host: str
    port: Port = 1883
    username: str | None = None
    password: str | None = None
    tls_ca: str | None = None  # a file of certificates, relative to the configuration's folder; with it TLS is used
    client_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "holdfast"
    topics: Annotated[tuple[TopicConfig, ...], msgspec.Meta(min_length=1)]


class Config(_Checked, frozen=True, kw_only=True):
    """The effective configuration of one gateway."""

    site: SiteConfig = SiteConfig()
    buffer: BufferConfig = BufferConfig()
    page: PageConfig = PageConfig()
    hub: HubLink | None = None
    buses: tuple[BusConfig, ...] = ()
    push: PushConfig = PushConfig()
    mqtt: MqttConfig | None = None


def load_config(path: Path) -> tuple[Config, document.Document]:
    """The configuration of `path` and its local neighbour, and the document that says where each key stands.

    Raises ConfigError with file, line, key and what was expected.
    """
    layers = [document.parse(read_text(path), path.name)]
    local = path.with_name(f"{path.stem}_local{path.suffix}")
    if local.exists():
        layers.append(document.parse(read_text(local), local.name))
    merged = layers[0] if len(layers) == 1 else document.overlay(*layers)
    config = document.convert(merged, Config)
    _check_names(config, merged)
    _check_page(config, merged)
    _check_push(config, merged)
    return config, merged


def read_text(path: Path) -> str:
    """Raises ConfigError where the file is not there, not readable or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(f"{path}: cannot be read: {reason}", hint="check the path and its rights") from error


def _check_names(config: Config, merged: document.Document) -> None:
    seen: dict[str, str] = {}
    endpoints: dict[str, str] = {}
    for b, bus in enumerate(config.buses):
        place = merged.place_of(("buses", b))
        given = [where for where in (bus.tcp, bus.udp, bus.serial) if where is not None]
        if len(given) != 1:
            raise ConfigError(f"{place}: buses[{b}]: expected exactly one of tcp, udp and serial")
        if given[0] in endpoints:
            raise ConfigError(
                f"{place}: buses[{b}]: {given[0]} is the place of {endpoints[given[0]]} already",
                hint="put devices that share an endpoint or a port on one bus",
            )
        endpoints[given[0]] = bus.name
        for what, name, path in [(f"buses[{b}].name", f"bus {bus.name}", ("buses", b))] + [
            (f"buses[{b}].devices[{d}].name", f"device {device.name}", ("buses", b, "devices", d))
            for d, device in enumerate(bus.devices)
        ]:
            place = merged.place_of(path)
            _note(seen, name, place, what)
    for d, pushing in enumerate(config.push.devices):
        place = merged.place_of(("push", "devices", d))
        _note(seen, f"device {pushing.name}", place, f"push.devices[{d}].name")


def _note(seen: dict[str, str], name: str, place: str, what: str) -> None:
    if name in seen:
        raise ConfigError(f"{place}: {what}: {name} is here twice; the first is at {seen[name]}")
    seen[name] = place


def _check_page(config: Config, merged: document.Document) -> None:
    page = config.page
    if page.host not in LOOPBACK and page.password_sha256 is None and not page.open:
        place = merged.place_of(("page", "host"))
        raise ConfigError(
            f"{place}: page.host: {page.host} can be reached by others, but no password is set",
            hint="set page.password_sha256, or page.open: true if everybody on the network may look",
        )


PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def _check_push(config: Config, merged: document.Document) -> None:
    zones: list[tuple[document.Path, str | None]] = [(("site", "timezone"), config.site.timezone)]
    zones += [(("push", "devices", d, "timezone"), one.timezone) for d, one in enumerate(config.push.devices)]
    for path, zone in zones:
        if zone is not None and not _is_zone(zone):
            raise ConfigError(
                f"{merged.place_of(path)}: {document.dotted(path)}: {zone} is no time zone that is known here",
                hint="give one as Europe/Berlin or UTC; on Debian the package tzdata brings them",
            )
    for t, topic in enumerate(config.mqtt.topics if config.mqtt else ()):
        path = ("mqtt", "topics", t)
        if complaint := _wrong_topic(topic):
            raise ConfigError(f"{merged.place_of(path)}: {document.dotted(path)}.{complaint}")


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
