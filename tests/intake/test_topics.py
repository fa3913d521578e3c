"""Topics to devices and metrics."""

import pytest

from drivers.intake.topics import Topic

NODES = Topic("homesync/{home}/nodes/{node}/telemetry/{metric}", "{node}")
EMETER = Topic("shellies/{node}/emeter/{phase}/{what}", "Shelly {node}", "{what}_{phase}")


@pytest.mark.parametrize(
    ("topic", "name", "found"),
    [
        (NODES, "homesync/h/nodes/n1/telemetry/power", ("n1", "power")),
        (NODES, "homesync/h/nodes/n1/telemetry", None),
        (NODES, "homesync/h/nodes/n1/telemetry/power/x", None),
        (NODES, "Homesync/h/nodes/n1/telemetry/power", None),
        (EMETER, "shellies/em3/emeter/0/power", ("Shelly em3", "power_0")),
        (Topic("tele/plug/SENSOR", "Plug"), "tele/plug/SENSOR", ("Plug", "SENSOR")),
    ],
)
def test_a_topic_says_device_and_metric(topic: Topic, name: str, found: object) -> None:
    assert topic.match(name) == found


def test_a_broker_is_asked_for_a_plus_in_place_of_each_placeholder() -> None:
    assert NODES.filter == "homesync/+/nodes/+/telemetry/+"
