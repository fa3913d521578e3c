"""The one place that knows every concrete part, and puts them together."""

import asyncio
import contextlib
import errno
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from importlib import resources
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aiohttp import web

from drivers.intake import guard as stamp_guard
from drivers.intake import shapes
from drivers.modbus.load import parse_profile
from drivers.modbus.profile import Profile
from gateway import linkwatch
from gateway.buffer.buffer import Buffer
from gateway.buffer.retention import Limits
from gateway.buses import NOT_MODBUS, Bus, Surroundings, build_bus
from gateway.checkbus import check_bus
from gateway.config import Config, MqttConfig
from gateway.control import Control
from gateway.controlsocket import listening, socket_path
from gateway.core.clock import Clock, SystemClock
from gateway.core.document import Document
from gateway.core.errors import ConfigError, HoldfastError
from gateway.core.status import SyncState
from gateway.identity import Identities
from gateway.intake import Intake
from gateway.live import Live
from gateway.loadconfig import load_config, read_text
from gateway.profiles import profile_text
from gateway.site import RunningSite
from gateway.syncdesk import SyncDesk
from gateway.timekeeping import Timekeeper
from gateway.trial import Trials
from gateway.uplink import Uplink
from gateway.wear import Wear
from local_ui import guard
from local_ui.app import build_app
from sync.hub.app import DOOR, FLEET, OPEN_PATHS, build_hub
from sync.hub.config import AmqpConfig, HubConfig, parse_hub_config
from sync.hub.door import Door
from sync.hub.opening import open_store
from sync.hub.tls import server_tls

if TYPE_CHECKING:
    from sync.hub.amqp import Consumer


class Plan:
    """A checked configuration with its profiles: all that `run_gateway` needs, and nothing opened yet."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        """`text`: as if that stood in the file.

        Raises ConfigError for anything that is wrong in the configuration or in a profile that it names.
        """
        self.path, self.folder = path, path.parent
        self.config, document = load_config(path, text)
        self.profiles: dict[str, Profile] = {}
        for b, bus in enumerate(self.config.buses):
            for d, device in enumerate(bus.devices):
                if device.profile not in NOT_MODBUS:
                    self._load(device.profile, document, ("buses", b, "devices", d, "profile"))
            check_bus(bus, self.profiles, document, ("buses", b), self.folder)

    def _load(self, name: str, document: Document, path: tuple[str | int, ...]) -> None:
        if name in self.profiles:
            return
        try:
            self.profiles[name] = load_profile(name, self.folder)
        except ConfigError as error:
            raise document.complaint(path, str(error), hint=error.hint) from error


def load_profile(name: str, site_folder: Path | None = None) -> Profile:
    """Raises ConfigError where there is no such profile, or it is wrong."""
    return parse_profile(*profile_text(name, site_folder), lambda base: profile_text(base, site_folder))


async def run_site(path: Path, ready: Callable[[str], None]) -> None:
    """The gateway of `path`; it starts again where the hub asks for it, and where a configuration on trial fails.

    Run until SIGTERM or SIGINT. Raises HoldfastError for what it cannot start without.
    """
    trials, stop = Trials(path), Stop()
    trials.recover()
    while True:
        try:
            await run_gateway(Plan(path), ready, trials, stop)
        except (HoldfastError, ExceptionGroup) as error:
            if not trials.roll_back(f"the gateway did not run with it: {_words(error)}"):
                raise
            stop.restart()
        if not stop.starts_again():
            return


def _words(error: BaseException) -> str:
    """Of the first error of a group; with what to do about it."""
    if isinstance(error, BaseExceptionGroup):
        return _words(error.exceptions[0])
    return error.in_full if isinstance(error, HoldfastError) else str(error)


async def run_gateway(plan: Plan, ready: Callable[[str], None], trials: Trials, stop: "Stop") -> None:
    """The gateway, once. Run until `stop`; `ready` is told the page's address.

    Raises HoldfastError for what it cannot start without.
    """
    config, machine = plan.config, SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        path, limits = plan.folder / config.buffer.path, _limits(config)
        buffer = await Buffer.open(path, commit_s=config.buffer.commit_interval_s, limits=limits)
        stack.push_async_callback(buffer.close)
        clock = Timekeeper(machine, await buffer.begin_boot(machine))
        buffer.use(clock)
        zone = ZoneInfo(config.site.timezone)
        uplink = Uplink(config.hub, plan.folder, buffer, clock, zone, stack) if config.hub else None
        live = Live(clock)
        sync_state = uplink.state if uplink else lambda: SyncState(hub="")
        wear = Wear(path, config.buffer.card_tbw, clock)
        site = RunningSite(config.site.name, buffer, live, clock, sync_state, zone, clock, wear)
        clock.listener = site
        roles = {
            device.name: device.role or plan.profiles[device.profile].role
            for bus in config.buses
            for device in bus.devices
            if device.profile in plan.profiles
        }
        identities = Identities(roles, buffer.notebook, clock, site.event)
        around = Surroundings(plan.profiles, site, buffer, identities, clock, config.site.timezone, plan.folder, stack)
        buses = [build_bus(bus, around) for bus in config.buses]
        for bus in buses:
            site.add_bus(bus.watch, bus.devices)
        intake = await _intake(config, site, live, buffer, clock)
        desk = SyncDesk(buffer, uplink) if uplink else None
        page = build_app(site, password_sha256=config.page.password_sha256, push=intake, sync=desk)
        control = stack.enter_context(listening(socket_path(plan.path)))
        serving = serve(page, config.page.host, config.page.port, unpack=False, control=control)
        address = await stack.enter_async_context(serving)
        site.event("gateway_started")
        ready(address)
        jobs = {"time": clock.run(), "buffer": buffer.run(), "watch": site.watch_buses()}
        jobs["links"] = linkwatch.watch(lambda: _wake(buses, uplink))
        jobs |= {f"bus {bus.name}": bus.poller.run() for bus in buses}
        if uplink is not None:
            jobs |= uplink.jobs()

        def check(text: str | None) -> Config:
            return Plan(plan.path, text).config

        jobs |= Control(config, trials, check, uplink, buffer, site.state, clock, stop.restart).jobs()
        jobs["intake"] = intake.run()
        if config.mqtt is not None:
            jobs["mqtt"] = _mqtt(config.mqtt, plan.folder, intake, clock)
        await _run_until(stop, jobs)


def _limits(config: Config) -> Limits:
    return Limits(
        budget=round(config.buffer.budget_mb * 1e6),
        keep_ms=round(config.buffer.keep_days * 86_400_000),
        hub=config.hub is not None,
    )


def _wake(buses: Iterable[Bus], uplink: Uplink | None) -> None:
    for bus in buses:
        bus.poller.wake()
    if uplink is not None:
        uplink.wake()


async def _intake(config: Config, site: RunningSite, live: Live, buffer: Buffer, clock: Clock) -> Intake:
    intake = Intake(site, live, buffer, clock, shapes, stamp_guard, config.site.timezone)
    for device in config.push.devices:
        intake.add(device)
    await intake.recall()
    return intake


def _mqtt(config: MqttConfig, folder: Path, intake: Intake, clock: Clock) -> Coroutine[None, None, None]:
    """Raises ConfigError where the broker's certificates cannot be used."""
    from drivers.intake.mqtt import Broker, MqttIntake  # brings aiomqtt, which few gateways need
    from drivers.intake.topics import Topic

    authorities = folder / config.tls_ca if config.tls_ca else None
    broker = Broker(config.host, config.port, config.client_id, config.username, config.password, authorities)
    topics = [Topic(t.topic, t.device, t.metric or "", t.group, t.qos, t.accept_new) for t in config.topics]
    return MqttIntake(broker, topics, intake, clock, Random()).run()


def load_hub_config(path: Path) -> HubConfig:
    """Raises ConfigError."""
    return parse_hub_config(read_text(path), path.name)


async def run_hub(config: HubConfig, folder: Path, ready: Callable[[str], None]) -> None:
    """The hub; paths are relative to `folder`. Run until SIGTERM or SIGINT; `ready` is told the page's address."""
    static = resources.files("local_ui").joinpath("static")
    tls = server_tls(folder / config.tls_cert, folder / config.tls_key) if config.tls_cert and config.tls_key else None
    stop = Stop()
    _allow_connections()
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(config.store, folder)
        stack.push_async_callback(store.close)
        guards = [guard.headers, guard.sign_in(config.password_sha256, OPEN_PATHS)]
        app = build_hub(config, store, SystemClock(), Path(str(static)), guards)
        consumer = _consumer(config, config.amqp, folder, app[DOOR]) if config.amqp is not None else None
        app[FLEET].tell = consumer.tell if consumer else None
        serving = serve(app, config.host, config.port, unpack=False, tls=tls)
        ready(await stack.enter_async_context(serving))
        await _run_until(stop, {"broker": consumer.run(), "orders": app[FLEET].run()} if consumer else {})


def _consumer(config: HubConfig, amqp: AmqpConfig, folder: Path, door: Door) -> "Consumer":
    """Raises ConfigError where the broker's certificates cannot be used."""
    from sync.broker.connection import Broker
    from sync.hub.amqp import Consumer  # brings aio-pika, which few hubs need

    way = Broker(amqp.url, amqp.username, amqp.password, folder / amqp.tls_ca if amqp.tls_ca else None)
    return Consumer(way, door, {node.id for node in config.nodes}, SystemClock())


def _allow_connections() -> None:
    """As many as the system lets us have: each node keeps two, and the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def run_simulator(path: Path, say: Callable[[str], None]) -> None:
    """Simulated devices. Run until SIGTERM or SIGINT. Raises ConfigError."""
    from drivers.simulator import site as simulation  # brings pymodbus, which a gateway never needs

    stop = Stop()
    folder = path.parent
    farm = simulation.parse_farm(read_text(path), path.name)
    job = simulation.serve(farm, say, profiles=lambda name: load_profile(name, folder), folder=folder)
    await _run_until(stop, {"simulator": job})


@contextlib.asynccontextmanager
async def serve(
    app: web.Application, host: str, port: int, *, unpack: bool = True, tls: ssl.SSLContext | None = None,
    control: socket.socket | None = None,
) -> AsyncIterator[str]:  # fmt: skip
    """Serve `app`, at `control` too; yields its address. Raises HoldfastError where the port cannot be had.

    `unpack`: aiohttp unpacks bodies by their Content-Encoding; it takes gzip that was cut off for whole.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, auto_decompress=unpack)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        busy = error.errno == errno.EADDRINUSE
        hint = "another program uses the port" if busy else "check that it is an address of this machine, and the port"
        raise HoldfastError(f"{host}:{port}: {error.strerror}", hint=hint) from error
    try:
        if control is not None:
            await web.SockSite(runner, control).start()
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"
    finally:
        await runner.cleanup()


class Stop:
    """When to end, and whether to start again after that: SIGTERM and SIGINT end it for good."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._for_good = False
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        self._for_good = True
        self._asked.set()

    def restart(self) -> None:
        self._asked.set()

    async def wait(self) -> None:
        await self._asked.wait()

    def starts_again(self) -> bool:
        """Whether it ended to start again; from now on it may be asked to end anew."""
        if not self._for_good:
            self._asked.clear()
        return not self._for_good


async def _run_until(stop: Stop, jobs: Mapping[str, Coroutine[None, None, None]]) -> None:
    """Run the jobs, which run until cancelled, until `stop`; one that fails ends all, its error is raised."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(job, name=name) for name, job in jobs.items()]
        await stop.wait()
        for task in running:
            task.cancel()
