"""What stands behind a simulated device: recorded answers, an invented house, a counter of answers."""

from typing import Protocol

from drivers.modbus.registers import Table


class Source(Protocol):
    """Answers reads; addresses are 0-based, as on the wire."""

    def read(self, table: Table, address: int, count: int, now_s: float) -> list[int] | None:
        """`count` words, or bits as 0 and 1; None where the device refuses with exception 2.

        `now_s` is wall time, seconds since 1970 UTC.
        """
        ...
