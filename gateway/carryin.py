"""`holdfast hub import`: a file of batches into the hub, through its door where it runs, else into its store."""

import ssl
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from gateway.controlsocket import complaint
from gateway.core.authorities import trusting
from gateway.core.clock import SystemClock
from gateway.core.errors import CodecError, HoldfastError
from gateway.hubapp import load_hub_config
from gateway.newfile import new_file
from sync import carry
from sync.hub.config import HubConfig
from sync.hub.enrol.registry import Registry
from sync.hub.intake.carry import CarryIn
from sync.hub.intake.door import Door
from sync.hub.store.opening import open_store
from sync.wire import Answer

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where the hub listens that listens everywhere


class Imported(NamedTuple):
    node: str
    new: int
    known: int
    rejected: int
    refused: int  # batches


async def take(hub: Path, file: Path, receipt: Path, *, force: bool) -> Imported:
    """Bring `file` to the hub of this configuration, and its receipt to `receipt`. Raises HoldfastError."""
    config = load_hub_config(hub)
    with new_file(receipt, force=force) as part:
        try:
            found = await _over_http(config, hub.parent, file)
            if found is None:
                found = await _into_the_store(config, hub.parent, file)
        except CodecError as error:
            raise CodecError(f"{file}: {error}", hint=error.hint) from error
        part.write_bytes(found[0])
        return _told(part, found[1])


async def _over_http(config: HubConfig, folder: Path, file: Path) -> tuple[bytes, int] | None:
    """None: no hub runs here."""
    tls = _tls(folder / config.tls_cert) if config.tls_cert else None
    host = ANY.get(config.host, config.host)
    url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{config.port}{carry.PATH}"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    try:
        connector = aiohttp.TCPConnector(ssl=tls or True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            with file.open("rb") as body:
                async with session.post(url, data=body) as response:
                    answer = await response.read()
                    if response.status == 200 and answer.startswith(carry.MAGIC):
                        return answer, int(response.headers.get("X-Refused", 0))
                    raise HoldfastError(f"{file}: {complaint(answer) or f'{url} answers {response.status}'}")
    except aiohttp.ClientConnectorError:
        return None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise HoldfastError(f"{url}: {error}", hint="import it again: what is there already is kept once") from error


def _tls(certificate: Path) -> ssl.SSLContext:
    """Trusts the hub's own certificate, whoever signed it. Raises ConfigError."""
    tls = trusting(certificate, "tls_cert")
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    tls.check_hostname = False  # it is for the name by which others reach the hub
    return tls


async def _into_the_store(config: HubConfig, folder: Path, file: Path) -> tuple[bytes, int]:
    async with AsyncExitStack() as stack:
        store = await open_store(config.store, folder)
        stack.push_async_callback(store.close)
        clock = SystemClock()
        registry = Registry(store.sql, clock)
        await registry.take_file(config.nodes)
        carry_in = CarryIn(Door(store, clock), registry, clock)
        receipt, refused = await carry_in.take(stack.enter_context(file.open("rb")))
        for why in refused:
            print(f"not taken: {why}", file=sys.stderr)  # noqa: T201 - a command's own words
        return receipt, len(refused)


def _told(part: Path, refused: int) -> Imported:
    with part.open("rb") as file:
        node = carry.opening(file).node
        batches = list(carry.read(file, None, "receipt"))
    answers = [msgspec.json.decode(one.body, type=Answer) for one in batches if one.type == "records"]
    return Imported(
        node,
        sum(answer.accepted for answer in answers),
        sum(answer.duplicate for answer in answers),
        sum(len(answer.rejected) for answer in answers),
        refused,
    )
