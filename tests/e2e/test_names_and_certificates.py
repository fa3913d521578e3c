"""A gateway that does not find its hub's name, or whose clock makes the hub's certificate look wrong."""

import shutil
import subprocess
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.parts import part, until
from tests.e2e.site import Site, ended_alike, hub
from tests.e2e.test_true_time import faketime
from tests.faults.proxy import Fault, Proxy
from tests.needs import lacks
from tests.stored import everything
from tests.sync.certificates import Authority

TEN_YEARS_S = 10 * 365 * 86400
# Its own view of two files, whose content the test changes while it runs.
OWN_NAMES = 'mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec "$@"'


def allowed(*words: str) -> bool:
    tried = subprocess.run([*words, "mount --bind /etc/hosts /etc/hosts"], check=False, capture_output=True)
    return not tried.returncode


def own_names() -> tuple[str, ...]:
    """The words by which a program gets its own /etc/hosts. Skips the test where that is not allowed."""
    words = ("unshare", "--map-root-user", "--mount", "sh", "-c")
    if shutil.which("unshare") is None or not allowed(*words):
        lacks("a mount namespace of our own (unshare --mount)", "util-linux")
    return (*words, OWN_NAMES, "sh")


@pytest.mark.P1
async def test_a_hub_whose_name_is_not_found_gets_everything_once_it_is_and_once_it_has_moved(tmp_path: Path) -> None:
    before = own_names()
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")  # nobody is there
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(hub(tmp_path))
        first = await stack.enter_async_context(Proxy(at))
        second = await stack.enter_async_context(Proxy(at, host="127.0.0.2", port=first.port))
        site = Site(tmp_path, f"http://hub.test:{first.port}")
        await stack.enter_async_context(part(tmp_path, "sim", "simulator.yaml"))
        async with site.gateway(*before) as running:
            await running.polls(10)
            said = (await running.state())["sync"]
            assert not said["connected"]
            assert "hub.test" in said["error"]
            hosts.write_text("127.0.0.1 localhost hub.test\n")
            await running.reaches_the_hub()
            hosts.write_text("127.0.0.1 localhost\n")
            await first.turn(Fault(away=True))
            await until(lambda s: not s["sync"]["connected"], running.state)
            await running.polls(10)
            hosts.write_text("127.0.0.1 localhost\n127.0.0.2 hub.test\n")
            await running.reaches_the_hub()
            assert second.met
        site.config["hub"]["url"] = second.url
        await site.brings_the_rest()
    async with ended_alike(tmp_path):
        pass


@pytest.mark.P5
@pytest.mark.parametrize("ahead_s", [TEN_YEARS_S, 100 - time.time()], ids=["expired, it seems", "in 1970"])
async def test_a_wrong_clock_that_spoils_the_certificate_delays_readings_and_loses_none(
    tmp_path: Path, ahead_s: float
) -> None:
    environment = faketime(tmp_path)
    clock = tmp_path / "clock"
    clock.write_text(f"{ahead_s:+.0f}")
    authority = Authority(tmp_path)
    begin_ms = time.time_ns() // 1_000_000
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(hub(tmp_path))
        proxy = await stack.enter_async_context(Proxy(at, tls=authority.sign("hub").server()))
        site = Site(tmp_path, proxy.url, tls_ca=authority.file.name)
        await stack.enter_async_context(part(tmp_path, "sim", "simulator.yaml"))
        async with site.gateway(**environment) as running:
            await running.polls(10)
            await until(lambda s: s["sync"]["error"], running.state)
            said = (await running.state())["sync"]
            assert not said["connected"]
            assert "certificate" in said["error"]
            assert "clock" in said["error"]
            clock.write_text("+0")
            await running.reaches_the_hub()
        await site.brings_the_rest()
    async with ended_alike(tmp_path) as (buffer, _):
        times = [record.ts for record in await everything(buffer)]
        assert begin_ms <= min(times)
        assert max(times) <= time.time_ns() // 1_000_000
