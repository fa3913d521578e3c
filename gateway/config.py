"""The gateway's configuration: built-in defaults < FILE < FILE's `_local` neighbour < its `_hub` neighbour.

`site.yaml` may be managed by the hub; `site_local.yaml` beside it is the installer's, and only a
person on site changes it; `site_hub.yaml` is written when the gateway is enrolled. Lists
whose entries have a name merge by name.
"""

from typing import Annotated, Literal

import msgspec

from gateway.core.model import Kind, Name, Role

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="64 hexadecimal digits")]
DeviceId = Annotated[str, msgspec.Meta(pattern="^[0-9A-Fa-f]{32}$", description="32 hexadecimal digits")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
File = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]+$", description="a path")]
Endpoint = Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):[0-9]{1,5}$", description="HOST:PORT")]


class _Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class SiteConfig(_Checked, frozen=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "Holdfast"
    timezone: str = "UTC"  # of the times without a zone that devices send, as Europe/Berlin


class BufferConfig(_Checked, frozen=True, kw_only=True):
    path: File = "buffer.db"  # relative to the configuration's folder
    commit_interval_s: Annotated[float, msgspec.Meta(ge=0.2, le=600)] = 1
    budget_mb: Annotated[float, msgspec.Meta(ge=1, le=10_000_000)] = 4000  # the file never grows beyond
    keep_days: Annotated[float, msgspec.Meta(gt=0, le=36_500)] = 400  # whole records that the hub has; roll-ups stay
    card_tbw: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 30  # terabytes that may be written to the card


class PageConfig(_Checked, frozen=True, kw_only=True):
    host: Text = "127.0.0.1"
    port: Port = 8080
    password_sha256: Sha256 | None = None
    open: bool = False  # everybody who reaches the page may look at it


class AmqpLink(_Checked, frozen=True, kw_only=True):
    """The broker; user and password are the node's id and secret."""

    url: Annotated[str, msgspec.Meta(pattern="^amqps?://[^/@]+(/[^/]*)?$", description="amqp(s)://HOST[:PORT][/VHOST]")]
    tls_ca: File | None = None


class HubLink(_Checked, frozen=True, kw_only=True):
    url: Annotated[str, msgspec.Meta(pattern="^https?://[^/]+", description="http(s)://HOST[:PORT]")]
    node_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z", description="1 to 64 of A-Za-z0-9._-")]
    secret: Annotated[
        str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{16,}\Z", description="16 characters or more, in one line")
    ]
    push_interval_s: Annotated[float, msgspec.Meta(ge=0.5, le=3600)] = 5
    transport: Literal["https", "amqp", "auto"] = "https"  # auto: amqp, and https where that does not get through
    amqp: AmqpLink | None = None
    tls_ca: File | None = None  # certificates that the hub's is signed by, relative to the configuration's folder
    tls_fingerprint: Sha256 | None = None  # of the hub's certificate: this one and no other
    proxy: Annotated[str, msgspec.Meta(pattern="^http://[^/]+", description="http://HOST:PORT")] | None = None
    heartbeat_s: Annotated[float, msgspec.Meta(ge=30, le=300)] = 60
    long_poll: bool = True  # commands come at once; else with the next heartbeat
    compare_s: Annotated[float, msgspec.Meta(ge=60, le=86400)] = 3600  # so often both ends compare what they hold
    daily_mb: Annotated[float, msgspec.Meta(ge=0.1, le=1e6)] | None = None  # of a metered line
    quiet: bool = False  # a metered line: what is new goes once a minute, commands come with heartbeats


class LogConfig(_Checked, frozen=True, kw_only=True):
    """A device's own log (Acuvim II), from which is taken what the history lacks after an outage."""

    points: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]  # the profile's keys, in the order of the log
    number: Literal[1, 2, 3] = 1
    zone: str | None = None  # of the device's clock; the site's where it is not given
    every_s: Annotated[float, msgspec.Meta(ge=60, le=86400)] = 3600


class DeviceConfig(_Checked, frozen=True, kw_only=True):
    name: Name
    profile: str
    role: Role | None = None  # the profile's where it is not given
    unit_id: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    poll_s: Annotated[float, msgspec.Meta(ge=0.1, le=86400)] | None = None  # 5 where it is not given
    log: LogConfig | None = None
    closed_bit: Literal[0, 1] = 1  # of lock boards: what a hook's bit is while its lock is closed


class SelectLiveConfig(_Checked, frozen=True, kw_only=True):
    """A select.live: the box (`host` and `device_id`) or the maker's cloud (`email`, `password` and `system`)."""

    host: str | None = None
    device_id: DeviceId | None = None
    email: str | None = None
    password: str | None = None
    system: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,12}$", description="1 to 12 digits")] | None = None
    url: str = "https://select.live"

    @property
    def is_whole(self) -> bool:
        """Whether it is all of one of the two, and nothing of the other."""
        box = (self.host, self.device_id)
        cloud = (self.email, self.password, self.system)
        return (all(box) and not any(cloud)) or (all(cloud) and not any(box))


class BusConfig(_Checked, frozen=True, kw_only=True):
    """One entry of `buses:`; exactly one of `tcp`, `udp`, `serial` and `selectlive` says where it is."""

    name: Name
    tcp: Endpoint | None = None
    udp: Endpoint | None = None  # GoodWe's port 8899
    serial: File | None = None  # best by the name in /dev/serial/by-id
    selectlive: SelectLiveConfig | None = None
    framing: Literal["tcp", "rtu"] = "tcp"  # of `tcp`; rtu: a converter that passes RTU frames through
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] | None = None  # else the first profile's
    parity: Literal["none", "even", "odd"] | None = None
    stop_bits: Literal[1, 2] | None = None
    capture: File | None = None  # a file that gets every byte with its time, for support; relative to this folder
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
    device: Text
    metric: str | None = None  # the name of a value that stands alone; the topic's last level where it is not given
    group: Name = "push"
    qos: Literal[0, 1] = 1  # 0: what nobody was there to take is lost, and never stamped with a wrong time
    accept_new: bool = False  # take devices that are not under push.devices


class MqttConfig(_Checked, frozen=True, kw_only=True):
    """The broker that devices send to."""

    host: Text
    port: Port = 1883
    username: str | None = None
    password: str | None = None
    tls_ca: File | None = None  # a file of certificates, relative to the configuration's folder; with it TLS is used
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
