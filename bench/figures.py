"""From counts to figures: pure; each figure with its floors, and what is to be reached."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table; None is a value that was not measured."""

    name: str
    unit: str
    gateway: float | None
    floors: dict[str, float | None] = field(default_factory=dict)
    against: str = ""  # the floor that the target speaks of; empty: the target is absolute
    most: float | None = None  # the target: times that floor, or in `unit`
    why: str = ""  # why nothing was measured
    least: float | None = None  # the target where more is better, as `most`

    @property
    def ratio(self) -> float | None:
        """The gateway's value over the floor's."""
        floor = self.floors.get(self.against)
        return self.gateway / floor if self.gateway is not None and floor else None

    @property
    def target(self) -> str:
        bound, words = (self.most, "at most") if self.least is None else (self.least, "at least")
        if bound is None:
            return ""
        return f"{words} {bound:g} x the {self.against}" if self.against else f"{words} {bound:g} {self.unit}"


def per(count: float | None, readings: int, scale: float = 1) -> float | None:
    """`count` per `scale` readings; None where either is missing."""
    return None if count is None or not readings else count * scale / readings


def table(figures: list[Figure]) -> str:
    """The figures as lines of text, columns aligned."""
    rows = [("", "gateway", "floors of the same run", "gateway is", "to reach")]
    rows += [_cells(figure) for figure in figures]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    floors = ", ".join(f"{name} {_number(number)}" for name, number in figure.floors.items())
    ratio = f"{figure.ratio:.2f} x" if figure.ratio is not None else ""
    own = _number(figure.gateway) if figure.gateway is not None or not figure.why else f"not measured: {figure.why}"
    return f"{figure.name} ({figure.unit})", own, floors, ratio, figure.target


def _number(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
