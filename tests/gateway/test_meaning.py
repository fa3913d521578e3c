"""What names and units stand for."""

import pytest

from gateway.config import KeyConfig
from gateway.meaning import meaning


@pytest.mark.parametrize(
    ("name", "unit", "means"),
    [
        ("Psum", "W", ("Psum", "W", 1, "power", "gauge")),
        ("Psum_kW", "kW", ("Psum", "W", 1000, "power", "gauge")),
        ("Psum_kW", "", ("Psum", "W", 1000, "power", "gauge")),
        ("Ep_imp", "kWh", ("Ep_imp", "kWh", 1, "energy", "counter")),
        ("Ep_imp", "Wh", ("Ep_imp", "kWh", 0.001, "energy", "counter")),
        ("voltage", "", ("voltage", "V", 1, "voltage", "gauge")),
        ("energy", "", ("energy", "", 1, "energy", "counter")),
        ("a_act_power", "", ("a_act_power", "W", 1, "power", "gauge")),
        ("total_act_energy", "", ("total_act_energy", "kWh", 0.001, "energy", "counter")),
        ("ENERGY_Total", "", ("ENERGY_Total", "kWh", 1, "energy", "counter")),
        ("ENERGY_Power", "", ("ENERGY_Power", "W", 1, "power", "gauge")),
        ("ENERGY_ApparentPower", "", ("ENERGY_ApparentPower", "VA", 1, "apparent_power", "gauge")),
        ("phase_a", "", ("phase_a", "", 1, "", "gauge")),
        ("brightness", "lx", ("brightness", "lx", 1, "", "gauge")),
    ],
)
def test_units_come_out_as_ours_and_nothing_ambiguous_is_guessed(name: str, unit: str, means: object) -> None:
    found = meaning(name, unit, {})
    assert (found.key, found.unit, float(found.factor), found.quantity, found.kind) == means


def test_the_configuration_goes_before_every_guess() -> None:
    config = KeyConfig(key="heat", unit="kWh", scale=0.1, quantity="energy", kind="gauge")
    found = meaning("E1", "W", {"E1": config})
    assert (found.key, found.unit, float(found.factor), found.quantity, found.kind) == (
        "heat", "kWh", 0.1, "energy", "gauge",
    )  # fmt: skip


def test_what_is_said_of_a_name_holds_for_it_with_a_unit_at_its_end() -> None:
    found = meaning("Psum_kW", "kW", {"Psum": KeyConfig(key="active_power", unit="W")})
    assert (found.key, found.unit, float(found.factor)) == ("active_power", "W", 1000)
