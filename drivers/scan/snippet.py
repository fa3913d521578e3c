"""From what was found to the `buses:` of a site's configuration, ready to be pasted; pure."""

import json
from collections.abc import Iterable

from drivers.modbus.links import Place
from drivers.scan.found import Found

NAME_MAX = 60  # leaves room for a number behind it
UNFIT = str.maketrans(dict.fromkeys(map(chr, range(32)), " ") | {"/": "-", "\\": "-"})
NEEDS_PROFILE = "needs a profile: see docs/profiles.md"


def snippet(devices: Iterable[Found]) -> str:
    """YAML; a device that no profile fits is there as a comment. All names differ."""
    buses: dict[Place, list[Found]] = {}
    for device in devices:
        buses.setdefault(device.place, []).append(device)
    names = Names()
    lines = []
    for place, found in buses.items():
        known = [device for device in found if device.identity.profile]
        mark = "  " if known else "  # "
        lines += [mark + line for line in _bus(place, names)]
        lines.append(f"{mark}  devices:")
        lines += [_device(device, names) for device in found]
    head = "buses:" if any(device.identity.profile for found in buses.values() for device in found) else "buses: []"
    return "\n".join([head, *lines]) + "\n"


class Names:
    """Gives each name once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """`wanted`, or with a number behind it, as a name that a configuration takes; in quotes."""
        name = plain = " ".join(wanted.translate(UNFIT).split())[:NAME_MAX] or "device"
        number = 1
        while name in self._taken:
            number += 1
            name = f"{plain} {number}"
        self._taken.add(name)
        return json.dumps(name, ensure_ascii=False)


def _bus(place: Place, names: Names) -> list[str]:
    if place.serial:
        name = names.take(place.serial.rsplit("/", 1)[-1])
        settings = [f"baud: {place.baud}", f"parity: {place.parity}", f"stop_bits: {place.stop_bits}"]
        return [f"- name: {name}", f"  serial: {json.dumps(place.serial)}", *(f"  {line}" for line in settings)]
    if place.udp:
        return [f"- name: {names.take(place.udp)}", f'  udp: "{place.udp}"']
    framing = ["  framing: rtu"] if place.framing == "rtu" else []
    return [f"- name: {names.take(place.tcp)}", f'  tcp: "{place.tcp}"', *framing]


def _device(device: Found, names: Names) -> str:
    who = device.identity
    if not who.profile:
        return f"  #   - unit {device.unit_id}, {' '.join(device.what.split())}: {NEEDS_PROFILE}"
    name = names.take(f"{who.make} {who.model} {who.serial[-4:]}")
    return f"    - {{name: {name}, profile: {who.profile}, unit_id: {device.unit_id}}}"
