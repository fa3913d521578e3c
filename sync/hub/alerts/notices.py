"""What receivers are told, as text for people and as JSON for programs; pure."""

import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from gateway.core.wording import span_text, utc_text
from sync.hub.alerts.receivers import Notice

LINES_MAX = 100  # of a mail
KIND_WORDS = {
    "offline": "offline", "backlog": "backlog grows", "clock": "clock wrong", "disk": "disk nearly full",
    "device": "device silent", "update_failed": "update failed", "quarantine": "records refused",
    "problem": "problem",
}  # fmt: skip


class Message(msgspec.Struct, frozen=True):
    """The body of a webhook. `delivery`: the same where the same is sent once more; where that has become more, alert,
    times and what of each tell what is known already."""

    delivery: str
    sent: int  # milliseconds since 1970 UTC
    alerts: Sequence[Notice]
    url: str = ""  # of the page of alerts
    test: bool = False


def delivery_of(receiver: str, notices: Sequence[Notice]) -> str:
    """An id by which a receiver finds out that it has a message already."""
    content = msgspec.json.encode([receiver, *((one.alert, one.times, one.what) for one in notices)])
    return hashlib.sha256(content).hexdigest()[:32]


def signature(secret: str, sent: int, body: bytes) -> str:
    """HMAC-SHA256, hexadecimal, over the time as in the header, a dot, and the body."""
    return hmac.new(secret.encode(), f"{sent}.".encode() + body, hashlib.sha256).hexdigest()


def subject(message: Message) -> str:
    """One line."""
    if message.test:
        return "Holdfast: a test"
    if len(message.alerts) == 1:
        one = message.alerts[0]
        return _plain(f"Holdfast: {one.site_name or one.node}: {_name(one)}{' is over' if one.what == 'ended' else ''}")
    began = sum(one.what == "began" for one in message.alerts)
    return f"Holdfast: {began} alerts began, {len(message.alerts) - began} ended"


def text(message: Message) -> str:
    """A line for each alert, those that began first."""
    if message.test:
        return "This is a test: alerts of the hub come to this address.\n"
    lines = []
    for what in ("began", "ended"):
        if those := [one for one in message.alerts if one.what == what]:
            lines += [f"{what.capitalize()}:", *map(_line, those[:LINES_MAX])]
            lines += [f"- and {len(those) - LINES_MAX} more"] if len(those) > LINES_MAX else []
            lines.append("")
    return "\n".join([*lines, message.url]).rstrip("\n") + "\n"


def _line(one: Notice) -> str:
    where = f"{one.site_name}, node {one.node}" if one.site_name else f"node {one.node}"
    when = f"since {utc_text(one.since)} UTC"
    if one.what == "ended" and one.ended is not None:
        when = f"{utc_text(one.since)} UTC, for {span_text(one.ended - one.since)}"
    return _plain(f"- {where}: {_name(one)}: {one.words} ({when})")


def _name(one: Notice) -> str:
    kind = KIND_WORDS.get(one.kind, one.kind)
    return f"{kind}: {one.device}" if one.device else kind


def _plain(words: str) -> str:
    """In one line, whatever a gateway calls its devices."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())
