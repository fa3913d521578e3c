"""What cannot run is refused before anything starts, with file, line and key."""

from pathlib import Path

import pytest

from gateway.app import Plan
from gateway.core.errors import ConfigError

PZEM = "{name: A, profile: pzem-004t}"
ACUVIM = "{name: A, profile: acuvim-ii, log: {points: [frequency]}}"
HUB = "hub: {url: 'https://h', node_id: n, secret: 0123456789abcdefg, "
LIVE = f"{{host: h, device_id: {'F' * 32}}}"


def bus(where: str, *devices: str, name: str = "b") -> str:
    """An entry of `buses:`, with its keys from line 2, 3 and 4 on where it is the first."""
    return f"- name: {name}\n  {where}\n  devices:\n" + "".join(f"    - {device}\n" for device in devices)


def locks(name: str, unit_id: int) -> str:
    return f"{{name: {name}, profile: kerong-cu16, unit_id: {unit_id}}}"


def pzem(name: str, unit_id: int) -> str:
    return f"{{name: {name}, profile: pzem-004t, unit_id: {unit_id}}}"


def plan(folder: Path, text: str) -> Plan:
    (folder / "site.yaml").write_text(text)
    return Plan(folder / "site.yaml")


def on_line(*devices: str) -> str:
    return "buses:\n" + bus("serial: /dev/ttyUSB0", *devices)


def two(first: str, second: str) -> str:
    """Two buses; what the second says stands in line 7."""
    return "buses:\n" + bus(first, PZEM) + bus(second, PZEM.replace("A", "B"), name="c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "buses:\n" + bus("tcp: h:502", ACUVIM.replace("[f", "[nope, f")),
            "5: buses[0].devices[0].log.points: nope is",
        ),
        (
            "buses:\n" + bus("tcp: h:502", ACUVIM.replace("{points", "{zone: No/X, points")),
            "5: buses[0].devices[0].log.zone: No/X is no time zone",
        ),
        (on_line(PZEM.replace("}", ", log: {points: [power]}}")), "5: buses[0].devices[0].log: only devices of the"),
        (on_line(locks("L", 1).replace("}", ", log: {points: [a]}}")), "5: buses[0].devices[0].log: only devices of"),
        (on_line(locks("L", 15)), "5: buses[0].devices[0].unit_id: expected 0-14, got 15"),
        (on_line(pzem("A", 0)), "5: buses[0].devices[0].unit_id: expected 1-247, got 0"),
        (on_line(pzem("A", 255)), "5: buses[0].devices[0].unit_id: expected 1-247, got 255"),
        (on_line(pzem("A", 248), pzem("B", 1)), "5: buses[0].devices[0].unit_id: expected 1-247, got 248"),
        (on_line(pzem("A", 3), pzem("B", 3)), "6: buses[0].devices[1].unit_id: A and B both have unit id 3"),
        (on_line(locks("A", 3), locks("B", 3)), "6: buses[0].devices[1].unit_id: A and B both have unit id 3"),
        (on_line(pzem("A", 4), locks("B", 4)), "6: buses[0].devices[1].unit_id: A and B both have unit id 4"),
        (on_line(locks("A", 4), pzem("B", 2)), "6: buses[0].devices[1].unit_id: B: no unit id 2 beside lock boards"),
        ("buses:\n" + bus("tcp: h:502", locks("L", 1)), "2: buses[0].framing: lock boards speak no Modbus TCP"),
        (
            "buses:\n" + bus("tcp: a..b:502", PZEM),
            "3: buses[0].tcp: expected the name or address of a host, got 'a..b'",
        ),
        ("buses:\n" + bus(f"tcp: {'a' * 70}:502", PZEM), "3: buses[0].tcp: expected the name or address of a host"),
        ("buses:\n" + bus("tcp: h:99999", PZEM), "3: buses[0].tcp: h:99999: expected HOST:PORT"),
        ("buses:\n" + bus('serial: "/dev/\\0"', PZEM), "3: buses[0].serial: expected a path"),
        (two("tcp: h:502", "tcp: H:0502"), "7: buses[1].tcp: h:502 is the place of b already"),
        (two("tcp: '[::1]:502'", "tcp: '[0::1]:502'"), "7: buses[1].tcp: ::1:502 is the place of b already"),
        (two("serial: /dev/ttyS7", "serial: /dev/x/../ttyS7"), "7: buses[1].serial: /dev/ttyS7 is the place of b"),
        (two("tcp: h:502\n  capture: c", "tcp: i:502\n  capture: ./c"), "9: buses[1].capture: c is the capture of b"),
        (two("tcp: h:502\n  capture: c", "tcp: i:502\n  capture: c.1"), "9: buses[1].capture: c.1 is the capture of b"),
        ("buses:\n" + bus("tcp: h:502\n  capture: no/c", PZEM), "4: buses[0].capture: there is no folder "),
        ("buses:\n" + bus("tcp: h:502\n  capture: buffer.db", PZEM), "4: buses[0].capture: buffer.db is the buffer"),
        ("buses:\n" + bus("tcp: h:502\n  capture: site.yaml", PZEM), "4: buses[0].capture: site.yaml is the config"),
        ("buses:\n" + bus("tcp: h:502\n  capture: notes", PZEM), "4: buses[0].capture: notes is there already"),
        (
            "buses:\n" + bus(f"selectlive: {LIVE}\n  capture: c", "{name: S, profile: selectronic-sp-pro}"),
            "4: buses[0].capture: a select.live cannot be captured",
        ),
        (
            "buses:\n" + bus(f"selectlive: {LIVE.replace('h,', 'a..b,')}", "{name: S, profile: selectronic-sp-pro}"),
            "3: buses[0].selectlive.host: expected the name or address of a host",
        ),
        ("mqtt: {host: '', topics: [{topic: a, device: a}]}", "1: mqtt.host: expected text of length >= 1"),
        ("mqtt: {host: a..b, topics: [{topic: a, device: a}]}", "1: mqtt.host: expected the name or address of a"),
        ("mqtt:\n  host: a\n  tls_ca: no.pem\n  topics: [{topic: a, device: a}]", "3: mqtt.tls_ca: no.pem: No such"),
        ("mqtt:\n  host: a\n  tls_ca: notes\n  topics: [{topic: a, device: a}]", "3: mqtt.tls_ca: notes: "),
        ('buffer: {path: "a\\0b"}', "1: buffer.path: expected a path"),
        ("buffer: {path: .}", "1: buffer.path: . is a folder"),
        ("buffer: {path: site.yaml}", "1: buffer.path: site.yaml is the configuration"),
        ("page: {host: ''}", "1: page.host: expected text of length >= 1"),
        (
            "hub: {url: 'http://a..b', node_id: n, secret: 0123456789abcdefg}",
            "1: hub.url: expected the name or address",
        ),
        ("hub: {url: 'http://h:99999', node_id: n, secret: 0123456789abcdefg}", "1: hub.url: expected the name or"),
        ("hub: {url: 'http://h h/', node_id: n, secret: 0123456789abcdefg}", "1: hub.url: expected the name or"),
        (HUB + "tls_ca: no.pem}", "1: hub.tls_ca: no.pem: No such"),
        (HUB + "tls_ca: notes}", "1: hub.tls_ca: notes: "),
        (HUB + "tls_fingerprint: '00:11'}", "1: hub.tls_fingerprint: expected 64 hexadecimal digits"),
        (HUB + "proxy: 'https://h'}", "1: hub.proxy: expected http://HOST:PORT"),
        (HUB + "proxy: 'http://a..b:3128'}", "1: hub.proxy: expected the name or address"),
        ('hub: {url: "http://h", node_id: "n\\n", secret: 0123456789abcdefg}', "1: hub.node_id: expected 1 to 64 of"),
        ('hub: {url: "http://h", node_id: n, secret: "0123456789abcdefg\\n"}', "1: hub.secret: expected 16 characters"),
        (
            "buses:\n"
            + bus(f"selectlive: {LIVE.replace('h,', 'http://h,')}", "{name: S, profile: selectronic-sp-pro}"),
            "3: buses[0].selectlive.host: expected the name or address of a host",
        ),
        ("push: {devices: [{name: P, keys: {a: {scale: 0}}}]}", "1: push.devices[0].keys.a.scale: expected a number"),
        (
            "push: {devices: [{name: P, keys: {a: {scale: .nan}}}]}",
            "1: push.devices[0].keys.a.scale: expected a number",
        ),
    ],
)
def test_what_cannot_run_is_refused_with_file_line_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("not to be lost")
    with pytest.raises(ConfigError) as raised:
        plan(Path(), text)
    assert str(raised.value).startswith(f"site.yaml:{said}")


@pytest.mark.parametrize(
    "text",
    [
        two("tcp: h:8899", "udp: h:8899"),
        two("tcp: h:502\n  capture: c", "tcp: h:503\n  capture: d"),
        on_line(pzem("A", 248)),  # its general address
        on_line(pzem("A", 3), "{name: B, profile: eastron-sdm630, unit_id: 3}"),  # two profiles of one unit
        "buses:\n" + bus("tcp: h:502", pzem("A", 0), pzem("B", 255)),
        "buses:\n" + bus("tcp: h:502", ACUVIM),
    ],
)
def test_what_can_run_is_not_refused(tmp_path: Path, text: str) -> None:
    assert plan(tmp_path, text).config.buses
