"""The hub's settings: one YAML file."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from gateway.core import document
from sync.hub.alerts.settings import AlertsConfig, SmtpConfig
from sync.hub.prices.settings import PricesConfig, check_prices

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 of a secret, hexadecimal")]


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `nodes:`: a gateway that may push."""

    id: Annotated[str, msgspec.Meta(pattern=r"^(?!\.\.?\Z)[A-Za-z0-9._-]{1,64}\Z")]
    secret_sha256: Sha256
    site: Annotated[str, msgspec.Meta(min_length=1)] | None = None  # the id of one that the hub has


class AmqpConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker that nodes may send through, beside HTTP."""

    url: Annotated[str, msgspec.Meta(pattern="^amqps?://[^/@]+(/[^/]*)?$", description="amqp(s)://HOST[:PORT][/VHOST]")]
    username: Annotated[str, msgspec.Meta(min_length=1)] = "hub"
    password: Annotated[str, msgspec.Meta(min_length=1)]
    management_url: (
        Annotated[str, msgspec.Meta(pattern="^https?://[^/]+", description="http(s)://HOST[:PORT]")] | None
    ) = None  # for holdfast hub amqp-provision, and for enrolment
    management_username: Annotated[str, msgspec.Meta(min_length=1)] = "guest"  # has the tag administrator
    management_password: Annotated[str, msgspec.Meta(min_length=1)] | None = None  # without: no node is enrolled there
    nodes_url: (
        Annotated[str, msgspec.Meta(pattern="^amqps?://[^/@]+(/[^/]*)?$", description="amqp(s)://HOST[:PORT][/VHOST]")]
        | None
    ) = None  # as nodes reach it; url where it is not given
    tls_ca: str | None = None  # certificates that the broker's is signed by; relative to the configuration's folder


Days = Annotated[int, msgspec.Meta(ge=7, le=36_500)]


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many days what is kept; hours are for ever."""

    raw_days: Days = 90
    minute_days: Days = 365
    events_days: Days = 400  # also of commands that have ended, and of what people did
    audit_days: Days = 90  # of the batches that came


class PeopleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people sign in."""

    public_url: (
        Annotated[str, msgspec.Meta(pattern="^https?://[^/@]+/?$", description="http(s)://HOST[:PORT]")] | None
    ) = None  # how browsers reach the hub, where that is by way of a proxy
    proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For is believed
    session_h: Annotated[float, msgspec.Meta(gt=0, le=720)] = 12
    session_slides: bool = True  # each request makes it last so long anew
    refresh_days: Annotated[float, msgspec.Meta(gt=0, le=365)] = 30
    requests_per_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 20  # of each person; ten times as many at once


class HubConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    store: str  # the SQLite file, relative to the configuration's folder; or postgresql://user:password@host/database
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8090
    tls_cert: str | None = None  # PEM files, relative to the configuration's folder; with them the hub speaks TLS
    tls_key: str | None = None
    nodes: tuple[NodeConfig, ...] = ()
    amqp: AmqpConfig | None = None
    retention: RetentionConfig = RetentionConfig()
    people: PeopleConfig = PeopleConfig()
    prices: PricesConfig = PricesConfig()
    alerts: AlertsConfig = AlertsConfig()
    metrics_token_sha256: Sha256 | None = None  # who has that token may read /metrics

    @property
    def is_reached_by_tls(self) -> bool:
        return self.tls_cert is not None or (self.people.public_url or "").startswith("https:")


def parse_hub_config(text: str, source: str) -> HubConfig:
    """Raises ConfigError with file, line, key and what was expected."""
    parsed = document.parse(text, source)
    if "password_sha256" in parsed.content:
        raise parsed.complaint(
            ("password_sha256",), "the hub has no password of its own any more; people sign in with their names",
            hint="take the line out; the hub makes the person admin at its start and prints the password",
        )  # fmt: skip
    config = document.convert(parsed, HubConfig)
    if "://" in config.store and not config.store.startswith(("postgresql://", "postgres://")):
        words = f"{config.store.partition(':')[0]} is no store of the hub"
        raise parsed.complaint(("store",), words, hint="expected a file, or postgresql://user@host/database")
    _check_nodes(config, parsed)
    if config.retention.minute_days < config.retention.raw_days:
        hint = "minutes are kept for at least as long as records"
        raise parsed.complaint(("retention", "minute_days"), "fewer than raw_days", hint=hint)
    check_prices(config.prices, parsed)
    if config.amqp is not None:
        _check_addresses(config.amqp, parsed)
    if config.alerts.smtp is not None:
        _check_mail(config.alerts.smtp, parsed)
    if (config.tls_cert is None) != (config.tls_key is None):
        given, other = ("tls_cert", "tls_key") if config.tls_cert else ("tls_key", "tls_cert")
        raise parsed.complaint((given,), f"of no use without {other}", hint=f"add {other}")
    _check_proxies(config.people.proxies, parsed)
    return config


def _check_nodes(config: HubConfig, parsed: document.Document) -> None:
    ids: set[str] = set()
    for index, node in enumerate(config.nodes):
        if node.id in ids:
            raise parsed.complaint(("nodes", index, "id"), f"{node.id} is here twice")
        ids.add(node.id)
        if config.amqp is not None and node.id == config.amqp.username:
            words = f"{node.id} is the hub's own user at the broker"
            raise parsed.complaint(("nodes", index, "id"), words, hint="rename one of both")


def _check_proxies(proxies: Sequence[str], parsed: document.Document) -> None:
    for index, proxy in enumerate(proxies):
        try:
            ip_network(proxy)
        except ValueError as error:
            raise parsed.complaint(("people", "proxies", index), f"{proxy} is no address and no network") from error


def _check_addresses(amqp: AmqpConfig, parsed: document.Document) -> None:
    for name, url in (("url", amqp.url), ("management_url", amqp.management_url), ("nodes_url", amqp.nodes_url)):
        try:
            urlsplit(url or "").port  # noqa: B018 - looked at, it raises
        except ValueError as error:
            hint = "expected SCHEME://HOST[:PORT]"
            raise parsed.complaint(("amqp", name), f"{url} is no address", hint=hint) from error


def _check_mail(smtp: SmtpConfig, parsed: document.Document) -> None:
    if (smtp.username is None) != (smtp.password is None):
        raise parsed.complaint(("alerts", "smtp"), "username and password go together", hint="set both, or neither")
    if smtp.username is not None and smtp.security == "none":
        words = "a password that would go over the line for all to read"
        raise parsed.complaint(("alerts", "smtp", "security"), words, hint="expected starttls or tls")
