"""Scanning a network: which endpoints take a connection, and which units answer there."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from drivers.bus.channel import TcpChannel, UdpChannel
from drivers.modbus.links import OpenLink, Place, host_and_port, link_to
from drivers.modbus.profile import Link as Wants
from drivers.modbus.profile import Profile
from drivers.scan.found import Found, Watcher
from drivers.scan.identify import identify
from drivers.scan.nets import Endpoint
from drivers.scan.probe import LINE_UNITS, PROBES, USUAL_UNITS, Probes, Sign, present
from gateway.core.errors import DeviceError

AT_A_TIME = 50
STARTS_PER_S = 200
CONNECT_S = 1.0
SETTLE_S = AT_A_TIME / STARTS_PER_S  # before the first question: who closes each connection is not tried faster either
TIMEOUT_S = 1.0  # a gateway may wait for its device so long
GOODWE_UNITS = (247, 127)
GOODWE_PROBES = ((3, 35000), (3, 35000), (3, 30000))  # a datagram may get lost
CONTROLS = (171, 213)  # units that nobody has; who answers as these does not look at the unit id
EVERY_UNIT_NOTE = "it answers to any unit id"


class NetworkScan:
    """One pass over some endpoints; `devices` holds what was found until now.

    `units`: those to ask, else a few usual ones. `full`: then all others too.
    """

    def __init__(
        self, targets: Sequence[Endpoint], profiles: Mapping[str, Profile], watcher: Watcher, *,
        units: Sequence[int] = (), full: bool = False, timeout_s: float = TIMEOUT_S, settle_s: float = SETTLE_S,
    ) -> None:  # fmt: skip
        self.devices: list[Found] = []
        self._targets = targets
        self._profiles = profiles
        self._watcher = watcher
        self._units = units
        self._rest = tuple(unit_id for unit_id in LINE_UNITS if unit_id not in USUAL_UNITS) if full else ()
        self._timeout_s = timeout_s
        self._settle_s = settle_s
        self._done = 0
        self._next_start_s = 0.0

    async def run(self) -> None:
        """Try all; at most AT_A_TIME endpoints at a time, and STARTS_PER_S connections a second."""
        waiting = iter(self._targets)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_A_TIME, len(self._targets))):
                group.create_task(self._work(waiting))

    async def _work(self, waiting: Iterator[Endpoint]) -> None:
        loop = asyncio.get_running_loop()
        for endpoint in waiting:
            start_s = max(loop.time(), self._next_start_s)
            self._next_start_s = start_s + 1 / STARTS_PER_S
            await asyncio.sleep(start_s - loop.time())
            with contextlib.suppress(DeviceError):  # nobody takes the connection
                await (self._udp(endpoint) if endpoint.protocol == "udp" else self._tcp(endpoint))
            self._done += 1
            self._watcher.step(self._done, len(self._targets))

    async def _tcp(self, endpoint: Endpoint) -> None:
        """Modbus TCP first, then RTU frames, which plain serial converters want."""
        units = self._units or USUAL_UNITS
        place = Place(tcp=str(endpoint))
        if await self._units_at(place, [(units, PROBES), (self._rest, PROBES[:1])]):
            return
        line_units = [unit_id for unit_id in (*units, *self._rest) if unit_id in LINE_UNITS]
        if await self._units_at(replace(place, framing="rtu"), [(line_units, PROBES[:1])]):
            return
        self._watcher.hint(f"{endpoint} takes connections, but no unit answers: try --full, or other --units")

    async def _udp(self, endpoint: Endpoint) -> None:
        await self._units_at(Place(udp=str(endpoint)), [(self._units or GOODWE_UNITS, GOODWE_PROBES)])

    async def _units_at(self, place: Place, passes: Sequence[tuple[Sequence[int], Probes]]) -> bool:
        """Whether any unit answered. Where units answer that nobody has, only those count that answer otherwise."""
        host, port = host_and_port(place.tcp or place.udp)
        channel = UdpChannel(host, port) if place.udp else TcpChannel(host, port, CONNECT_S)
        link = link_to(channel, rtu=place.is_rtu, wants=Wants(settle_s=self._settle_s))
        answered, alike = False, []
        try:
            nobody: set[Sign] | None = set() if place.is_rtu else None
            for units, probes in passes:
                async for unit_id, sign in present(link, units, timeout_s=self._timeout_s, probes=probes):
                    if nobody is None:
                        nobody = await self._signs_of_nobody(link)
                    if sign in nobody:
                        alike.append((unit_id, sign))
                    else:
                        await self._found(link, place, unit_id, sign)
                        answered = True
            if alike and not answered:
                await self._found(link, place, *alike[0], EVERY_UNIT_NOTE)
        finally:
            await link.close()
        return answered or bool(alike)

    async def _signs_of_nobody(self, link: OpenLink) -> set[Sign]:
        """How units answer that do not exist; empty where they do not, or one of them does exist."""
        signs = [sign async for _, sign in present(link, CONTROLS, timeout_s=self._timeout_s, probes=PROBES[:1])]
        return set(signs) if len(signs) == len(CONTROLS) else set()

    async def _found(self, link: OpenLink, place: Place, unit_id: int, sign: Sign, note: str = "") -> None:
        identity = await identify(link, unit_id, self._profiles, timeout_s=self._timeout_s)
        if note and identity.profile:
            unit_id = self._profiles[identity.profile].link.unit_id
        device = Found(place, unit_id, str(sign), identity, note)
        self.devices.append(device)
        self._watcher.found(device)
