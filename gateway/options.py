"""Options that several commands share."""

import functools
import math
from collections.abc import Callable
from typing import Any

import click

from gateway.core.errors import ConfigError


class Number(click.FloatRange):
    """A number within limits; nan is none, though it is within all limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def where(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where a bus is; the command gets them as one `place`."""

    @functools.wraps(command)
    def with_place(
        tcp: str | None, udp: str | None, port: str | None, framing: str, baud: int | None, parity: str | None,
        stop_bits: str | None, **rest: Any,
    ) -> None:  # fmt: skip
        from drivers.modbus.links import Place

        if (tcp is not None) + (udp is not None) + (port is not None) != 1:
            raise ConfigError("expected exactly one of --tcp, --udp and --serial")
        for option, text in (("--tcp", tcp), ("--udp", udp), ("--serial", port)):
            if text == "":
                expected = "the path of a port" if option == "--serial" else "HOST:PORT"
                raise ConfigError(f"{option}: expected {expected}, got nothing")
        place = Place(
            tcp=tcp or "", udp=udp or "", serial=port or "", framing="rtu" if framing == "rtu" else "tcp",
            baud=baud or 9600, parity=parity or "none", stop_bits=int(stop_bits or 1),
        )  # fmt: skip
        command(place=place, **rest)

    for option in (
        click.option("--tcp", metavar="HOST[:PORT]", help="Where it is on the network; port 502 if not given."),
        click.option("--udp", metavar="HOST:PORT", help="GoodWe's UDP port, 8899."),
        click.option("--serial", "port", metavar="PORT", help="A serial port, for example in /dev/serial/by-id/."),
        click.option("--framing", type=click.Choice(["tcp", "rtu"]), default="tcp", help="rtu: a serial converter."),
        click.option("--baud", type=click.IntRange(1), help="Of the serial port; 9600 if not given."),
        click.option("--parity", type=click.Choice(["none", "even", "odd"]), help="none if not given."),
        click.option("--stop-bits", type=click.Choice(["1", "2"]), help="1 if not given."),
    ):
        with_place = option(with_place)
    return with_place
