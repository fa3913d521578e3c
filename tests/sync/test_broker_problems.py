"""What is said of a broker that is not reached."""

import asyncio

import pytest

from gateway.core.errors import PushError
from sync.broker.connection import Broker
from sync.edge.amqp import AmqpTransport
from sync.wire import Cursor
from tests.gateway.ports import free_port


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1:{port}", "nothing listens there"), ("broker.invalid", "its name is not found")]
)
async def test_an_address_where_no_broker_is_is_told_in_plain_words(host: str, said: str) -> None:
    url = f"amqp://{host.format(port=free_port())}"
    transport = AmqpTransport(Broker(url, "mill", "sixteen characters"))
    with pytest.raises(PushError) as refused:
        async with asyncio.timeout(20):
            await transport.push("records", Cursor("0" * 16, 0, 0), b"")
    await transport.close()
    assert str(refused.value).startswith(f"{url}: {said}")
    assert refused.value.hint
