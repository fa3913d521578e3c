"""A node goes over to another secret; wherever it is cut off, it has one that the hub takes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.core.credential import digest
from gateway.core.errors import PushError, StorageError
from gateway.hubfile import HubFile
from sync import wire
from sync.edge.backoff import Backoff
from sync.edge.rotation import Rotation
from sync.edge.transport import BatchRefused, Hear, HubRefused
from sync.enrol import NewSecret
from tests.sync.parts import Eager, until

OLD = "the secret that the gateway came with"


class Hub:
    """Meets `Transport`: knows secrets as the hub does. `failing`: what goes wrong, one after the other."""

    name, kind = "hub", "https"

    def __init__(self) -> None:
        self.known = [digest(OLD)]
        self.broker = ""  # where it is not empty, the only one that is let in, as the broker's
        self.signs = OLD
        self.failing: list[str] = []

    def use(self, secret: str) -> None:
        self.signs = secret

    async def push(
        self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes, *, live: bool = False
    ) -> wire.Answer:
        await asyncio.sleep(0)
        what = self.failing.pop(0) if self.failing else ""
        if what == "away":
            raise PushError("no answer")
        if what == "refuses":
            raise BatchRefused("this hub does not know that")
        if digest(self.signs) not in ([self.broker] if self.broker else self.known):
            raise HubRefused("wrong secret")
        new = msgspec.msgpack.decode(body, type=NewSecret).sha256
        if digest(self.signs) == new:
            self.known = [new]
        elif new not in self.known:
            self.known.append(new)
        if what == "sets the broker, and the answer is lost":
            self.broker = new
        if "lost" in what:
            raise PushError("the answer was lost")
        return wire.Answer(str(cursor))

    async def run(self, hear: Hear) -> None: ...
    async def close(self) -> None: ...


class Crash(BaseException):
    """The power goes."""


class Keys(HubFile):
    """Files whose `dies`-th step, counted from 0, is the last: before it (even) or after it (odd)."""

    def __init__(self, site: Path, dies: int = 99) -> None:
        super().__init__(site)
        self._steps = dies

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise Crash

    def propose(self) -> str:
        self._step()
        secret = super().propose()
        self._step()
        return secret

    def write(self, hub: object) -> None:  # type: ignore[override]
        self._step()
        super().write(hub)  # type: ignore[arg-type]
        self._step()

    def drop(self) -> None:
        self._step()
        super().drop()
        self._step()


@asynccontextmanager
async def gateway(hub: Hub, keys: HubFile) -> AsyncIterator[Rotation]:
    """As it starts with what its files say."""
    secret = keys.read().get("secret", OLD)
    hub.signs = secret
    rotation = Rotation(secret, keys, hub, hub.use, Backoff(Eager()))
    task = asyncio.ensure_future(rotation.run())
    try:
        yield rotation
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def site(folder: Path) -> Path:
    return folder / "site.yaml"


def is_good(hub: Hub, keys: HubFile) -> bool:
    return digest(keys.read().get("secret", OLD)) in hub.known


async def test_the_secret_is_another_one_and_the_old_one_is_gone(tmp_path: Path) -> None:
    hub, keys = Hub(), HubFile(site(tmp_path))
    keys.write({"node_id": "mill", "secret": OLD})
    async with gateway(hub, keys) as rotation:
        assert await rotation.rotate() == "the gateway has another secret"
        assert keys.read()["node_id"] == "mill"
        assert keys.read()["secret"] == hub.signs != OLD
        assert is_good(hub, keys)
        assert keys.proposed() is None
        second = hub.signs
        await rotation.rotate()
        assert hub.signs != second


@pytest.mark.P2
@pytest.mark.parametrize("dies", range(6))
@pytest.mark.parametrize("trouble", [[], ["away"], ["the answer is lost"], ["sets the broker, and the answer is lost"]])
async def test_a_gateway_that_dies_at_any_step_goes_on_with_a_secret_that_the_hub_takes(
    tmp_path: Path, dies: int, trouble: list[str]
) -> None:
    hub = Hub()
    hub.failing = list(trouble)
    with pytest.raises(Crash):
        await crashes(hub, Keys(site(tmp_path), dies))
    assert is_good(hub, HubFile(site(tmp_path))) or HubFile(site(tmp_path)).proposed()
    keys = HubFile(site(tmp_path))
    async with gateway(hub, keys):
        await until(lambda: keys.proposed() is None)
        await until(lambda: digest(hub.signs) in ([hub.broker] if hub.broker else hub.known))
        assert is_good(hub, keys)


async def crashes(hub: Hub, keys: Keys) -> None:
    """The steps one after the other, as `Rotation` does them."""
    secret = keys.read().get("secret", OLD)
    rotation = Rotation(secret, keys, hub, hub.use, Backoff(Eager()))
    keys.propose()
    while True:
        try:
            await rotation._change()
        except PushError:
            continue
        raise AssertionError("it did not die")


async def test_a_hub_that_refuses_another_secret_leaves_the_old_one(tmp_path: Path) -> None:
    hub, keys = Hub(), HubFile(site(tmp_path))
    hub.failing = ["refuses"]
    async with gateway(hub, keys) as rotation:
        assert "stays as it was" in await rotation.rotate()
        assert keys.proposed() is None
        assert hub.signs == OLD


async def test_a_disk_that_takes_nothing_changes_nothing(tmp_path: Path) -> None:
    hub, keys = Hub(), HubFile(tmp_path / "gone" / "site.yaml")
    async with gateway(hub, keys) as rotation:
        with pytest.raises((StorageError, Exception), match="no folder"):
            await rotation.rotate()
        assert hub.known == [digest(OLD)]
