"""Names are looked up without holding anything up."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.bus.resolve import address_of
from gateway.core.errors import DeviceError
from tests.needs import needs

STOPPED = """
import asyncio, threading
from drivers.bus.channel import TcpChannel

async def main():
    asking = asyncio.ensure_future(TcpChannel("meter.example", 502).open(asyncio.Protocol()))
    while not any(thread.name == "resolve meter.example" for thread in threading.enumerate()):
        await asyncio.sleep(0)
    print(await asyncio.to_thread(lambda: "the pool is free"), flush=True)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

asyncio.run(main())
print("stopped", flush=True)
"""


async def test_an_address_is_itself_and_a_name_is_looked_up() -> None:
    assert await address_of("127.0.0.1", 502) == "127.0.0.1"
    assert await address_of("::1", 502) == "::1"
    assert await address_of("localhost", 502) in ("127.0.0.1", "::1")


@pytest.mark.parametrize("name", ["no.such.name.invalid", "a..b", "x" * 70 + ".example"])
async def test_a_name_that_leads_nowhere_says_so(name: str) -> None:
    with pytest.raises(DeviceError, match=name[:20]):
        async with asyncio.timeout(30):
            await address_of(name, 502)


def test_a_dead_name_server_holds_up_neither_the_pool_of_threads_nor_the_end(tmp_path: Path) -> None:
    """In a namespace whose only name server never answers; the lookup itself would take a minute."""
    needs("unshare", "util-linux")
    needs("ip", "iproute2")
    if os.geteuid():
        pytest.skip("only root may make a network namespace")
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    (tmp_path / "resolv.conf").write_text("nameserver 10.99.0.2\noptions timeout:30 attempts:2\n")
    setup = (
        f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && ip link set lo up && "
        "ip link add one type veth peer name two && ip addr add 10.99.0.1/24 dev one && ip link set one up && "
        "ip link set two up && ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev one && "
        f"exec {sys.executable} {script}"
    )
    command = [shutil.which("unshare") or "unshare", "-m", "-n", "sh", "-c", setup]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=env)
    assert done.stdout.splitlines() == ["the pool is free", "stopped"], done.stderr
