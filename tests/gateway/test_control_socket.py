"""The socket by which the machine's own commands reach the gateway that runs."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from gateway.controlsocket import ask, listening, socket_path
from gateway.core.credential import digest
from gateway.core.errors import HoldfastError
from gateway.core.status import SyncState
from gateway.running import serve
from local_ui.app import build_app
from tests.gateway.ports import free_port
from tests.local_ui.parts import FakeSite


@asynccontextmanager
async def gateway(site: Path) -> AsyncIterator[str]:
    """The page on both its doors; yields its address on the network."""
    app = build_app(FakeSite(), password_sha256=digest("the page's password"))
    with listening(socket_path(site)) as control:
        assert control is not None
        async with serve(app, "127.0.0.1", free_port(), control=control) as address:
            yield address


async def asked(site: Path, method: str, route: str, body: bytes | None = None) -> bytes | None:
    return await asyncio.to_thread(ask, site, method, route, body)


@pytest.mark.P11
async def test_commands_need_no_password_and_the_network_still_does(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    async with gateway(site) as address, aiohttp.ClientSession() as client:
        answer = await asked(site, "GET", "/api/v1/sync")
        assert answer is not None
        assert msgspec.json.decode(answer, type=SyncState).hub == "https://hub.example"
        assert (await client.get(f"{address}api/v1/sync")).status == 401


@pytest.mark.P11
def test_only_the_gateways_own_user_may_open_the_socket_from_its_first_moment(tmp_path: Path) -> None:
    path, before = tmp_path / "site.yaml.sock", os.umask(0)
    try:
        with listening(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert not path.exists()


async def test_a_socket_that_a_killed_process_has_left_is_replaced(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(socket_path(site)))
    left.close()
    assert await asked(site, "GET", "/healthz") is None
    async with gateway(site):
        assert await asked(site, "GET", "/healthz") is not None
    assert await asked(site, "GET", "/healthz") is None


def test_what_somebody_listens_at_or_is_no_socket_stays_and_the_gateway_does_without(tmp_path: Path) -> None:
    taken, file = tmp_path / "taken.sock", tmp_path / "file.sock"
    file.write_text("somebody's")
    with listening(taken) as first:
        assert first is not None
        first.listen()
        with listening(taken) as second, listening(file) as third:
            assert (second, third) == (None, None)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(taken))
    assert file.read_text() == "somebody's"


async def test_a_path_longer_than_the_kernel_takes_for_sockets_is_reached_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*(20 * ["a_long_name_of_a_folder"]))
    folder.mkdir(parents=True)
    async with gateway(folder / "site.yaml"):
        assert await asked(folder / "site.yaml", "GET", "/healthz") is not None


async def test_what_the_gateway_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    async with gateway(site):
        with pytest.raises(HoldfastError, match="this site has no hub"):
            await asked(site, "POST", "/api/v1/sync/compare", b"{}")
        with pytest.raises(HoldfastError, match="404 Not Found"):
            await asked(site, "GET", "/nothing")


async def test_a_gateway_that_goes_away_amid_a_question_is_an_error_and_not_silence(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "site.yaml.sock")
    async with server:
        with pytest.raises(HoldfastError, match="does not answer"):
            await asked(tmp_path / "site.yaml", "GET", "/healthz")


@pytest.mark.P11
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_is_told_to_run_it_as_the_gateways_user(tmp_path: Path) -> None:
    question = (
        "import os, sys, pathlib; from gateway.controlsocket import ask; os.setuid(65534)\n"
        "try: ask(pathlib.Path(sys.argv[1]), 'GET', '/healthz')\n"
        "except Exception as error: print(error.hint)"
    )
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    async with gateway(tmp_path / "site.yaml"):
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", question, tmp_path / "site.yaml"], capture_output=True, text=True
        )
    assert done.stdout == "run this as the user that the gateway runs as\n"
