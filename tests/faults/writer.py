"""Loads buffers in every way that a gateway does, each in a process of its own, until that is killed.

Reads orders as JSON lines and prints what is acknowledged. The processes are forked from one that has
imported everything: hundreds of them are then a matter of seconds. See `writers.py`.
"""

import asyncio
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.faults import load
from tests.intake.parts import Side, side


def say(what: str, number: int) -> None:
    """One write, so that a line is there whole or not at all."""
    os.write(1, f"{what} {number}\n".encode())


async def poll(gateway: Side, number: int) -> None:
    """Rounds of polls from `number` on, as the buses bring them: several layouts, an event, spans."""
    buffer = gateway.buffer
    while True:
        following = number + load.AT_ONCE
        for layout in load.POLLED:
            buffer.put(layout, [load.polled(layout, n) for n in range(number, following)])
        buffer.put_event(load.counted(number))
        buffer.keep_spans("records", load.left_over(following))
        await buffer.flushed()
        number = following
        say("polled", number)


async def push(gateway: Side, number: int) -> None:
    """A device that sends from `number` on, each body when the one before was acknowledged."""
    while True:
        await gateway.push(load.body(number))
        number += load.PUSHED_AT_ONCE
        say("pushed", number)


async def keep_up(gateway: Side) -> None:
    while True:
        await gateway.buffer.upkeep.round()
        await asyncio.sleep(0.005)


async def write(folder: Path, polled: int, pushed: int, synchronous: str, checkpoint: int) -> None:
    async with side(folder) as gateway:
        await gateway.buffer._database._writer.execute(f"PRAGMA synchronous = {synchronous}")
        await gateway.buffer._database._writer.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(poll(gateway, polled))
            tasks.create_task(push(gateway, pushed))
            tasks.create_task(keep_up(gateway))


def obey(order: dict[str, Any]) -> None:
    """Fork a writer, say its process id, wait for its end and for a line more."""
    child = os.fork()
    if not child:
        try:
            asyncio.run(write(Path(order.pop("folder")), **order))
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    say("writer", child)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it keeps its id until the next order: no other can be killed
    say("ended", child)
    sys.stdin.readline()
    os.waitpid(child, 0)


if __name__ == "__main__":
    while line := sys.stdin.readline():
        obey(json.loads(line))
