"""Which device and which metric an MQTT topic speaks of; pure."""

import re
from dataclasses import dataclass

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Topic:
    """A pattern as nodes/{node}/telemetry/{metric}, and how device and metric are made of its placeholders."""

    pattern: str
    device: str
    metric: str = ""  # empty: the topic's last level
    group: str = "push"
    qos: int = 1
    accept_new: bool = False

    @property
    def filter(self) -> str:
        """The pattern as a broker knows it, with + for each placeholder."""
        return PLACEHOLDER.sub("+", self.pattern)

    def match(self, topic: str) -> tuple[str, str] | None:
        """Device and metric of a message under `topic`; None where the pattern does not fit."""
        wanted, given = self.pattern.split("/"), topic.split("/")
        if len(wanted) != len(given):
            return None
        found: dict[str, str] = {}
        for level, word in zip(wanted, given, strict=True):
            if placeholder := PLACEHOLDER.fullmatch(level):
                found[placeholder[1]] = word
            elif level != word:
                return None
        return _filled(self.device, found), _filled(self.metric, found) or given[-1]


def _filled(text: str, found: dict[str, str]) -> str:
    return PLACEHOLDER.sub(lambda placeholder: found[placeholder[1]], text)
