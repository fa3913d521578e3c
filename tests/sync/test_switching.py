"""The way to the hub changes where one does not get through, and changes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from gateway.core.errors import PushError
from sync.edge.switching import RETURN_MAX_S, RETURN_S, SwitchingTransport
from sync.edge.transport import BatchRefused, BatchTooLarge, Hear, HubBusy, HubRefused, LaneFull, LayoutsWanted
from sync.wire import Answer, BatchType, Cursor
from tests.virtual import go_on, run_virtually

CURSOR = Cursor("0123456789abcdef", 0, 1)


class Way:
    """Meets `Transport`; fails with `error` while there is one."""

    def __init__(self, kind: str, error: PushError | None = None) -> None:
        self.name, self.kind = f"{kind}://hub", kind
        self.error = error
        self.pushed: list[str] = []
        self.asked = 0
        self.words: asyncio.Queue[Answer] = asyncio.Queue()
        self.is_heard = False

    async def push(self, batch_type: BatchType, cursor: Cursor, body: bytes, *, live: bool = False) -> Answer:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.pushed.append(str(cursor))
        return Answer(str(cursor))

    async def run(self, hear: Hear) -> None:
        self.is_heard = True
        try:
            while True:
                await hear(await self.words.get())
        finally:
            self.is_heard = False

    async def close(self) -> None:
        pass


def ways(amqp: PushError | None = None, https: PushError | None = None) -> tuple[Way, Way, SwitchingTransport]:
    first, second = Way("amqp", amqp), Way("https", https)
    return first, second, SwitchingTransport(first, second, Random(0))


async def push(transport: SwitchingTransport) -> Answer:
    return await transport.push("records", CURSOR, b"")


@asynccontextmanager
async def running(transport: SwitchingTransport, heard: list[Answer]) -> AsyncIterator[None]:
    async def hear(answer: Answer) -> None:
        await go_on(1)  # as to keep it takes a while
        heard.append(answer)

    task = asyncio.create_task(transport.run(hear))
    await go_on(0)
    await go_on(0)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.P2
@pytest.mark.parametrize("why", [PushError("no route"), HubRefused("access refused"), HubBusy("the queue is full", 0)])
async def test_a_batch_that_one_way_does_not_bring_goes_by_the_other_at_once(why: PushError) -> None:
    amqp, https, transport = ways(why)
    assert (await push(transport)).cursor == str(CURSOR)
    assert (transport.kind, transport.name, amqp.pushed) == ("https", "https://hub", [])
    await push(transport)
    assert (amqp.asked, len(https.pushed)) == (1, 2)
    https.error, amqp.error = PushError("no name"), None
    await push(transport)
    assert transport.kind == "amqp"


@pytest.mark.parametrize("word", [LayoutsWanted(["00"]), BatchRefused(""), BatchTooLarge(""), HubBusy("", 5)])
async def test_what_the_hub_says_to_a_batch_it_says_on_each_way(word: PushError) -> None:
    _, https, transport = ways(word)
    with pytest.raises(type(word)):
        await push(transport)
    assert (transport.kind, https.asked) == ("amqp", 0)
    _, _, transport = ways(PushError("no route"), word)
    with pytest.raises(type(word)):
        await push(transport)
    assert transport.kind == "https", "the hub was reached there"


@pytest.mark.parametrize(
    ("amqp", "https", "kind"),
    [
        (PushError("no route"), PushError("no name", hint="check DNS"), PushError),
        (HubRefused("no"), PushError("no name", hint="check DNS"), PushError),
        (HubBusy("full", 0), PushError("no name", hint="check DNS"), PushError),
        (HubRefused("no"), HubRefused("no name", hint="check DNS"), HubRefused),
    ],
)
async def test_where_no_way_leads_both_are_told(amqp: PushError, https: PushError, kind: type[PushError]) -> None:
    _, _, transport = ways(amqp, https)
    with pytest.raises(PushError) as caught:
        await push(transport)
    assert type(caught.value) is kind
    assert (str(caught.value), caught.value.hint) == (f"amqp: {amqp}; https: no name", "check DNS")
    assert transport.kind == "amqp"


@pytest.mark.P4
async def test_a_full_lane_is_no_more_than_that_where_the_other_way_is_shut() -> None:
    _, _, transport = ways(LaneFull("the queue is full"), PushError("no name"))
    with pytest.raises(LaneFull, match="amqp: the queue is full; https: no name"):
        await push(transport)


def test_the_preferred_way_is_taken_again_when_it_is_open() -> None:
    async def story() -> None:
        amqp, _, transport = ways(PushError("no route"))
        async with running(transport, []):
            await push(transport)
            await go_on(RETURN_S)
            assert (transport.kind, amqp.asked) == ("https", 2)
            amqp.error = None
            await go_on(2 * RETURN_S)
            assert (transport.kind, amqp.pushed) == ("amqp", [f"{'0' * 16}:0-0"])

    run_virtually(story())


def test_a_way_that_stays_shut_is_looked_at_ever_less() -> None:
    async def story() -> None:
        amqp, _, transport = ways(PushError("no route"))
        async with running(transport, []):
            await push(transport)
            await go_on(86400)
        assert 86400 / RETURN_MAX_S <= amqp.asked <= 2 * 86400 / RETURN_MAX_S + 10

    run_virtually(story())


def test_a_way_that_seems_open_and_takes_nothing_is_tried_ever_less() -> None:
    """As a broker whose queue is full: it has room for a look, and none for a batch."""

    class Full(Way):
        async def push(self, batch_type: BatchType, cursor: Cursor, body: bytes, *, live: bool = False) -> Answer:
            if cursor.hi > cursor.lo:
                self.asked += 1
                raise HubBusy("the queue is full", 0)
            return Answer(str(cursor))

    async def story() -> None:
        amqp, https = Full("amqp"), Way("https")
        transport = SwitchingTransport(amqp, https, Random(0))
        async with running(transport, []):
            for _ in range(8640):
                await push(transport)
                await go_on(10)
        assert amqp.asked <= 2 * 86400 / RETURN_MAX_S + 10
        assert len(https.pushed) == 8640

    run_virtually(story())


def test_a_way_that_was_open_for_long_is_looked_at_soon_when_it_fails_again() -> None:
    async def story() -> None:
        amqp, _, transport = ways(PushError("no route"))
        async with running(transport, []):
            await push(transport)
            await go_on(86400)
            amqp.error = None
            await go_on(RETURN_MAX_S + 1)
            assert transport.kind == "amqp"
            await go_on(RETURN_MAX_S + 1)
            amqp.error = PushError("no route")
            await push(transport)
            amqp.error = None
            await go_on(RETURN_S)
            assert transport.kind == "amqp"

    run_virtually(story())


@pytest.mark.P8
def test_the_way_that_carries_is_listened_to_and_what_is_being_heard_is_heard_to_its_end() -> None:
    async def story() -> None:
        amqp, https, transport = ways()
        heard: list[Answer] = []
        async with running(transport, heard):
            assert (amqp.is_heard, https.is_heard) == (True, False)
            amqp.words.put_nowait(Answer("by amqp"))
            await go_on(0.5)
            amqp.error = PushError("no route")
            await push(transport)
            await go_on(2)
            assert (amqp.is_heard, https.is_heard) == (False, True)
            https.words.put_nowait(Answer("by https"))
            await go_on(2)
        assert [answer.cursor for answer in heard] == ["by amqp", "by https"]

    run_virtually(story())
