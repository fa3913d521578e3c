"""The bus doctor: from what was counted, what is wrong in words and what to try; pure."""

from collections.abc import Iterator

from gateway.core.status import BusState, UnitState

ENOUGH = 20  # questions, before anything is said of a unit
OFTEN = 0.02  # a share of the questions that is worth a word
MOSTLY = 0.9
FULL = 0.8  # of the bus's time
SERIAL = ("serial", "rtu over tcp")


def advice(bus: BusState) -> Iterator[str]:
    """One sentence or two for each thing that is wrong; nothing where all is well."""
    yield from _of_bus(bus)
    for unit in bus.units:
        if unit.asked >= ENOUGH:
            yield from _of_unit(bus, unit)


def _of_bus(bus: BusState) -> Iterator[str]:
    asked = sum(unit.asked for unit in bus.units)
    answered = sum(unit.answered for unit in bus.units)
    garbled = sum(unit.garbled for unit in bus.units)
    on_line = bus.kind in SERIAL
    if not asked and bus.connect_failures:
        yield f"{bus.where} could never be opened ({bus.connect_failures} times tried): check power, cable, address."
    if asked >= ENOUGH and not answered:
        if garbled > asked * OFTEN:
            yield "Bytes come back, but no frame is whole: baud rate or parity differ from what the devices have."
        elif on_line:
            yield "No unit answers at all: check that A and B are not swapped, the baud rate, and that all have power."
        else:
            yield "The endpoint takes the connection but nothing answers: check the unit ids, and framing (tcp or rtu)."
    if bus.disconnects > max(3, 0.01 * asked):
        yield (
            f"The connection was closed {bus.disconnects} times: another client may take it (many devices serve"
            " only one), or the network is unsteady."
        )
    if bus.load > FULL:
        slowest = max(bus.units, key=lambda unit: unit.load)
        yield (
            f"The bus is busy {bus.load:.0%} of the time, most of it with {_named(slowest)} ({slowest.load:.0%}):"
            " poll less often, raise the baud rate, or move devices to a second bus."
        )
    if on_line and bus.noise_bytes > 50 + asked:
        yield (
            f"{bus.noise_bytes} bytes came that nobody asked for and that are no frames: check termination (120 ohm"
            " at both ends), bias resistors and shielding, or for a second master."
        )


def _of_unit(bus: BusState, unit: UnitState) -> Iterator[str]:
    who = _named(unit)
    any_other_answers = any(other.answered for other in bus.units if other is not unit)
    if not unit.answered:
        if any_other_answers and unit.timeouts > MOSTLY * unit.asked:
            yield (
                f"{who} never answered, while others on the bus do: check its unit id and power."
                f" Waiting for it costs {unit.lost_share:.0%} of the bus."
            )
    elif unit.timeouts > OFTEN * unit.asked:
        reply = f"; it usually takes {unit.median_ms:.0f} ms" if unit.median_ms is not None else ""
        yield (
            f"{who} left {unit.timeouts} of {unit.asked} questions unanswered{reply}: raise its timeout, give it a"
            " pause between questions (pause_ms), and check its wiring."
        )
    if unit.garbled > OFTEN * unit.asked and unit.answered:
        yield (
            f"{unit.garbled} of {unit.asked} answers of {who} were damaged: check termination and shielding; where"
            " it is this unit alone, two devices may share its unit id and answer at once."
        )
    if unit.foreign > OFTEN * unit.asked:
        yield (
            f"{unit.foreign} times what came when {who} was asked answered something else: two devices may share"
            " a unit id, another master may be on the line, or its answers come after the timeout: raise it."
        )
    if unit.late > OFTEN * unit.asked:
        yield f"{who} answered {unit.late} times after its timeout: raise its timeout."
    yield from _of_exceptions(unit, who)


def _of_exceptions(unit: UnitState, who: str) -> Iterator[str]:
    busy = sum(unit.exceptions.get(code, 0) for code in ("4", "5", "6"))
    gateway = sum(unit.exceptions.get(code, 0) for code in ("10", "11"))
    unknown = unit.exceptions.get("1", 0)
    if busy > OFTEN * unit.asked:
        yield f"{who} was busy or failed {busy} times: poll it less often, or give it a pause (pause_ms)."
    if gateway > OFTEN * unit.asked:
        yield f"The gateway in front of {who} said {gateway} times that it does not answer: check the line behind it."
    if unknown > OFTEN * unit.asked:
        yield f"{who} does not know a function that its profile uses ({unknown} times): the profile does not fit."


def _named(unit: UnitState) -> str:
    return f"{unit.device} (unit {unit.unit_id})" if unit.device else f"unit {unit.unit_id}"
