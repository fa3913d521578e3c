"""What is wrong with a node, by what the hub knows of it: which causes for an alert there are just now; pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from gateway.core.wording import age_text, bytes_text, number_text, span_text
from sync.hub.alerts.settings import AlertsConfig
from sync.wire import Heartbeat

Kind = Literal["offline", "backlog", "clock", "disk", "device", "update_failed", "quarantine", "problem"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Key = tuple[Kind, str]  # and the device; empty: it is the node's
BY_EVENT: frozenset[Kind] = frozenset({"update_failed"})  # those that no heartbeat tells
BUT_OFFLINE = frozenset(KINDS) - {"offline"}
Trend = Literal["growing", "level", "draining"]
WORDS_MAX = 1000  # characters


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that is wrong; `since`: for how long, wall ms by the hub's clock. `lasting`: it need not prove that."""

    kind: Kind
    device: str
    since: int
    words: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class NodeNow:
    """One node; times in wall ms by the hub's clock. `trend`: of its backlog."""

    id: str
    last_seen: int
    beat_at: int = 0  # when the last heartbeat came
    beat: Heartbeat | None = None
    trend: Trend = "level"
    gone: bool = False  # revoked, or never heard of: nothing is expected of it


@dataclass(frozen=True, slots=True)
class Findings:
    """The causes there are, and the kinds of which nobody can say anything now: those neither begin nor end."""

    causes: Mapping[Key, Cause] = field(default_factory=dict)
    unknown: Collection[Kind] = BY_EVENT


def findings(node: NodeNow, now: int, watching: int, config: AlertsConfig) -> Findings:
    """`watching`: since when the hub could have heard of its nodes, without a gap."""
    if node.gone:
        return Findings()
    quiet_ms = 1000 * config.offline_s
    if now - node.last_seen >= quiet_ms:
        if now - watching < quiet_ms:
            return Findings(unknown=KINDS)
        words = f"neither a heartbeat nor a batch for {age_text(round(quiet_ms))}"
        offline = Cause("offline", "", node.last_seen, words, lasting=True)
        return Findings({("offline", ""): offline}, BUT_OFFLINE)
    if node.beat is None or now - node.beat_at >= quiet_ms:
        return Findings(unknown=BUT_OFFLINE)
    found = {(cause.kind, cause.device): cause for cause in _told(node, node.beat, config)}
    undecided = node.trend == "level" and node.beat.backlog >= config.backlog_records
    return Findings(found, BY_EVENT | {"backlog"} if undecided else BY_EVENT)


def _told(node: NodeNow, beat: Heartbeat, config: AlertsConfig) -> Iterator[Cause]:
    """What the last heartbeat tells."""
    at = node.beat_at
    if node.trend == "growing":
        words = f"the backlog grows while the node is online: {number_text(beat.backlog, '')} records wait"
        yield Cause("backlog", "", at, words, lasting=True)
    if beat.clock == "estimate":
        yield Cause("clock", "", at, "the gateway does not know the time")
    elif abs(beat.now - at) > 1000 * config.clock_off_s:
        way = "fast" if beat.now > at else "slow"
        yield Cause("clock", "", at, f"the gateway's clock is {span_text(abs(beat.now - at))} {way}")
    if _is_full(beat, config):
        yield Cause("disk", "", at, f"{bytes_text(beat.disk_free)} are left on the gateway's disk")
    for device, silent_s in (beat.silent or {}).items():
        if silent_s >= config.device_s:
            since = at - round(1000 * silent_s)
            yield Cause("device", device[:200], since, "it does not answer its gateway", lasting=True)
    if beat.quarantined:
        yield Cause("quarantine", "", at, f"the hub refuses {beat.quarantined} records or events for good")
    if problems := beat.problems if beat.faults is None else beat.faults:
        yield Cause("problem", "", at, "; ".join(problems)[:WORDS_MAX])


def _is_full(beat: Heartbeat, config: AlertsConfig) -> bool:
    """0 bytes free of nobody knows how many is a disk that is away, or that nothing was said of: no matter of room."""
    if not (beat.disk_free or beat.disk_total):
        return False
    return beat.disk_free < max(config.disk_free_mb * 1e6, config.disk_free_percent / 100 * beat.disk_total)


class Trends:
    """The backlogs of the last heartbeats of each node; of whoever evaluates, and lost with it."""

    def __init__(self, config: AlertsConfig) -> None:
        self._config = config
        self._seen: dict[str, tuple[int, tuple[int, ...]]] = {}

    def of(self, node: str, beat_at: int, backlog: int) -> Trend:
        """With this heartbeat, which may be known already."""
        last_at, backlogs = self._seen.get(node, (0, ()))
        if beat_at - last_at >= 1000 * self._config.offline_s:
            backlogs = ()  # what an outage has left is not growth
        if beat_at > last_at:
            backlogs = (*backlogs, backlog)[-self._config.backlog_beats :]
            self._seen[node] = beat_at, backlogs
        return trend(backlogs, self._config)


def trend(backlogs: tuple[int, ...], config: AlertsConfig) -> Trend:
    """Oldest first. Growing: all of the newer half exceed all of the older half; what goes up and down does not."""
    half = config.backlog_beats // 2
    if len(backlogs) < 2:
        return "level"
    if backlogs[-1] < max(backlogs[-half:]):
        return "draining"
    if len(backlogs) < config.backlog_beats or backlogs[-1] - backlogs[0] < config.backlog_records:
        return "level"
    return "growing" if min(backlogs[half:]) > max(backlogs[:half]) else "level"
