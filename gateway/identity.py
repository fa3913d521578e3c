"""Which device is which, by serial number: swapped addresses or adapters must not mix up histories."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.model import Role

log = logging.getLogger(__name__)
Tell = Callable[[str, str, str], None]
"""Event kind, device, detail."""


class Serials(Protocol):
    """Keeps which device answered with which serial number. Both raise StorageError."""

    async def serials(self) -> dict[str, str]: ...
    async def keep_serial(self, device: str, serial: str, ts: int) -> None: ...


class Identities:
    """What is known of the site's devices; a device tells its serial number when it begins to answer."""

    def __init__(self, configured: Mapping[str, Role], store: Serials, clock: Clock, tell: Tell) -> None:
        """Of devices that are kept and no longer `configured` nothing is expected."""
        self._roles = configured
        self._serials: dict[str, str] = {}
        self._recalled = False
        self._store = store
        self._clock = clock
        self._tell = tell
        self._said: set[tuple[str, str]] = set()
        self._answers: dict[str, str] = {}  # by configured name: the serial that answered there last
        self._doubted: dict[str, str] = {}  # by configured name: a serial that has answered elsewhere since
        self._shared: set[str] = set()  # serials that several devices really have

    async def name_of(self, configured: str, serial: str) -> str:
        """Whose history the readings belong to that come from where `configured` is expected.

        A serial number that is another device's: that one's, because the two were swapped. A new
        number in the place of a known one: the device was replaced, and its history goes on.
        """
        await self._recall()
        self._answers[configured] = serial
        doubted = self._doubted.pop(configured, "") == serial
        if serial not in self._shared:
            others = (name for name, their in self._answers.items() if their == serial and name != configured)
            self._doubted |= dict.fromkeys(others, serial)
            if doubted:  # asked again, it still has the serial that another one has, too
                self._shared.add(serial)
                self._say("serial_not_unique", configured, f"several devices answer with the serial {serial}")
        if self._serials.get(configured) == serial or serial in self._shared:
            return configured
        owner = next((name for name, known in self._serials.items() if known == serial), None)
        if owner is not None:
            self._say("device_swapped", configured, f"{owner} (serial {serial}) answers where {configured} should")
            return owner
        if (before := self._serials.get(configured)) is not None:
            self._say("device_replaced", configured, f"serial {serial} has taken the place of {before}")
        self._serials[configured] = serial
        try:
            await self._store.keep_serial(configured, serial, self._clock.wall_ms())
        except StorageError as error:
            log.warning("serial number not kept", extra={"device": configured, "why": str(error)})
        return configured

    async def _recall(self) -> None:
        """What was kept, as soon as the disk gives it: it is right where something else was learnt meanwhile."""
        if self._recalled:
            return
        try:
            kept = await self._store.serials()
        except StorageError as error:
            log.warning("serial numbers not known yet", extra={"why": str(error)})
            return
        self._recalled = True
        self._serials |= {device: serial for device, serial in kept.items() if device in self._roles}

    def role_of(self, owner: str) -> Role:
        """What the device is to the site, wherever it answers."""
        return self._roles[owner]

    def sure(self, configured: str) -> bool:
        """Whether no other device has answered with its serial number since."""
        return configured not in self._doubted

    def _say(self, kind: str, device: str, detail: str) -> None:
        """Once, not at each reconnection."""
        if (device, detail) not in self._said:
            self._said.add((device, detail))
            log.warning(kind.replace("_", " "), extra={"device": device, "why": detail})
            self._tell(kind, device, detail)
