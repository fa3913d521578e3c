"""What things are called at the broker, by both ends.

A node publishes to the topic exchange `nodes` with the key nodes.ID.live (new records, layouts, events),
nodes.ID.telemetry (the backlog's records, ledger) or nodes.ID.status (heartbeat, sign of life); the hub answers with
the key nodes.ID.commands, which a queue of that name is bound to. The broker lets a node use its own keys only, so the
key says who sent a message. Headers are those of the HTTP door. With the key nodes.ID.stranger the hub puts aside what
a node sends that it does not list.
"""

import re

NODE = "[A-Za-z0-9._-]{1,64}"
EXCHANGE = "nodes"
INGEST, LIVE, STATUS, STRANGERS = "ingest", "live", "status", "strangers"  # the hub's queues
TELEMETRY_KEY, LIVE_KEY, STATUS_KEY, COMMANDS_KEY = "telemetry", "live", "status", "commands"
STRANGER_KEY = "stranger"
NODE_KEYS = f"{TELEMETRY_KEY}|{LIVE_KEY}|{STATUS_KEY}"  # those that a node sends with


def key(node: str, what: str) -> str:
    """The routing key, or the name of the node's queue."""
    return f"nodes.{node}.{what}"


def node_of(routing_key: str) -> str | None:
    """Whose message it is; None: nobody's who may send."""
    match = re.fullmatch(rf"nodes\.({NODE})\.({NODE_KEYS}|{STRANGER_KEY})", routing_key)
    return match[1] if match else None
