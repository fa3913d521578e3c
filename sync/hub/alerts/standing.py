"""From causes to alerts: what begins, what goes on, what ends, without one alert for each time that a cause flickers.

Pure but for `Pending`, which remembers since when a cause lasts that has to prove itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sync.hub.alerts.causes import Cause, Findings, Key, Kind
from sync.hub.alerts.settings import AlertsConfig

CALM_MOST = 8  # times `calm_s`, of an alert that comes back again and again


@dataclass(frozen=True, slots=True)
class Known:
    """An alert that stands, or ended not long ago; times in wall ms."""

    id: int
    node: str
    device: str
    kind: Kind
    words: str
    times: int  # how often it began
    away: int | None  # since when its cause is away
    ended: int | None

    @property
    def key(self) -> Key:
        return self.kind, self.device


@dataclass(frozen=True, slots=True)
class Begin:
    """A new alert."""

    node: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Change:
    """again: one that had ended stands once more. away, back: its cause. words: it says otherwise now."""

    what: Literal["again", "away", "back", "end", "words"]
    id: int
    words: str


class Pending:
    """Since when causes last that are no alerts yet; lost with the process, which costs them their time."""

    def __init__(self) -> None:
        self._since: dict[str, dict[Key, int]] = {}

    def lasting(self, node: str, causes: Mapping[Key, Cause], now: int, hold_ms: float) -> list[Cause]:
        """Those that have lasted long enough; what is not among `causes` starts anew."""
        before = self._since.pop(node, {})
        since = {key: before.get(key, now) for key in causes}
        if since:
            self._since[node] = since
        return [cause for key, cause in causes.items() if cause.lasting or now - since[key] >= hold_ms]

    def forget(self, node: str) -> None:
        """Nothing is wrong with it."""
        self._since.pop(node, None)


def changes(
    node: str, found: Findings, known: Sequence[Known], pending: Pending, now: int, config: AlertsConfig
) -> Iterator[Begin | Change]:
    """What is to be done about the alerts of one node; `known`: those that stand or ended within `config.again_s`."""
    standing = {alert.key: alert for alert in known if alert.ended is None}
    ended = {alert.key: alert for alert in known if alert.ended is not None}
    fresh = {key: cause for key, cause in found.causes.items() if key not in standing}
    for cause in pending.lasting(node, fresh, now, 1000 * config.hold_s):
        if before := ended.get((cause.kind, cause.device)):
            yield Change("again", before.id, cause.words)
        else:
            yield Begin(node, cause)
    for key, alert in standing.items():
        if there := found.causes.get(key):
            if alert.away is not None:
                yield Change("back", alert.id, alert.words)
            if alert.kind == "problem" and there.words != alert.words:
                yield Change("words", alert.id, there.words)
        elif alert.kind not in found.unknown:
            if alert.away is None:
                yield Change("away", alert.id, alert.words)
            elif now - alert.away >= 1000 * config.calm_s * min(2 ** (alert.times - 1), CALM_MOST):
                yield Change("end", alert.id, alert.words)
