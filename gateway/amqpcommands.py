"""`holdfast hub amqp-provision`: makes the broker ready for hub and nodes."""

import asyncio
import json
import sys
from importlib import resources
from pathlib import Path

import click

from gateway.core import credential
from gateway.core.errors import ConfigError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("amqp-provision")
@click.option("--config", "file", type=FILE, required=True, help="The hub's configuration, hub.yaml.")
@click.option("--admin", default="guest", show_default=True, help="An administrator of the broker.")
@click.option("--node", help="Make this node's user, rights and queue, too; its secret is asked for.")
@click.option("--retire", is_flag=True, help="Take the node's user and queue away instead.")
def amqp_provision(file: Path, admin: str, node: str | None, retire: bool) -> None:
    """Make the broker ready for the hub and its nodes, through its management API.

    What is there already stays; a node whose secret is another than before must use the new one from then on. Passwords
    are asked for; where standard input is no terminal, they are read from it, one a line.
    """
    from gateway.hubapp import load_hub_config
    from sync.broker.connection import Broker
    from sync.hub.intake import provision

    config = load_hub_config(file)
    if config.amqp is None or config.amqp.management_url is None:
        raise ConfigError(f"{file}: no amqp.management_url", hint="the address of the broker's management API")
    if retire and node is None:
        raise click.UsageError("--retire needs --node")
    amqp, url = config.amqp, config.amqp.management_url
    authorities = file.parent / amqp.tls_ca if amqp.tls_ca else None
    vhost = Broker(amqp.url, amqp.username, "").vhost
    password = _ask(f"Password of {admin} at the broker")
    known = {one.id: one.secret_sha256 for one in config.nodes}
    secret = _secret(node, known, file) if node is not None and not retire else ""
    definitions = json.loads(resources.files("config").joinpath("rabbitmq", "definitions.json").read_text())

    async def run() -> None:
        async with provision.Management(url, admin, password, authorities) as management:
            if node is not None and retire:
                await provision.retire_node(management, vhost, node)
                return
            hub = (amqp.username, amqp.password)
            await provision.provision(management, vhost, definitions, admin, hub, known)
            if node is not None:
                await provision.provision_node(management, vhost, node, secret)

    asyncio.run(run())
    done = f"; node {node} is {'gone' if retire else 'ready'}" if node else ""
    click.echo(f"{url}: virtual host {vhost} is ready{done}")


def _secret(node: str, known: dict[str, str], file: Path) -> str:
    """The node's secret, which is that of its entry. Raises ConfigError."""
    if node not in known:
        raise ConfigError(f"{file}: no node {node}", hint="add it to nodes: first")
    secret = _ask(f"Secret of {node}")
    if not credential.matches(secret, known[node]):
        raise ConfigError(f"{file}: nodes: secret_sha256 of {node} is not of this secret",
                          hint=f"for this secret: secret_sha256: {credential.digest(secret)}")  # fmt: skip
    return secret


def _ask(what: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True))
    return sys.stdin.readline().rstrip("\n")
