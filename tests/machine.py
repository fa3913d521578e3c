"""A machine whose clocks are driven: it boots, waits, learns the time, is set."""

from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.core.status import SyncState
from gateway.live import Live
from gateway.site import RunningSite
from gateway.timekeeping import Timekeeper
from tests.values import METER, power

TRUE_MS = 1_790_000_000_000  # when the machine was made


class Machine:
    """`RawClock`. `true_ms` is what time it really is; the kernel's wall clock begins in 1970, without a battery."""

    def __init__(self) -> None:
        self.true_ms = TRUE_MS
        self.boots = 0
        self.boot()

    def boot(self, *, off_s: float = 0, wall_ms: int = 0) -> None:
        """Power on, after a while without."""
        self.true_ms += round(off_s * 1000)
        self.boots += 1
        self.boot_id = f"boot {self.boots}"
        self._since_boot_ms = 0
        self._kernel_ms = wall_ms
        self.is_synchronised = False

    def go_on(self, seconds: float = 1) -> None:
        self.true_ms += round(seconds * 1000)
        self._since_boot_ms += round(seconds * 1000)

    def synchronise(self) -> None:
        """A time server sets the kernel's clock."""
        self._kernel_ms = self.true_ms - self._since_boot_ms
        self.is_synchronised = True

    def set_by(self, seconds: float) -> None:
        """Somebody, or something, sets the kernel's clock."""
        self._kernel_ms += round(seconds * 1000)

    def wall_ms(self) -> int:
        return self._kernel_ms + self.boottime_ms()

    def monotonic_s(self) -> float:
        return self.boottime_ms() / 1000

    def boottime_ms(self) -> int:
        return self._since_boot_ms

    def synchronised(self) -> bool:
        return self.is_synchronised


class Process:
    """A gateway's process on the machine: it polls one meter, whose power is a count of polls."""

    def __init__(self, machine: Machine, buffer: Buffer, timekeeper: Timekeeper) -> None:
        self.machine = machine
        self.buffer = buffer
        self.clock = timekeeper
        self.live = Live(timekeeper)
        self.live.add("meter", "meter", "profile")
        self.site = RunningSite("Mill", buffer, self.live, timekeeper, lambda: SyncState(hub=""), timekeeper=timekeeper)
        timekeeper.listener = self.site
        self.true: dict[int, int] = {}  # when each count was really measured

    @classmethod
    async def start(cls, machine: Machine, file: Path) -> "Process":
        buffer = await Buffer.open(file)
        return cls(machine, buffer, Timekeeper(machine, await buffer.begin_boot(machine)))

    def poll(self, count: int, *, takes_s: float = 0) -> None:
        """The stamp is taken with the answer; it comes to the site a little later."""
        record = power(self.clock.wall_ms(), count)
        self.true[count] = self.machine.true_ms
        self.machine.go_on(takes_s)
        self.site.took(METER, record)

    async def poll_for(self, first: int, count: int, *, every_s: float = 1) -> None:
        """Every `every_s`, with a commit now and then; a piece is sealed now and then."""
        for number in range(first, first + count):
            self.machine.go_on(every_s)
            self.poll(number)
            if number % 100 == 99:
                await self.buffer.flushed()
            if number % 1000 == 999:
                await self.buffer.sealing.seal()

    async def settle(self) -> None:
        """What `Buffer.run` does, once."""
        await self.buffer.flushed()
        await self.buffer.upkeep.round()
