"""What a node that means harm can put into a message: the hub goes on with those of the others."""

import struct
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pamqp.encode
import pytest

from sync.broker.connection import connected
from sync.edge.amqp import AmqpTransport
from tests.sync.brokered import hub_of, push, running, until
from tests.sync.rabbit import NODE_SECRET, Rabbit, provisioned
from tests.values import power

SPOILT = "SPOILT"  # becomes bytes that are no UTF-8
SENT = 20  # more than a hub has in hand at once


def spoilt_text(value: str) -> bytes:
    text = value.encode().replace(SPOILT.encode(), b"\xff" * len(SPOILT))
    return bytes([len(text)]) + text


def far_away(value: datetime) -> bytes:
    return struct.pack(">Q", 1 << 62)


def spoilt(what: str) -> aio_pika.Message:
    message = aio_pika.Message(b"", user_id="other", headers={"X-Batch-Type": "records"})
    if what == "time":
        message.timestamp = datetime.now(UTC)
    elif what == "time in a header":
        message.headers["when"] = datetime.now(UTC)
    elif what == "name of a header":
        message.headers[SPOILT] = 1
    else:
        setattr(message, what, SPOILT)
    return message


@pytest.mark.P11
@pytest.mark.parametrize("what", ["time", "time in a header", "name of a header", "message_id", "reply_to", "type"])
async def test_a_message_that_cannot_be_read_stops_nobody_else(
    rabbit: Rabbit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async with (
        provisioned(rabbit, "node", "other") as vhost,
        hub_of(tmp_path, "node", "other") as hub,
        running(hub.consumer(vhost.hub).run()),
        connected(vhost.way("other", NODE_SECRET)) as connection,
    ):
        await hub.know()
        transport = AmqpTransport(vhost.node)
        exchange = await (await connection.channel()).get_exchange("nodes", ensure=False)
        with monkeypatch.context() as patched:
            patched.setitem(pamqp.encode.METHODS, "timestamp", far_away)
            patched.setattr(pamqp.encode, "timestamp", far_away)
            patched.setitem(pamqp.encode.METHODS, "shortstr", spoilt_text)
            patched.setattr(pamqp.encode, "short_string", spoilt_text)
            for _ in range(SENT):
                await exchange.publish(spoilt(what), "nodes.other.telemetry")
        await push(transport, [power(1)])

        async def taken() -> bool:
            return await hub.times() == [1]

        await until(taken)
        await transport.close()
