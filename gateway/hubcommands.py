"""The commands of `holdfast hub` beside running it."""

from pathlib import Path

import click

from gateway.amqpcommands import amqp_provision

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CONFIG = click.option("--config", "hub", type=FILE, required=True, help="The hub's configuration, hub.yaml.")

VERBS: tuple[click.Command, ...] = (amqp_provision,)
