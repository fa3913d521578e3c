"""The site's state as its page shows it: strings with units, nothing left to compute; pure."""

from typing import Any

from gateway.core.status import BufferState, ClockState, DeviceState, SiteState, SyncState
from gateway.core.syncwording import sync_text
from gateway.core.wording import bytes_text, label, main_readings, number_text, reading_text, span_text

GAVE_NONE = "the device does not give it"
KNOWN_BY = {
    "kernel": "the machine's clock is synchronised",
    "hub": "by the hub's clock",
    "set": "as it was set by hand",
}
PRESENCE = {"starting": "starting", "online": "online", "offline": "offline"}


def site_view(state: SiteState) -> dict[str, Any]:
    """{site, version, now, buffer, sync, devices: [device_view...]}; what page and stream both carry."""
    return {
        "site": state.site,
        "version": state.version,
        "now": state.now,
        "buffer": buffer_text(state.buffer),
        "buffer_error": storage_text(state.buffer),
        "clock": clock_text(state.clock),
        "sync": sync_text(state.sync),
        "sync_level": sync_level(state.sync),
        "devices": [device_view(device) for device in state.devices],
    }


def device_view(device: DeviceState) -> dict[str, Any]:
    """One card: its strings; `points` as {key, label, text, unit, missing}, `why` where missing; `main` shown large."""
    mains = main_readings(device.readings)
    points = [
        {
            "key": reading.key,
            "label": label(reading.key),
            "text": reading_text(reading),
            "unit": "" if reading.words or reading.value is None else reading.unit,
            "missing": reading.value is None,
        }
        | ({"why": device.why_missing.get(reading.key, GAVE_NONE)} if reading.value is None else {})
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
        "doubtful": doubtful_text(device.doubtful),
        "ts": device.ts,
        "chart": charted,
        "main": main,
        "points": points,
    }


def doubtful_text(records: int) -> str:
    """How many records of a device were set aside; empty for none."""
    if not records:
        return ""
    return f"{number_text(records, '')} record{'s' if records > 1 else ''} with impossible times, set aside"


def buffer_text(buffer: BufferState) -> str:
    """How much this gateway has taken, in one line."""
    return f"{number_text(buffer.head, '')} records taken, {bytes_text(buffer.bytes)}"


def clock_text(clock: ClockState) -> str:
    """What is known of the time, in one line."""
    if not clock.known:
        return "Nobody has confirmed the time yet: times shown are estimates, and are corrected when it is known"
    said = [f"The time is known: {KNOWN_BY[clock.source]}"]
    if clock.offset_ms:
        said.append(
            f"before, it was estimated {span_text(clock.offset_ms)} too {'early' if clock.offset_ms > 0 else 'late'}"
        )
    if clock.steps:
        said.append(f"the clock was set {clock.steps} time{'s' if clock.steps > 1 else ''} while running")
    return "; ".join(said)


def storage_text(buffer: BufferState) -> str:
    """What is wrong with the storing and what to do, and how many records were lost; empty if all is well."""
    lost = f"{number_text(buffer.dropped, '')} records were lost since the start" if buffer.dropped else ""
    if not buffer.error:
        return ". ".join(filter(None, (lost, buffer.warning[:1].upper() + buffer.warning[1:])))
    waiting = f"Nothing can be stored; {number_text(buffer.pending, '')} records wait in memory"
    return f"{waiting}{', ' if lost else ''}{lost}. {buffer.error}"


def problems(state: SiteState) -> list[str]:
    """What is wrong, in words that a stranger may read: no paths, no names."""
    found = []
    if state.buffer.error:
        found.append(f"readings cannot be stored; {state.buffer.pending} records wait in memory")
    if state.buffer.dropped:
        found.append(f"{state.buffer.dropped} records were lost since the start")
    if state.buffer.warning:
        found.append("the room for readings runs out")
    return found


def sync_level(sync: SyncState) -> str:
    """none without a hub, bad where it is not reached or something keeps what waits for it, else good: its color."""
    kept = bool(sync.backlog and sync.error)
    return "none" if not sync.hub else "good" if sync.connected and not kept else "bad"
