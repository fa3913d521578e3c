"""`holdfast enrol`: this gateway comes to a hub with a claim code."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from gateway import __version__, hardware
from gateway.config import HubLink
from gateway.controlsocket import complaint
from gateway.core.clock import SystemClock
from gateway.core.errors import ConfigError, HoldfastError
from gateway.core.wording import span_text
from gateway.hubfile import HubFile, write_private
from gateway.loadconfig import load_config, read_layers
from sync import enrol
from sync.edge import troubles
from sync.edge.tls import trust

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=30)
ANSWER_MAX = 1 << 20
FINGERPRINT = re.compile("[0-9a-f]{64}")
CLOCK_MAX_MS = 300_000
BY_STATUS = {
    403: "a code is good once and for 24 hours: have another one made on the hub's page Enrol",
    404: "check --hub: there is no hub at this address, or an older one",
    409: "have another code made on the hub's page Enrol",
    429: "wait a minute, then try the same again",
    503: "try the same again: the code is still good",
}


class Asked(msgspec.Struct, frozen=True):
    """What the command was told; files as they are reached from here."""

    code: str
    hub: str
    tls_ca: Path | None = None
    tls_fingerprint: str | None = None
    proxy: str | None = None
    ssh_key: Path | None = None
    again: bool = False


class Done(msgspec.Struct, frozen=True):
    """What came of it; `notes`: what somebody should know, in words."""

    node: str
    site: str
    file: Path
    amqp: bool
    notes: list[str]


def enrol_here(site: Path, asked: Asked) -> Done:
    """Enrol the gateway of the configuration `site`. Raises HoldfastError."""
    link = _link(asked, site.parent)
    _check(site, link, again=asked.again)
    file = HubFile(site)
    secret = file.enrolling(hashlib.sha256(f"{link['url']} {enrol.plain_code(asked.code)}".encode()).hexdigest())
    told = enrol.new_secret(secret)
    request = enrol.Enrol(
        asked.code, told.sha256, told.broker_hash, hardware.serial(), hardware.mac(),
        hardware.ssh_public_key(asked.ssh_key), __version__,
    )  # fmt: skip
    answer = asyncio.run(_ask(asked, link, request))
    notes = _notes(answer, link["url"])
    hub = link | {"node_id": answer.node, "secret": secret} | _amqp(answer, file, notes)
    try:
        msgspec.convert(hub, HubLink)
    except msgspec.ValidationError as error:
        words = f"{link['url']}: what the hub says cannot be used: {error}"
        raise HoldfastError(words, hint="update the gateway") from error
    file.enrolled(hub)
    load_config(site)
    return Done(answer.node, answer.site, file.path, "amqp" in hub, notes)


def _check(site: Path, link: Mapping[str, Any], *, again: bool) -> None:
    """That the gateway has no hub yet, and a configuration that can be used once it has. Raises ConfigError."""
    given = read_layers(site).plain().get("hub")
    if isinstance(given, dict) and "node_id" not in given:  # it says how to reach a hub, not which
        load_config(site, over=msgspec.json.encode({"hub": {**link, "node_id": "new", "secret": "0" * 16}}).decode())
        return
    config, _ = load_config(site)
    if config.hub is not None and not again:
        raise ConfigError(
            f"{site}: this gateway is node {config.hub.node_id} of {config.hub.url} already",
            hint="to enrol it anew all the same: --again",
        )


def _link(asked: Asked, folder: Path) -> dict[str, Any]:
    """The keys of `hub:` that the command was told."""
    url = asked.hub.rstrip("/")
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"--hub: {asked.hub} is no address", hint="expected https://HOST[:PORT]")
    if url.startswith("http://") and (asked.tls_ca or asked.tls_fingerprint):
        raise ConfigError("--hub: http:// is without TLS", hint="write https://")
    link: dict[str, Any] = {"url": url}
    if asked.tls_ca is not None:
        where = asked.tls_ca.resolve()
        link["tls_ca"] = str(where.relative_to(folder.resolve()) if where.is_relative_to(folder.resolve()) else where)
    if asked.tls_fingerprint is not None:
        link["tls_fingerprint"] = asked.tls_fingerprint.replace(":", "").lower()
        if not FINGERPRINT.fullmatch(link["tls_fingerprint"]):
            hint = "expected 64 hexadecimal digits: openssl x509 -in hub.pem -noout -fingerprint -sha256"
            raise ConfigError(f"--tls-fingerprint: {asked.tls_fingerprint} is no SHA-256", hint=hint)
    if asked.proxy is not None:
        link["proxy"] = asked.proxy
    return link


async def _ask(asked: Asked, link: dict[str, Any], request: enrol.Enrol) -> enrol.Enrolled:
    """Raises HoldfastError."""
    url = link["url"]
    connector = aiohttp.TCPConnector(ssl=trust(asked.tls_ca, link.get("tls_fingerprint")))
    headers = {"Content-Type": "application/json"}
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=asked.proxy is None) as session,
            session.post(
                url + enrol.PATH, data=msgspec.json.encode(request), headers=headers, allow_redirects=False,
                proxy=asked.proxy,
            ) as response,
        ):  # fmt: skip
            status, body = response.status, await response.content.read(ANSWER_MAX)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        found = troubles.explained(error, url, asked.proxy, SystemClock().wall_ms())
        hint = f"{found.hint}; then try the same again: the code is still good, or was taken by this gateway"
        raise HoldfastError(str(found), hint=hint) from error
    if status != 200:
        words = complaint(body) or f"not a hub, or none that enrols gateways, answers ({status})"
        raise HoldfastError(f"{url}: {words}", hint=BY_STATUS.get(status, "check --hub"))
    try:
        return msgspec.json.decode(body, type=enrol.Enrolled)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        hint = "open a web page from here: a sign-in page or a proxy may stand before the hub"
        raise HoldfastError(f"{url}: not a hub answers", hint=hint) from error


def _amqp(answer: enrol.Enrolled, file: HubFile, notes: list[str]) -> dict[str, Any]:
    """The keys of `hub:` for the broker, where there is one that this gateway can speak to."""
    if answer.amqp is None:
        return {}
    if find_spec("aio_pika") is None:
        notes.append("the hub has a broker, too, which wants the extra `amqp` of Holdfast; readings go by HTTPS")
        return {}
    amqp = {"url": answer.amqp.url}
    if answer.amqp.ca:
        ca = file.path.with_name(f"{file.path.stem}_broker.pem")
        write_private(ca, answer.amqp.ca)
        amqp["tls_ca"] = ca.name
    return {"transport": "auto", "amqp": amqp}


def _notes(answer: enrol.Enrolled, url: str) -> list[str]:
    notes = []
    off_ms = SystemClock().wall_ms() - answer.now
    if abs(off_ms) > CLOCK_MAX_MS:
        notes.append(
            f"this machine's clock is {span_text(off_ms)} {'ahead of' if off_ms > 0 else 'behind'} the hub's: "
            "let it reach a time server (NTP)"
        )
    if url.startswith("http://"):
        notes.append("http:// is not encrypted: whoever listens on the way can send as this gateway")
    return notes
