"""What a name that a device sends stands for: key, unit, quantity; from the configuration, or guessed; pure.

Units come out as our own, so that Psum in W and Psum_kW in kW are one quantity.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from gateway.config import KeyConfig
from gateway.core.model import Kind

ONE = Fraction(1)
OURS = {  # a unit of theirs -> ours, and how many of ours it is
    "kW": ("W", Fraction(1000)), "MW": ("W", Fraction(10**6)), "mW": ("W", Fraction(1, 1000)),
    "kVA": ("VA", Fraction(1000)), "MVA": ("VA", Fraction(10**6)),
    "kvar": ("var", Fraction(1000)), "Mvar": ("var", Fraction(10**6)),
    "kV": ("V", Fraction(1000)), "mV": ("V", Fraction(1, 1000)),
    "kA": ("A", Fraction(1000)), "mA": ("A", Fraction(1, 1000)),
    "Wh": ("kWh", Fraction(1, 1000)), "MWh": ("kWh", Fraction(1000)),
    "varh": ("kvarh", Fraction(1, 1000)), "Mvarh": ("kvarh", Fraction(1000)),
}  # fmt: skip
SPELLINGS = {  # other ways to write a unit; only where case tells nothing else
    "w": "W", "Watt": "W", "watt": "W", "watts": "W", "KW": "kW", "kw": "kW", "KWh": "kWh", "KWH": "kWh", "kwh": "kWh",
    "wh": "Wh", "WH": "Wh", "v": "V", "volt": "V", "volts": "V", "a": "A", "amp": "A", "amps": "A", "hz": "Hz",
    "HZ": "Hz", "va": "VA", "kva": "kVA", "KVA": "kVA", "VAr": "var", "VAR": "var", "Var": "var", "kVAr": "kvar",
    "kVar": "kvar", "kVAR": "kvar", "kVArh": "kvarh", "kVarh": "kvarh", "kVARh": "kvarh", "VArh": "varh",
    "VARh": "varh", "C": "°C", "degC": "°C", "℃": "°C", "percent": "%",
}  # fmt: skip
QUANTITIES = {
    "W": "power", "VA": "apparent_power", "var": "reactive_power", "V": "voltage", "A": "current", "Hz": "frequency",
    "kWh": "energy", "kvarh": "reactive_energy", "°C": "temperature",
}  # fmt: skip
SUFFIXES = ("kw", "kwh", "wh", "kva", "kvar", "kvarh", "hz")  # a name's end that can only be a unit; _a is a phase, too
WORDS = {  # a word of a name without a unit -> unit, quantity
    "power": ("W", "power"), "watt": ("W", "power"), "watts": ("W", "power"), "psum": ("W", "power"),
    "voltage": ("V", "voltage"), "volt": ("V", "voltage"), "volts": ("V", "voltage"),
    "current": ("A", "current"), "amps": ("A", "current"),
    "frequency": ("Hz", "frequency"), "freq": ("Hz", "frequency"),
    "temperature": ("°C", "temperature"), "temp": ("°C", "temperature"),
    "humidity": ("%", "humidity"), "soc": ("%", "battery"),
    "pf": ("", "power_factor"), "factor": ("", "power_factor"),
    "energy": ("", "energy"),  # Wh or kWh: nobody can tell
}  # fmt: skip
NAMES = (  # whole names whose maker documents the unit
    (re.compile(r"ENERGY_(Total|Today|Yesterday)(_\d+)?"), "kWh"),  # Tasmota
    (re.compile(r".*_act_(ret_)?energy|.*_ret_energy"), "Wh"),  # Shelly, second generation
    (re.compile(r".*_act_power"), "W"),
    (re.compile(r".*_aprt_power|.*ApparentPower"), "VA"),
    (re.compile(r".*ReactivePower"), "var"),
)
COUNTERS = ("energy", "reactive_energy")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A value times `factor` is so many `unit` of the point `key`."""

    key: str
    unit: str
    factor: Fraction
    quantity: str
    kind: Kind


def meaning(name: str, unit: str, keys: Mapping[str, KeyConfig]) -> Meaning:
    """`unit` is what the device says, empty where it does not.

    What `keys` has under the name goes before every guess. Under the name without its unit (Psum for Psum_kW) it
    says key, quantity and kind; unit and scale are then as the name says.
    """
    key, unit = _parted(name, SPELLINGS.get(unit, unit))
    config = keys.get(name, keys.get(key))
    word_unit, quantity = _by_words(key)
    ours, factor = OURS.get(unit or word_unit, (unit or word_unit, ONE))
    if config is not None and name in keys and (config.unit is not None or config.scale != 1):
        ours, factor = config.unit if config.unit is not None else unit, Fraction(str(config.scale))
    quantity = QUANTITIES.get(ours, quantity if ours == word_unit else "")
    kind: Kind = "counter" if quantity in COUNTERS else "gauge"
    if config is not None:
        key = config.key or key
        quantity = config.quantity if config.quantity is not None else quantity
        kind = config.kind or ("counter" if quantity in COUNTERS else "gauge")
    return Meaning(key, ours, factor, quantity, kind)


def _parted(name: str, unit: str) -> tuple[str, str]:
    """A name without the unit that it ends in, and that unit where the device gives no other."""
    front, _, end = name.rpartition("_")
    said = SPELLINGS.get(end, end)
    if front and (said == unit if unit else end.lower() in SUFFIXES):
        return front, said
    return name, unit


def _by_words(key: str) -> tuple[str, str]:
    """Unit and quantity of a name without a unit; empty where it says nothing."""
    for pattern, unit in NAMES:
        if pattern.fullmatch(key):
            return unit, QUANTITIES[OURS.get(unit, (unit, ONE))[0]]
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", key)
    return next((WORDS[word.lower()] for word in reversed(words) if word.lower() in WORDS), ("", ""))
