"""A link that comes back is noticed at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.linkwatch import port_is_back
from tests.needs import needs

WATCHER = """
import asyncio, subprocess
from gateway import linkwatch
linkwatch.SETTLE_S = 0.01

async def main():
    back = asyncio.Event()
    task = asyncio.ensure_future(linkwatch.watch(back.set))
    await asyncio.sleep(0)
    steps = ["link add one type veth peer name two", "link set one up", "link set two up"]
    for step in steps:
        subprocess.run(["ip", *step.split()], check=True)
    await asyncio.wait_for(back.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    print("back")

asyncio.run(main())
"""


def test_a_network_link_that_comes_up_is_told() -> None:
    needs("ip", "iproute2")
    needs("unshare", "util-linux")
    if os.geteuid():
        pytest.skip("only root may make a network namespace")
    root = Path(__file__).parents[2]
    command = [shutil.which("unshare") or "unshare", "-n", sys.executable, "-c", WATCHER]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "back\n", done.stderr


def test_of_all_device_events_only_a_new_serial_port_counts() -> None:
    event = b"add@/devices/usb1/1-1/ttyUSB0\0ACTION=add\0SUBSYSTEM=tty\0DEVNAME=ttyUSB0\0"
    assert port_is_back(event)
    assert not port_is_back(event.replace(b"add", b"remove"))
    assert not port_is_back(event.replace(b"=tty\0", b"=input\0"))
