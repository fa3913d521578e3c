"""What a run gave, for people and as JSON."""

import json
from dataclasses import asdict, dataclass

from bench.figures import Figure, table
from bench.work import DEVICES, POINTS, POLL_S, PUSH_S

WORK = f"{DEVICES} devices x {POINTS} float32 points, each {POLL_S} s, pushed each {PUSH_S} s"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is printed and kept."""

    seconds: int  # that were measured
    devices: str  # what served them
    machine: dict[str, str]
    figures: list[Figure]
    notes: list[str]

    def text(self) -> str:
        facts = [f"{name}: {fact}" for name, fact in self.machine.items()]
        head = [WORK, f"measured for {self.seconds} s; devices: {self.devices}", *facts]
        return "\n".join([*head, "", table(self.figures), "", *self.notes])

    def json(self) -> str:
        rows = [asdict(figure) | {"ratio": figure.ratio, "target": figure.target} for figure in self.figures]
        return json.dumps({"work": WORK} | asdict(self) | {"figures": rows}, indent=2) + "\n"
