"""The site's state as its page shows it: strings with units, nothing left to compute; pure."""

from typing import Any

from gateway.core.status import BufferState, BusState, DeviceState, SiteState, SyncState, UnitState
from gateway.core.wording import bytes_text, label, main_readings, number_text, reading_text

GAVE_NONE = "the device does not give it"
PRESENCE = {"starting": "starting", "online": "online", "offline": "offline"}


def site_view(state: SiteState) -> dict[str, Any]:
    """{site, version, now, buffer, sync, devices: [device_view...]}; what page and stream both carry."""
    return {
        "site": state.site,
        "version": state.version,
        "now": state.now,
        "buffer": buffer_text(state.buffer),
        "buffer_error": state.buffer.error,
        "sync": sync_text(state.sync),
        "sync_level": "none" if not state.sync.hub else "good" if state.sync.connected else "bad",
        "devices": [device_view(device) for device in state.devices],
    }


def device_view(device: DeviceState) -> dict[str, Any]:
    """One card: its strings, and `points` as {key, label, text, unit, missing, why}; `main` are shown large."""
    mains = main_readings(device.readings)
    points = [
        {
            "key": reading.key,
            "label": label(reading.key),
            "text": reading_text(reading),
            "unit": "" if reading.words or reading.value is None else reading.unit,
            "missing": reading.value is None,
            "why": device.why_missing.get(reading.key, GAVE_NONE) if reading.value is None else "",
        }
        for reading in device.readings
    ]
    by_key = {reading.key: point for reading, point in zip(device.readings, points, strict=True)}
    main = [by_key[reading.key] for reading in mains]
    charted = next((r.key for r in mains if r.quantity == "power"), "")
    return {
        "name": device.name,
        "role": device.role,
        "profile": device.profile,
        "presence": PRESENCE[device.presence],
        "reason": device.reason,
        "ts": device.ts,
        "chart": charted,
        "main": main,
        "points": points,
    }


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


def _unit_view(unit: UnitState) -> dict[str, str]:
    counts = {name: number_text(getattr(unit, name), "") for name in
              ("unit_id", "asked", "timeouts", "garbled", "foreign", "late")}  # fmt: skip
    return counts | {
        "device": unit.device or "not configured",
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


def buffer_text(buffer: BufferState) -> str:
    """How much this gateway has taken, in one line."""
    return f"{number_text(buffer.head, '')} records kept, {bytes_text(buffer.bytes)}"


def sync_text(sync: SyncState) -> str:
    """How far the hub is, in the owner's words."""
    if not sync.hub:
        return "No hub; everything stays here"
    if not sync.connected:
        waiting = f"{number_text(sync.backlog, '')} records wait for the hub"
        return f"{waiting}: {sync.error}" if sync.error else waiting
    if sync.backlog <= 0:
        return "The hub has everything"
    return f"Live; {number_text(sync.backlog, '')} records on their way to the hub"
