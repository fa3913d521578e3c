"""A device with its newest values, as pages show it; pure."""

from typing import Any

from gateway.core import wording
from gateway.core.model import Reading
from gateway.core.status import DeviceState


def device_card(device: DeviceState, now: int) -> dict[str, Any]:
    """Its main values alone."""
    return {
        "name": device.name,
        "role": device.role,
        "age": f"{wording.age_text(now - device.ts)} ago",
        "points": [value_view(reading) for reading in wording.main_readings(device.readings)],
    }


def value_view(reading: Reading) -> dict[str, str]:
    return {
        "key": reading.key,
        "label": wording.label(reading.key),
        "text": wording.reading_text(reading),
        "unit": "" if reading.words or reading.value is None else reading.unit,
    }
