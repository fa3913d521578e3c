"""The layouts of what a device sends: one for each set of names that come together."""

from collections.abc import Collection, Mapping

from gateway.config import KeyConfig
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Name, Point, Record, Role
from gateway.core.pushed import PushedRecord
from gateway.meaning import Meaning, meaning

LAYOUTS_MAX = 200  # of one device; who sends ever new names fills the layouts and not the history
SHAPES_MAX = 1000
TEXT = "text:64"


class PushLayouts:
    """Those of one device. They are the same after a restart: points stand in the order of their keys."""

    def __init__(
        self, device: Name, role: Role, profile: str, keys: Mapping[str, KeyConfig], known: Collection[bytes]
    ) -> None:
        """`known`: the ids of the layouts that the buffer has of the device."""
        self._device = device
        self._role = role
        self._profile = profile
        self._keys = keys
        self._ids = set(known)
        self._made: dict[tuple[object, ...], tuple[Layout, tuple[tuple[str, Meaning], ...]]] = {}
        self._texts: set[str] = set()

    def record(self, pushed: PushedRecord, ts: int, flags: int, group: Name) -> tuple[Layout, Record]:
        """Its layout and row. Raises CodecError where there are too many different sets of names."""
        shape = (
            group,
            *((name, pushed.units.get(name, ""), self._is_text(name, value)) for name, value in pushed.values.items()),
        )
        if shape not in self._made:
            if len(self._made) > SHAPES_MAX:
                self._made.clear()  # it only saves work
            self._made[shape] = self._make(pushed, group)
            self._texts |= {name for name, value in pushed.values.items() if isinstance(value, str)}
        layout, order = self._made[shape]
        values = [_scaled(pushed.values[name], meant) for name, meant in order]
        return layout, Record(layout.id, ts, layout.rows.pack(values), flags)

    def _is_text(self, name: str, value: float | str | None) -> bool:
        return isinstance(value, str) or (value is None and name in self._texts)

    def _make(self, pushed: PushedRecord, group: Name) -> tuple[Layout, tuple[tuple[str, Meaning], ...]]:
        by_key: dict[str, tuple[str, Meaning, Point]] = {}
        for name, value in pushed.values.items():
            meant = meaning(name, pushed.units.get(name, ""), self._keys)
            if self._is_text(name, value):
                point = Point(meant.key, TEXT, kind="text")
            else:
                point = Point(meant.key, "f64", meant.unit, meant.kind, meant.quantity)
            by_key.setdefault(meant.key, (name, meant, point))  # two names of one key: the first counts
        entries = [by_key[key] for key in sorted(by_key)]
        if len(entries) == 1:
            group = entries[0][1].key[:64]
        layout = Layout(self._device, group, tuple(point for _, _, point in entries), self._profile, self._role)
        if layout.id not in self._ids and len(self._ids) >= LAYOUTS_MAX:
            raise CodecError(f"the device has sent {LAYOUTS_MAX} different sets of names; expected one of them again")
        self._ids.add(layout.id)
        return layout, tuple((name, meant) for name, meant, _ in entries)


def _scaled(value: float | str | None, meant: Meaning) -> float | str | None:
    if not isinstance(value, float):
        return value
    return value * meant.factor.numerator / meant.factor.denominator
