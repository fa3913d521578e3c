"""A real RabbitMQ for the tests of a session: one broker, a virtual host of its own for each test."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import HoldfastError
from sync.broker.connection import Broker
from sync.hub.intake import provision
from tests.gateway.ports import free_ports
from tests.needs import lacks

BIN = Path("/usr/lib/rabbitmq/bin")
DEFINITIONS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "config/rabbitmq/definitions.json").read_text())
for queue in DEFINITIONS["queues"]:
    if "x-message-ttl" in queue["arguments"]:
        queue["arguments"]["x-message-ttl"] = 100  # what is parked comes again soon
ADMIN, HUB, NODE_SECRET = ("guest", "guest"), ("hub", "the hub's password"), "the node's own secret"
UP_S = 90


class Rabbit:
    """A broker with its management API on ports of its own; it keeps its data while it is down."""

    def __init__(self, folder: Path, tls: Path) -> None:
        self.folder = folder
        self.tls = tls
        self.port, self.tls_port, self.management_port, distribution, self._epmd_port = free_ports(5)
        for name in ("home", "mnesia", "log"):
            (folder / name).mkdir()
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbit.conf").write_text(f"""listeners.tcp.1 = 127.0.0.1:{self.port}
listeners.ssl.1 = 127.0.0.1:{self.tls_port}
ssl_options.cacertfile = {tls}/ca.pem
ssl_options.certfile = {tls}/server.pem
ssl_options.keyfile = {tls}/server.key
management.tcp.ip = 127.0.0.1
management.tcp.port = {self.management_port}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
""")
        self._environment = os.environ | {
            "HOME": str(folder / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbit.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        }
        names = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1", "-relaxed_command_check"]
        self._epmd = subprocess.Popen(names, start_new_session=True)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def management(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    def ensure(self) -> None:
        """Start it where a test before has left it ended."""
        if self._server is None or self._server.poll() is not None:
            self.start()

    def start(self) -> None:
        """Returns when it takes connections; it waits for that with real time, as a server's start has to."""
        with (self.folder / "out").open("ab") as out:
            self._server = subprocess.Popen(
                [BIN / "rabbitmq-server"], env=self._environment, start_new_session=True, stdout=out, stderr=out
            )
        deadline = time.monotonic() + UP_S
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                raise RuntimeError((self.folder / "out").read_text()[-2000:])
            if self._speaks(self.port, b"AMQP\0\0\x09\x01") and self._speaks(self.management_port, b"GET /\r\n\r\n"):
                self.ctl("await_startup")
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(0.05)
        raise TimeoutError((self.folder / "out").read_text()[-2000:])

    def _speaks(self, port: int, greeting: bytes) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as connection:
                connection.settimeout(2)
                connection.sendall(greeting)
                return bool(connection.recv(1))
        except OSError:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._server is not None:
            os.killpg(self._server.pid, number)
            self._server.wait()
            self._server = None

    def ctl(self, *words: str) -> str:
        """Run rabbitmqctl; costs nearly a second."""
        command = [BIN / "rabbitmqctl", "-q", "-n", self._environment["RABBITMQ_NODENAME"], *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def alarm(self, on: bool) -> None:
        self.ctl("set_vm_memory_high_watermark", "absolute", "1MB" if on else "1GB")

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self._epmd.kill()
        self._epmd.wait()


class Vhost:
    """One test's part of the broker."""

    def __init__(self, rabbit: Rabbit, name: str) -> None:
        self.rabbit = rabbit
        self.name = name

    def way(self, username: str, password: str, *, port: int | None = None) -> Broker:
        return Broker(f"amqp://127.0.0.1:{port or self.rabbit.port}/{self.name}", username, password)

    @property
    def node(self) -> Broker:
        return self.way("node", NODE_SECRET)

    @property
    def hub(self) -> Broker:
        return self.way(*HUB)

    def management(self) -> provision.Management:
        return provision.Management(self.rabbit.management, *ADMIN)

    async def limit(self, queue: str, most: int | None) -> None:
        """How many messages a queue may hold; None: as it was."""
        path = ["policies", self.name, "full"]
        async with self.management() as management:
            if most is None:
                await management.ask("DELETE", path)
            else:
                policy = {"pattern": f"^{queue}$", "definition": {"max-length": most}, "apply-to": "queues"}
                await management.put(path, policy)


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    if not (BIN / "rabbitmq-server").exists():
        lacks("RabbitMQ", "rabbitmq-server")
    folder = tmp_path_factory.mktemp("rabbit")
    rabbit = Rabbit(folder, _certificates(folder / "tls"))
    try:
        rabbit.start()
        yield rabbit
    finally:
        rabbit.close()


class Proxy:
    """Between somebody and the broker: cuts all connections with a reset, when told or after some bytes."""

    def __init__(self, port: int) -> None:
        self.cuts = 0
        self.bytes_max: int | None = None  # after so many bytes from the client all is cut, once
        self.to = port  # of the broker; may be changed for those who come
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody passes any more."""
        self._server.close()
        self.cut()

    def cut(self) -> None:
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, there_writer]
        await asyncio.gather(self._pass(reader, there_writer, True), self._pass(there_reader, writer, False))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outwards: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if outwards and self.bytes_max is not None:
                    self.bytes_max -= len(data)
                    if self.bytes_max < 0:
                        self.bytes_max = None
                        self.cut()
                        return
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def provisioned(rabbit: Rabbit, *nodes: str) -> AsyncIterator[Vhost]:
    """A virtual host for one test, with hub and nodes; it is gone afterwards."""
    vhost = await _provisioned(rabbit, nodes or ("node",))
    async with vhost.management() as management:
        try:
            yield vhost
        finally:
            await management.ask("DELETE", ["vhosts", vhost.name])
            for node in nodes or ("node",):
                await management.ask("DELETE", ["users", node])


async def _provisioned(rabbit: Rabbit, nodes: Sequence[str]) -> Vhost:
    """A broker that was killed may come back by half (3.10: without what supervises dead letters): then once more."""
    rabbit.ensure()
    vhost = Vhost(rabbit, f"test-{os.urandom(4).hex()}")
    try:
        await _provision(vhost, nodes)
    except HoldfastError:
        rabbit.stop()
        rabbit.start()
        await _provision(vhost, nodes)
    return vhost


async def _provision(vhost: Vhost, nodes: Sequence[str]) -> None:
    async with vhost.management() as management:
        await provision.provision(management, vhost.name, DEFINITIONS, ADMIN[0], HUB)
        for node in nodes:
            await provision.provision_node(management, vhost.name, node, NODE_SECRET)


def _certificates(folder: Path) -> Path:
    """An authority of our own, and the broker's certificate by it."""
    if shutil.which("openssl") is None:
        lacks("openssl", "openssl")
    folder.mkdir()

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    for name in ("ca", "other"):
        openssl("req", "-x509", *key, "-days", "30", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.pem", *extensions)  # fmt: skip
    openssl("req", *key, "-subj", "/CN=broker", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "30", "-out", "server.pem", "-extfile", "names")  # fmt: skip
    return folder
