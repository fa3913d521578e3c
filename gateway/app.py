"""The gateway, put together: the one place that knows every concrete part; hubapp.py does so for the hub."""

import contextlib
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from drivers.intake import guard as stamp_guard
from drivers.intake import shapes
from drivers.modbus.load import parse_profile
from drivers.modbus.profile import Profile
from gateway import hubwatch, linkwatch
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
from gateway.hubfile import HubFile
from gateway.identity import Identities
from gateway.intake import Intake
from gateway.live import Live
from gateway.loadconfig import load_config, read_text
from gateway.profiles import profile_text
from gateway.running import Stop, run_until, serve
from gateway.site import RunningSite
from gateway.syncdesk import SyncDesk
from gateway.timekeeping import Timekeeper
from gateway.trial import Trials
from gateway.uplink import Uplink
from gateway.wear import Wear
from local_ui.app import build_app


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


async def run_gateway(plan: Plan, ready: Callable[[str], None], trials: Trials, stop: Stop) -> None:
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
        hub_file = HubFile(plan.path)
        uplink = Uplink(config.hub, plan.folder, buffer, clock, zone, stack, hub_file) if config.hub else None
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
        jobs["hub file"] = hubwatch.watch(hub_file, lambda: check(None), stop.restart)
        jobs["intake"] = intake.run()
        if config.mqtt is not None:
            jobs["mqtt"] = _mqtt(config.mqtt, plan.folder, intake, clock)
        await run_until(stop, jobs)


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


async def run_simulator(path: Path, say: Callable[[str], None]) -> None:
    """Simulated devices. Run until SIGTERM or SIGINT. Raises ConfigError."""
    from drivers.simulator import site as simulation  # brings pymodbus, which a gateway never needs

    stop = Stop()
    folder = path.parent
    farm = simulation.parse_farm(read_text(path), path.name)
    job = simulation.serve(farm, say, profiles=lambda name: load_profile(name, folder), folder=folder)
    await run_until(stop, {"simulator": job})
