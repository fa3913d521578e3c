"""The buses as their page shows them: strings, nothing left to compute; pure."""

from typing import Any

from gateway.core.status import BusState, Contact, SiteState, UnitState
from gateway.core.wording import number_text, utc_text


def buses_view(state: SiteState) -> dict[str, Any]:
    """{site, version, buses: [{name, where, load, advice, units, connection}]}; every figure a string."""
    return {"site": state.site, "version": state.version, "buses": [bus_view(bus) for bus in state.buses]}


def bus_view(bus: BusState) -> dict[str, Any]:
    """One bus: a line about its connection, and a row for each unit."""
    return {
        "name": bus.name,
        "where": f"{bus.where}, {bus.kind}",
        "load": f"busy {bus.load:.0%}",
        "advice": bus.advice,
        "units": [_unit_view(unit) for unit in bus.units],
        "connection": f"opened {_times(bus.connects)}, lost {_times(bus.disconnects)},"
        f" could not be opened {_times(bus.connect_failures)}; {number_text(bus.noise_bytes, '')} bytes of noise",
    }


def contacts_view(site: str, device: str, contacts: list[Contact]) -> dict[str, Any]:
    """{site, device, lines: [{time, status, response, error}]}; times are UTC."""
    lines = [
        {
            "time": utc_text(line.ts, "%Y-%m-%d %H:%M:%S"),
            "status": line.status,
            "response": milliseconds_text(line.response_ms),
            "error": line.error,
        }
        for line in contacts
    ]
    return {"site": site, "device": device, "lines": lines}


def _unit_view(unit: UnitState) -> dict[str, str]:
    counts = {name: number_text(getattr(unit, name), "") for name in
              ("unit_id", "asked", "timeouts", "garbled", "foreign", "late")}  # fmt: skip
    return counts | {
        "device": unit.device,
        "answered": share_text(unit.answered, unit.asked),
        "median": milliseconds_text(unit.median_ms),
        "p95": milliseconds_text(unit.p95_ms),
        "exceptions": ", ".join(f"{count} x {code}" for code, count in unit.exceptions.items()) or "0",
        "load": f"{unit.load:.1%}",
    }


def _times(count: int) -> str:
    return "once" if count == 1 else f"{number_text(count, '')} times"


def share_text(part: int, whole: int) -> str:
    """A share that says 100 % only where it is all."""
    if not whole:
        return "-"
    return "100 %" if part == whole else f"{min(99.9, 100 * part / whole):.1f} %"


def milliseconds_text(value: float | None) -> str:
    """A response time; a dash where there was no answer yet."""
    return "-" if value is None else f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
