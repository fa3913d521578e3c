"""What the broker lets a node do, which is to send as itself and to hear what is meant for it; and AMQPS."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from gateway.core.errors import ConfigError, HoldfastError, PushError
from sync import wire
from sync.broker.connection import Broker, connected
from sync.broker.problems import NotConfirmed
from sync.broker.publishing import Publisher
from sync.edge.amqp import AmqpTransport
from sync.edge.transport import HubRefused
from sync.hub.intake import provision
from tests.sync.brokered import Ear, cursor, exchanging, hub_of, push, running, until
from tests.sync.rabbit import ADMIN, DEFINITIONS, HUB, NODE_SECRET, Proxy, Rabbit, provisioned
from tests.values import METER, power

LAYOUTS = msgspec.msgpack.encode(wire.Layouts([METER.encoded]))
EMPTY = msgspec.msgpack.encode(wire.Records([]))


def message(user_id: str | None = None) -> aio_pika.Message:
    return aio_pika.Message(b"", user_id=user_id)


@pytest.mark.P11
@pytest.mark.parametrize(
    "routing_key",
    [
        "nodes.other.telemetry", "nodes.other.status", "nodes.other.commands", "nodes.node.commands",
        "nodes.other.live", "nodes.nodetelemetry", "nodes.node.x.telemetry", "nodes.node.live.x",
        "x.nodes.node.telemetry", "",
    ],
)  # fmt: skip
async def test_a_node_cannot_send_with_a_key_that_is_not_its_own(rabbit: Rabbit, routing_key: str) -> None:
    async with provisioned(rabbit, "node", "other") as vhost:
        publisher = Publisher(vhost.node)
        with pytest.raises(NotConfirmed) as refused:
            await publisher.publish(message(), routing_key)
        assert refused.value.why == "denied"
        await publisher.publish(message(), "nodes.node.telemetry")  # on a channel of its own again
        await publisher.close()


@pytest.mark.P11
@pytest.mark.parametrize(("node", "other"), [("a.b", "axb"), ("a", "a.b"), ("a.b", "a"), ("A", "a")])
async def test_a_node_with_dots_in_its_name_is_only_itself(rabbit: Rabbit, node: str, other: str) -> None:
    async with provisioned(rabbit, node, other) as vhost:
        publisher = Publisher(vhost.way(node, NODE_SECRET))
        await publisher.publish(message(), f"nodes.{node}.telemetry")
        with pytest.raises(NotConfirmed, match="may not do this"):
            await publisher.publish(message(), f"nodes.{other}.telemetry")
        await publisher.close()


async def _publish(channel: AbstractChannel, exchange: str) -> None:
    await (await channel.get_exchange(exchange, ensure=False)).publish(message(), "nodes.node.telemetry")


async def _consume(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).get(fail=False)


async def _purge(channel: AbstractChannel) -> None:
    await (await channel.get_queue("ingest", ensure=False)).purge()


async def _bind(channel: AbstractChannel) -> None:
    await (await channel.get_queue("nodes.node.commands", ensure=False)).bind("nodes", "nodes.other.commands")


DEEDS: dict[str, Callable[[AbstractChannel], Awaitable[object]]] = {
    "publish past the exchange": lambda channel: channel.default_exchange.publish(message(), "ingest"),
    "publish to another exchange": lambda channel: _publish(channel, "amq.topic"),
    "read what nodes sent": lambda channel: _consume(channel, "ingest"),
    "read what nodes sent just now": lambda channel: _consume(channel, "live"),
    "read what is parked": lambda channel: _consume(channel, "parked"),
    "hear what another hears": lambda channel: _consume(channel, "nodes.other.commands"),
    "make a queue": lambda channel: channel.declare_queue("mine", durable=True),
    "make an exchange": lambda channel: channel.declare_exchange("mine"),
    "delete the hub's queue": lambda channel: channel.queue_delete("ingest"),
    "delete its own queue": lambda channel: channel.queue_delete("nodes.node.commands"),
    "empty the hub's queue": _purge,
    "have its queue get what is another's": _bind,
}


@pytest.mark.P11
@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
async def test_a_node_may_do_nothing_else_at_the_broker(
    rabbit: Rabbit, deed: Callable[[AbstractChannel], Awaitable[object]]
) -> None:
    async with provisioned(rabbit, "node", "other") as vhost, connected(vhost.node) as connection:
        with pytest.raises(ChannelAccessRefused):
            await deed(await connection.channel())


@pytest.mark.P11
async def test_the_hubs_own_user_makes_and_deletes_nothing(rabbit: Rabbit) -> None:
    async with provisioned(rabbit) as vhost, connected(vhost.hub) as connection:
        for deed in ("make a queue", "delete the hub's queue", "read what is parked", "publish past the exchange"):
            with pytest.raises(ChannelAccessRefused):
                await DEEDS[deed](await connection.channel())


@pytest.mark.P11
async def test_a_message_that_names_another_sender_is_refused(rabbit: Rabbit) -> None:
    async with provisioned(rabbit, "node", "other") as vhost, connected(vhost.node) as connection:
        exchange = await (await connection.channel()).get_exchange("nodes", ensure=False)
        with pytest.raises(ChannelPreconditionFailed):
            await exchange.publish(message("other"), "nodes.node.telemetry")


@pytest.mark.P11
async def test_the_hub_takes_nothing_of_a_user_who_has_been_given_too_much(rabbit: Rabbit, tmp_path: Path) -> None:
    """Without a topic right the broker lets a user write any key: the sender's name is checked as well."""
    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, _, hub):
        await hub.know()
        async with vhost.management() as management:
            await management.put(["users", "careless"], {"password": NODE_SECRET, "tags": ""})
            rights = {"configure": "", "write": ".*", "read": ""}
            await management.put(["permissions", vhost.name, "careless"], rights)
        pretender = Publisher(vhost.way("careless", NODE_SECRET))
        forged = transport._message("records", cursor(7, 8), EMPTY)
        for user_id in (None, "careless"):
            forged.user_id = user_id
            await pretender.publish(forged, "nodes.node.telemetry")
        await push(transport, [power(1)])
        await until(lambda: _is(hub.times(), [1]))
        audit = await hub.store._database.fetch("SELECT count(*) FROM audit WHERE cursor = ?", (str(cursor(7, 8)),))
        assert audit == [(0,)]
        await pretender.close()
        async with vhost.management() as management:
            await management.ask("DELETE", ["users", "careless"])


@pytest.mark.P11
async def test_a_node_that_the_hub_does_not_list_is_not_taken(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit, "node", "other") as vhost, hub_of(tmp_path) as hub:
        await hub.know("other")
        transport = AmqpTransport(vhost.way("other", NODE_SECRET))
        await push(transport, [power(1)])
        async with running(hub.consumer(vhost.hub).run()):
            ours = AmqpTransport(vhost.node)
            await hub.know()
            await push(ours, [power(2)])
            await until(lambda: _is(hub.times(), [2]))
            assert await hub.times("other") == []
        hub.listed.secrets["other"] = ""  # it waited at the broker
        async with running(hub.consumer(vhost.hub).run()):
            await until(lambda: _is(hub.times("other"), [1]))
        await transport.close()
        await ours.close()


@pytest.mark.P11
async def test_what_a_node_sends_that_the_hub_does_not_list_comes_to_rest_and_is_taken_when_it_is_listed(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    """Else it would go round for ever, ever more of it."""
    async with (
        provisioned(rabbit, "node", "other") as vhost,
        hub_of(tmp_path) as hub,
        connected(vhost.way(*ADMIN)) as connection,
    ):
        hub.look_soon_s = 0.05
        strangers = await (await connection.channel()).get_queue("strangers", ensure=False)
        transport = AmqpTransport(vhost.way("other", NODE_SECRET))
        async with running(hub.consumer(vhost.hub).run()):
            await push(transport, [power(1)])
            await push(transport, [power(2)])
            for _ in range(2):
                await until(lambda: _gets(strangers))
        hub.listed.secrets["other"] = ""
        heard = Ear()
        await connection.close()  # and so it gives them back
        async with running(hub.consumer(vhost.hub).run(), transport.run(heard.hear)):
            await until(lambda: bool(heard.answers))  # it asks for the layouts
            await transport.push("layouts", cursor(0, 1), LAYOUTS, live=True)
            await until(lambda: _is(hub.times("other"), [1, 2]))
        await transport.close()


async def _gets(queue: AbstractQueue) -> bool:
    return await queue.get(fail=False) is not None


@pytest.mark.P11
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"password": "wrong"}, "does not know node or its secret"),
        ({"username": "nobody"}, "does not know nobody or its secret"),
        ({"url": "/"}, "no such virtual host, or node may not use it"),
        ({"url": "/nowhere"}, "no such virtual host, or node may not use it"),
    ],
)
async def test_who_may_not_in_is_told_so_in_plain_words_without_the_secret(
    rabbit: Rabbit, changed: dict[str, str], words: str
) -> None:
    async with provisioned(rabbit) as vhost:
        url = f"amqp://127.0.0.1:{rabbit.port}{changed['url']}" if "url" in changed else vhost.node.url
        way = Broker(url, changed.get("username", "node"), changed.get("password", NODE_SECRET))
        transport = AmqpTransport(way)
        with pytest.raises(PushError, match=words) as refused:
            await push(transport, [power(1)])
        assert refused.value.hint
        assert isinstance(refused.value, HubRefused) == ("secret" in words)
        assert way.password not in str(refused.value)
        await transport.close()


async def test_amqps_trusts_the_authority_that_is_given_and_no_other(rabbit: Rabbit) -> None:
    async with provisioned(rabbit) as vhost:
        url = f"amqps://localhost:{rabbit.tls_port}/{vhost.name}"
        good = AmqpTransport(Broker(url, "node", NODE_SECRET, rabbit.tls / "ca.pem"))
        assert (await push(good, [power(1)])).cursor
        await good.close()
        for authorities in (rabbit.tls / "other.pem", None):
            bad = AmqpTransport(Broker(url, "node", NODE_SECRET, authorities))
            with pytest.raises(PushError, match="certificate is not trusted") as refused:
                await push(bad, [power(1)])
            assert "tls_ca" in refused.value.hint
            await bad.close()
        async with Proxy(rabbit.port) as plain:  # a broker, but without TLS
            bad = AmqpTransport(Broker(f"amqps://localhost:{plain.port}/", "node", NODE_SECRET, rabbit.tls / "ca.pem"))
            with pytest.raises(PushError):
                await push(bad, [power(1)])
            await bad.close()


def test_a_file_that_holds_no_certificates_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigError, match=name):
            AmqpTransport(Broker("amqps://localhost/", "node", NODE_SECRET, tmp_path / name))


async def test_provisioning_again_changes_nothing_and_a_new_secret_ends_the_old(rabbit: Rabbit, tmp_path: Path) -> None:
    async with (
        provisioned(rabbit) as vhost,
        exchanging(vhost, tmp_path) as (transport, _, hub),
        vhost.management() as management,
    ):
        await hub.know()
        await push(transport, [power(1)])
        exchange = transport._publisher._exchange
        await provision.provision(management, vhost.name, DEFINITIONS, ADMIN[0], HUB)
        await provision.provision_node(management, vhost.name, "node", NODE_SECRET)
        await push(transport, [power(2)])
        assert transport._publisher._exchange is exchange  # the connection has stayed
        await provision.provision_node(management, vhost.name, "node", "a new secret of the node")
        with pytest.raises(PushError):  # at first it may only see that the connection has ended
            await push(transport, [power(3)])
        with pytest.raises(HubRefused, match="does not know node or its secret"):
            await push(transport, [power(3)])
        renewed = AmqpTransport(vhost.way("node", "a new secret of the node"))
        await push(renewed, [power(3)])
        await renewed.close()
        await until(lambda: _is(hub.times(), [1, 2, 3]))


async def test_what_a_node_could_not_keep_is_not_dropped_however_often_it_was_delivered(rabbit: Rabbit) -> None:
    """By itself RabbitMQ 4 drops from a quorum queue what came back 20 times."""
    async with provisioned(rabbit) as vhost:
        listed = await asyncio.to_thread(rabbit.ctl, "list_queues", "-p", vhost.name, "name", "policy")
        assert {line for line in listed.splitlines() if "kept" in line} == {"nodes.node.commands\tkept until heard"}


async def test_a_broker_that_differs_from_what_is_wanted_is_left_as_it_is_and_named(rabbit: Rabbit) -> None:
    other = DEFINITIONS | {"queues": [DEFINITIONS["queues"][0] | {"arguments": {"x-queue-type": "classic"}}]}
    async with provisioned(rabbit) as vhost, vhost.management() as management:
        with pytest.raises(HoldfastError, match="inequivalent arg") as refused:
            await provision.provision(management, vhost.name, other, ADMIN[0], HUB)
        assert "delete it first" in refused.value.hint


@pytest.mark.P11
async def test_an_administrator_is_not_made_a_node(rabbit: Rabbit) -> None:
    async with provisioned(rabbit) as vhost, vhost.management() as management:
        with pytest.raises(HoldfastError, match="administrator"):
            await provision.provision_node(management, vhost.name, ADMIN[0], NODE_SECRET)


async def test_what_the_management_api_says_is_told_in_plain_words(rabbit: Rabbit) -> None:
    for url, password, words in (
        (rabbit.management, "wrong", "not signed in"),
        ("http://127.0.0.1:9", "guest", "127.0.0.1"),
    ):
        async with provision.Management(url, "guest", password) as management:
            with pytest.raises(HoldfastError, match=words) as refused:
                await management.put(["vhosts", "x"], {})
            assert refused.value.hint


async def _is(times: Awaitable[list[int]], expected: list[int]) -> bool:
    return await times == expected
