"""Upkeep goes on, whatever one of its steps meets."""

import pytest

from gateway.buffer.upkeep import Upkeep
from gateway.core.errors import StorageError


async def test_a_step_that_fails_keeps_neither_the_others_nor_the_gateway_from_going_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    async def full() -> bool:
        raise StorageError("the disk is full")

    async def wrong() -> bool:
        raise ZeroDivisionError("a bug of ours")

    async def good() -> bool:
        done.append("good")
        return len(done) < 2

    await Upkeep([full, wrong, good]).round()
    assert done == ["good", "good"]
    assert "a bug of ours" in caplog.text
