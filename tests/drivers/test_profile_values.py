"""Shipped profiles on registers that were worked out by hand, from the sources that each profile names.

This shows that a profile says what its sources say. It does not prove that a device answers so: that
take the recorded answers in `test_images.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from drivers.modbus.profile import Profile
from drivers.modbus.registers import Table
from drivers.simulator.image import Image
from gateway.core.model import Raw
from tests.drivers.answers import profile, read_all

Words = Mapping[int, list[int]]
"""Runs of words, each under the address of its first."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a device answers, all else being 0, and what that means."""

    profile: str
    tables: Mapping[Table, Words]
    values: Mapping[str, Raw | None]


def text(words: str) -> list[int]:
    """Two characters a register."""
    return [int.from_bytes(words[at : at + 2].encode().ljust(2, b"\0")) for at in range(0, len(words), 2)]


def answering(of: Profile, tables: Mapping[Table, Words]) -> Image:
    """An image of the whole space between a profile's points: 0 but for `tables`."""
    filled: dict[Table, dict[int, int]] = {}
    for table in {point.table or of.table for point in of.points}:
        points = [point for point in of.points if (point.table or of.table) == table]
        span = range(min(point.register for point in points), max(point.register + point.count for point in points))
        filled[table] = dict.fromkeys(span, 0)
        for address, words in tables.get(table, {}).items():
            filled[table] |= {address + at: word for at, word in enumerate(words)}
    return Image(of.link.unit_id, filled)


CASES = [
    Case(
        "acuvim-ii",  # the import is the example in the maker's manual: 17807783.3 kWh is 0A9D4089 hex
        {
            "holding": {
                16384: [0x4248, 0], 16386: [0x4366, 0x8000], 16402: [0x40A0, 0], 16418: [0xC4BB, 0x8000],
                16442: [0xBF70, 0], 16444: [0x3C80, 0], 16456: [0x0A9D, 0x4089, 0, 5], 16474: [250],
                17956: [0, 1001],
            }
        },
        {
            "frequency": 50.0, "l1_voltage": 230.5, "l1_current": 5.0, "active_power": -1500.0,
            "power_factor": -0.9375, "voltage_unbalance": 1.5625, "import_energy_total": 17807783.3,
            "export_energy_total": 0.5, "l1_voltage_thd": 2.5, "l2_import_energy_total": 100.1,
        },
    ),
    Case(
        "eastron-sdm120",
        {"input": {0: [0x4366, 0x8000], 6: [0x3FC0, 0], 12: [0xC4BB, 0x8000], 70: [0x4248, 0], 72: [0x449A, 0x5000],
                   74: [0x4000, 0], 342: [0x449A, 0x9000]}},
        {"voltage": 230.5, "current": 1.5, "active_power": -1500.0, "frequency": 50.0, "import_energy_total": 1234.5,
         "export_energy_total": 2.0, "energy_total": 1236.5},
    ),
    Case(
        "eastron-sdm230",
        {"input": {0: [0x4366, 0x8000], 36: [0xC1F0, 0], 86: [0x44BB, 0x8000], 258: [0x3FC0, 0], 384: [0x4000, 0]},
         "holding": {64512: [0x0134, 0x5678]}},
        {"voltage": 230.5, "phase_angle": -30.0, "power_demand_max": 1500.0, "current_demand": 1.5,
         "resettable_energy": 2.0, "serial_number": 20207224},
    ),
    Case(
        "carlo-gavazzi-em340",  # low word first
        {"input": {0: [2305, 0], 10: [3999, 0], 12: [12345, 0], 40: [0xC568, 0xFFFF], 49: [0xFC27], 50: [1],
                   51: [500], 52: [0xD687, 0x0012], 54: [25, 0], 68: [10, 0], 78: [0, 1], 100: [15, 0]},
         "holding": {20480: text("KV12345678901")}},
        {"l1_voltage": 230.5, "l3_l1_voltage": 399.9, "l1_current": 12.345, "active_power": -1500.0,
         "power_factor": -0.985, "phase_sequence": 1, "frequency": 50.0, "import_energy_total": 123456.7,
         "import_reactive_energy_total": 2.5, "serial": "KV12345678901", "l3_import_energy_total": 1.0,
         "export_energy_total": 6553.6, "l3_export_energy_total": 1.5},
    ),
    Case(
        "carlo-gavazzi-em24",
        {"input": {18: [0xC568, 0xFFFF], 53: [985], 55: [499], 62: [0xD687, 0x0012], 66: [7, 0], 92: [0, 1]},
         "holding": {772: [3], 4864: text("AB12345678901")}},
        {"l1_power": -1500.0, "power_factor": 0.985, "frequency": 49.9, "import_energy_total": 123456.7,
         "export_energy_total": 6553.6, "front_switch": 3, "serial": "AB12345678901"},
    ),
    Case(
        "carlo-gavazzi-em24-e1",
        {"input": {40: [0xC568, 0xFFFF], 49: [985], 51: [499], 52: [0xD687, 0x0012], 78: [0, 1]},
         "holding": {4098: [3], 20480: text("AB12345678901"), 40960: [7]}},
        {"active_power": -1500.0, "power_factor": 0.985, "frequency": 49.9, "import_energy_total": 123456.7,
         "export_energy_total": 6553.6, "phase_config": 3, "serial": "AB12345678901", "application": 7},
    ),
    Case(
        "huawei-sun2000",
        {"holding": {30000: text("SUN2000-10KTL-M1"), 30073: [0, 10000], 32016: [6523, 512, 0x7FFF, 0x7FFF],
                     32064: [0, 3300], 32080: [0xFFFF, 0xFFEC], 32084: [0xFC27, 5002], 32089: [513],
                     32106: [1, 0x86A0], 32072: [0x7FFF, 0xFFFF], 37113: [0xFFFF, 0xFE0C], 37119: [0, 12345],
                     37760: [555], 37765: [0, 2500], 47415: [6, 0, 5000, 700]}},
        {"model": "SUN2000-10KTL-M1", "rated_power": 10000, "pv1_voltage": 652.3, "pv1_current": 5.12,
         "pv2_voltage": None, "pv2_current": None, "dc_power": 3300, "active_power": -20, "power_factor": -0.985,
         "frequency": 50.02, "status": 513, "energy_total": 1000.0, "grid_l1_current": None, "meter_power": -500,
         "meter_export_energy_total": 123.45, "battery_soc": 55.5, "battery_power": 2500, "export_limit_mode": 6,
         "export_limit": 5000, "export_limit_percent": 70.0},
    ),
    Case(
        "sma",  # at night: what is live is not available, the energy stays
        {"holding": {30201: [0, 307], 30513: [0, 0, 0x00BC, 0x614E], 30773: [0x8000, 0, 0x8000, 0],
                     30783: [0, 23012], 30803: [0, 5001], 30845: [0xFFFF, 0xFFFF], 30953: [0, 415],
                     30867: [0, 640], 31401: [0xFFFF] * 4}},
        {"status": 307, "energy_total": 12345678, "pv1_power": None, "active_power": None, "grid_l1_voltage": 230.12,
         "frequency": 50.01, "battery_soc": None, "temperature": 41.5, "meter_export_power": 640,
         "battery_discharge_energy_total": None},
    ),
    Case(
        "sungrow-sh",  # low word first
        {"input": {4999: [0x0E03, 100], 5003: [0x86A0, 1], 5014: [0xFFFF, 0xFFFF], 5016: [3300, 0],
                   5213: [0xF63C, 0xFFFF], 12999: [64, 0b10011], 13009: [0xFE0C, 0xFFFF], 13022: [555],
                   13033: [0xFFEC, 0xFFFF], 5600: [0xFFFF, 0x7FFF]},
         "holding": {13073: [5000], 13086: [170]}},
        {"device_type": 0x0E03, "rated_power": 10000, "energy_total": 10000.0, "pv3_voltage": None, "dc_power": 3300,
         "battery_power": -2500, "status": 64, "power_flow": 19, "export_power": -500, "battery_soc": 55.5,
         "active_power": -20, "meter_power": None, "export_limit": 5000, "export_limit_on": 170},
    ),
    Case(
        "sungrow-sg",
        {"input": {4989: text("A2121234567"), 4999: [0x2432, 80], 5003: [0x1170, 1], 5021: [121, 0xFFFF],
                   5030: [5400, 0], 5034: [0xFC27, 500], 5037: [0x8100], 5082: [0xFE0C, 0xFFFF], 5098: [12345, 0]}},
        {"serial": "A2121234567", "device_type": 0x2432, "rated_power": 8000, "energy_total": 70000,
         "grid_l1_current": 12.1, "grid_l2_current": None, "active_power": 5400, "power_factor": -0.985,
         "frequency": 50.0, "status": 0x8100, "meter_power": -500, "meter_import_energy_total": 1234.5},
    ),
    Case(
        "victron-gx",
        {"holding": {800: text("c0619ab12345"), 806: [1], 820: [0xFE0C, 250], 840: [524, 0xFF97, 0xFDDA, 87, 2],
                     846: [36], 908: [0xFFFF, 0xFE0C], 2700: [0xFFCE], 2901: [100, 2]}},
        {"serial": "c0619ab12345", "relay_1": 1, "grid_l1_power": -500, "grid_l2_power": 250, "battery_voltage": 52.4,
         "battery_current": -10.5, "battery_power": -550, "battery_soc": 87, "battery_status": 2,
         "battery_time_to_go": 3600, "grid_l1_power_wide": -500, "grid_set_point": -50, "battery_soc_min": 10.0,
         "ess_mode": 2},
    ),
    Case(
        "victron-gx-grid",
        {"holding": {2600: [0xFE0C], 2618: [2305, 0xFFF6], 2622: [1, 0x86A0], 2634: [1, 0x86A0], 2644: [5001],
                     2648: [0xFC27]}},
        {"l1_power": -500, "l2_voltage": 230.5, "l2_current": -1.0, "l1_import_energy_total": 1000.0,
         "import_energy_total": 1000.0, "frequency": 50.01, "power_factor": -0.985},
    ),
    Case(
        "victron-gx-vebus",
        {"holding": {3: [2305], 12: [0xFFCE], 21: [5001], 26: [2612, 0xFF97], 31: [9], 37: [0xFE0C, 1]}},
        {"input_l1_voltage": 230.5, "input_l1_power": -500, "output_frequency": 50.01, "battery_voltage": 26.12,
         "battery_current": -10.5, "status": 9, "set_point_l1": -500, "charge_disabled": 1},
    ),
    Case(
        "solaredge-battery",  # low word first
        {"holding": {57616: text("RESU10"), 57714: [0, 0x7FC0], 57716: [0x8000, 0xC4BB], 57718: [0x614E, 0x00BC, 0, 0],
                     57732: [0, 0x4248], 57734: [4, 0], 57348: [4], 57355: [60, 0]}},
        {"model": "RESU10", "battery_current": None, "battery_power": -1500.0,
         "battery_discharge_energy_total": 12345678, "battery_soc": 50.0, "battery_status": 4, "storage_control": 4,
         "command_timeout": 60},
    ),
    Case(
        "wellpro-wp8025adam",
        {"coil": {1: [1], 7: [1]}, "holding": {100: [17]}},
        {"relay_1": 0, "relay_2": 1, "relay_8": 1, "unit_id": 17},
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.profile for case in CASES])
async def test_registers_worked_out_by_hand_decode_as_the_sources_say(case: Case) -> None:
    of = profile(case.profile)
    readings = await read_all(answering(of, case.tables), of)
    decoded = {reading.placed.point.key: reading.value for reading in readings}
    assert {key: decoded[key] for key in case.values} == {
        key: value if value is None or isinstance(value, str) else pytest.approx(value)
        for key, value in case.values.items()
    }
