"""`holdfast demo`: a whole site on this machine; a simulator, a gateway and a hub, each its own process."""

import asyncio
import contextlib
import secrets
import signal
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from gateway.core.credential import digest
from gateway.core.errors import HoldfastError

STOP_S = 2.5  # what does not stop within this after being asked is ended
PARTS = {
    "simulator": ("sim", "--config", "simulator.yaml"),
    "hub": ("hub", "--config", "hub.yaml"),
    "gateway": ("run", "--config", "site.yaml"),
}


def lay_out(folder: Path) -> None:
    """Put the demonstration's configuration into `folder`; the secret and the data of an earlier start stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("site.yaml", "simulator.yaml"):
        folder.joinpath(name).write_text(resources.files("config").joinpath("demo", name).read_text())
    if not folder.joinpath("hub.yaml").exists():
        secret = secrets.token_urlsafe(24)
        folder.joinpath("site_local.yaml").write_text(f"hub:\n  secret: {secret}\n")
        folder.joinpath("hub.yaml").write_text(
            f"store: hub.db\nport: 8090\nnodes:\n  - {{id: sunny-hill, secret_sha256: {digest(secret)}}}\n"
        )


async def run_demo(folder: Path, say: Callable[[str], None]) -> None:
    """Start all parts, one after the other, and end them all together. Run until SIGTERM or SIGINT.

    Raises HoldfastError where a part does not start or ends by itself.
    """
    lay_out(folder)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    parts: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name, arguments in PARTS.items():
            parts[name] = await _start(name, arguments, folder, say)
        say("everything runs; Ctrl-C stops it")
        await _first_of(stop, parts)
    finally:
        await _stop(list(parts.values()))


async def _start(
    name: str, arguments: tuple[str, ...], folder: Path, say: Callable[[str], None]
) -> asyncio.subprocess.Process:
    """Start one part in a process group of its own, and return when it says that it is ready."""
    log = folder / f"{name}.log"
    with log.open("w") as errors:
        part = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", *arguments,
            cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=errors, start_new_session=True,
        )  # fmt: skip
    assert part.stdout is not None
    ready = (await part.stdout.readline()).decode().strip()
    if not ready:
        raise HoldfastError(f"the {name} did not start: {_last_line(log)}", hint=f"all of it is in {log}")
    say(ready)
    return part


async def _first_of(stop: asyncio.Event, parts: dict[str, asyncio.subprocess.Process]) -> None:
    waits = {asyncio.ensure_future(part.wait()): name for name, part in parts.items()}
    stopped = asyncio.ensure_future(stop.wait())
    done, pending = await asyncio.wait([stopped, *waits], return_when=asyncio.FIRST_COMPLETED)
    for wait in pending:
        wait.cancel()
    if stopped not in done:
        raise HoldfastError(f"the {waits[done.pop()]} ended by itself", hint="its log is in the state folder")


async def _stop(parts: list[asyncio.subprocess.Process]) -> None:
    for part in parts:
        if part.returncode is None:
            part.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await asyncio.gather(*(part.wait() for part in parts))
    for part in parts:
        if part.returncode is None:
            part.kill()
            await part.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text().strip().splitlines()
    told = [line.removeprefix("holdfast: ") for line in lines if line.startswith("holdfast: ")]
    return (told or lines or ["it said nothing"])[-1]
