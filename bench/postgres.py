"""A PostgreSQL server of our own: in a folder of its own, on a socket there, gone when the context ends."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

OTHER = os.environ.get("HOLDFAST_POSTGRES_BIN")  # the programs of another build, as one with extensions
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
if OTHER:
    PROGRAMS = [Path(OTHER)]
READY_TRIES = 600  # of pg_isready, some 10 ms each


class Server:
    """One that can be stopped and started again; its databases are in `folder`."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self._folder = folder
        self._settings = [word for setting in settings for word in ("-c", setting)]
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", folder / "data", "-A", "trust", "-U", "holdfast", "--no-locale", "-E", "UTF8", "-N")

    def start(self) -> None:
        """It takes connections when this returns. Raises RuntimeError with its log where it does not start."""
        log = self._folder / "log"
        with log.open("ab") as errors:
            command = self._command("postgres", "-D", self._folder / "data", "-k", self._folder, *self._settings)
            command += ["-c", "listen_addresses="]
            self._process = subprocess.Popen(command, cwd="/", stdout=errors, stderr=errors, start_new_session=True)
        for _ in range(READY_TRIES):
            if self._process.poll() is not None:
                break
            if not subprocess.run([PROGRAMS[-1] / "pg_isready", "-q", "-h", self._folder], check=False).returncode:
                return
        raise RuntimeError("PostgreSQL does not start:\n" + log.read_text(errors="replace")[-2000:])

    @property
    def pid(self) -> int:
        """Of the process that all others of the server descend from, while it runs."""
        assert self._process is not None
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once and in order; may be called again."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    async def database(self, name: str) -> str:
        """The address of a new, empty database."""
        connection = await asyncpg.connect(self.address("postgres"))
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        return self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://holdfast@/{name}?host={self._folder}"

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(self._command(program, *arguments), cwd="/", check=True, stdout=subprocess.DEVNULL)

    def _command(self, program: str, *arguments: object) -> list[str]:
        """It refuses to run as root: then as the user that its package brings."""
        drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        return [*drop, str(PROGRAMS[-1] / program), *map(str, arguments)]


@contextmanager
def postgres(*settings: str) -> Iterator[Server]:
    """`settings` as in postgresql.conf. Raises RuntimeError."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = Server(folder, *settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
