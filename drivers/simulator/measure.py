"""What a point of a device would show of the house: its quantity, kind and key say which.

A key is read as words: `battery_charge_energy_total` is the energy that flowed into the battery,
`l2_current` the current of the second phase. What is not understood shows a constant.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from zlib import crc32

from drivers.simulator.encode import Value
from drivers.simulator.household import ORIGIN_S, Moment
from drivers.simulator.meaning import INPUTS, Meaning
from drivers.simulator.noise import noise
from gateway.core.model import Kind

PHASES = {"l1": 0.40, "l2": 0.33, "l3": 0.27}  # how a house loads its phases
BY_DAY = ("MPPT", "producing", "on grid", "running", "connected", "ok", "right", "on")
BY_NIGHT = ("sleeping", "connected without power", "on grid", "waiting", "off", *BY_DAY)
TEXTS = {"manufacturer": "Holdfast", "model": "Simulated", "version": "1.0", "firmware": "1.0"}
LIKELY = {"soh": 98, "thd": 2, "angle": 12, "rssi": 70, "rated": 5000, "limit": 25}  # what stays as it is


def measured(point: Meaning, now: Moment) -> Value:
    """In the point's unit; None where nothing is connected."""
    return None if point.unused else BY_KIND.get(point.kind, _number)(point, now)


def _text(point: Meaning, now: Moment) -> str:
    # ETU: by these letters a GoodWe hybrid is known for one.
    texts = TEXTS | {"serial": f"SIMETU{crc32(point.device.encode()):010d}"}
    return next((text for word, text in texts.items() if word in point.words), "")


def _state(point: Meaning, now: Moment) -> float:
    battery = ("charging",) if now.power_w["charge"] else ("discharging",) if now.power_w["discharge"] else ("standby",)
    likely = battery if "battery" in point.words else BY_DAY if now.sun else BY_NIGHT
    by_name = {point.names[number]: number for number in sorted(point.names, reverse=True)}
    return next((by_name[name] for name in likely if name in by_name), min(point.names, default=1))


def _number(point: Meaning, now: Moment) -> float:
    constant = next((number for word, number in LIKELY.items() if word in point.words), None)
    if constant is not None:
        return constant
    if point.quantity in BY_QUANTITY:
        return BY_QUANTITY[point.quantity](point, now)
    if point.kind == "counter":
        return max(0.0, now.now_s - ORIGIN_S) / 60
    return 1 + crc32(point.key.encode()) % 20


def _power_w(point: Meaning, now: Moment) -> float:
    words, flow = point.words, now.power_w
    export_w = flow["export"] - flow["import"]
    battery_w = flow["discharge"] - flow["charge"]
    if words & {"battery", "charge", "discharge"}:
        power_w = battery_w
    elif words & {"pv", "dc", "input"} or point.input:
        power_w = flow["pv"] * point.share * INPUTS.get(point.input, 1)
    elif words & {"load", "backup"}:
        power_w = flow["load"] * (0.3 if "backup" in words else 1)
    elif point.role in ("pv", "battery"):
        at_meter = "meter" in words or (point.key == "active_power" and "inverter" in point.around)
        power_w = export_w if at_meter else flow["pv"] * point.share + battery_w * ("battery" in point.around)
    else:
        power_w = -export_w if point.two_way else flow["load"] * point.share
    return power_w * _phase(words)


def _phase(words: frozenset[str]) -> float:
    phases = words & PHASES.keys()
    return PHASES[next(iter(phases))] if len(phases) == 1 else 1 / 3 if "average" in words else 1.0


def _energy(point: Meaning, now: Moment) -> float:
    words = point.words
    flow_wh = now.today_wh if "today" in words else now.energy_wh
    named = [flow for flow in ("discharge", "charge", "import", "export", "load") if flow in words]
    if named:
        energy_wh = flow_wh[named[0]]
    elif point.role in ("pv", "battery") or point.input:
        energy_wh = flow_wh["pv"] * point.share * INPUTS.get(point.input, 1)
    else:
        energy_wh = flow_wh["import"] + flow_wh["export"] if point.two_way else flow_wh["load"] * point.share
    reactive = 0.2 if point.quantity == "reactive_energy" else 1.0
    return energy_wh * reactive * _phase(words) / (1000 if point.unit.startswith("k") else 1)


def _voltage(point: Meaning, now: Moment) -> float:
    words = point.words
    if "cell" in words:
        return 3.2 + 0.003 * now.soc
    if "battery" in words:
        return 370 + 0.4 * now.soc
    if "bus" in words:
        return 300 if "half" in words else 600
    if words & {"pv", "dc"} or point.input:
        return 320 + 60 * now.sun + 2 * noise(f"{point.device}/{point.key}", now.now_s / 10) if now.sun else 0.0
    phase = min(words & PHASES.keys(), default="")
    volts = 230 + 3 * noise(f"grid/{phase}", now.now_s / 60) + 0.3 * noise(f"grid/{phase}", now.now_s)
    return volts * sqrt(3) if "line" in words or len(words & PHASES.keys()) == 2 else volts


def _current(point: Meaning, now: Moment) -> float:
    volts = _voltage(point, now) / (sqrt(3) if "line" in point.words else 1)
    amperes = _power_w(point, now) / volts if volts else 0.0
    return amperes if "battery" in point.words else abs(amperes)


def _temperature(point: Meaning, now: Moment) -> float:
    place = sum(map(ord, point.key)) % 7
    heated = 3 if "battery" in point.words else 25
    return 18 + place + heated * now.sun + noise(f"{point.device}/{point.key}", now.now_s / 30)


BY_QUANTITY: Mapping[str, Callable[[Meaning, Moment], float]] = {
    "power": _power_w,
    "apparent_power": lambda point, now: abs(_power_w(point, now)) * 1.02,
    "reactive_power": lambda point, now: _power_w(point, now) * 0.2,
    "energy": _energy,
    "reactive_energy": _energy,
    "voltage": _voltage,
    "current": _current,
    "frequency": lambda point, now: 50 + 0.03 * noise("grid/frequency", now.now_s / 5),
    "temperature": _temperature,
    "battery": lambda point, now: now.soc,
    "power_factor": lambda point, now: 0.98 + 0.02 * noise("grid/power_factor", now.now_s / 20),
    "duration": lambda point, now: max(0.0, now.now_s - ORIGIN_S) / (3600 if point.unit == "h" else 1),
}

BY_KIND: Mapping[Kind, Callable[[Meaning, Moment], Value]] = {
    "text": _text,
    "enum": _state,
    "bitfield": lambda point, now: 0,
}
