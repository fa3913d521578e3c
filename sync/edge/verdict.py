"""What an HTTP answer means; pure. Only one that repeats the batch's cursor acknowledges it."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from gateway.core.errors import PushError
from sync import wire
from sync.edge.transport import BatchRefused, BatchTooLarge, HubBusy, HubRefused, LayoutsWanted

SAID_MAX = 200  # characters of what a stranger says that go into a message
RETRY_MAX_S = 1800.0  # who asks for more is heard again after this all the same
SIGN_IN = "open a web page from the site's network: a sign-in page or a proxy may stand before the hub"


def answer_in(body: bytes) -> wire.Answer:
    """What the hub says; where it is no answer of a hub, one without a cursor."""
    try:
        return msgspec.json.decode(body, type=wire.Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return wire.Answer(cursor="", error=body[:SAID_MAX].decode(errors="replace"))


def judge(status: int, headers: Mapping[str, str], answer: wire.Answer, cursor: str, now_ms: int) -> wire.Answer:
    """The answer, where the hub took what `cursor` stands for. Raises the PushError that fits otherwise.

    `now_ms` is for a Retry-After that names a time.
    """
    if status == 200:
        if answer.cursor != cursor:  # a captive portal answers 200, too
            raise PushError(f"not the hub answers, but {_who(headers)}", hint=SIGN_IN)
        return answer
    said = answer.error or "it does not say why"
    if 300 <= status < 400:
        where = _header(headers, "Location") or "nowhere"
        raise PushError(
            f"not the hub answers: we are sent on to {where} ({status})", hint=f"check hub.url, or {SIGN_IN}"
        )
    if status == 409 and answer.wanted and answer.cursor == cursor:
        raise LayoutsWanted(answer.wanted)
    if status in (429, 503):
        raise HubBusy(f"the hub is busy ({status}): {said}", _retry_after_s(headers, now_ms))
    if status == 413:
        raise BatchTooLarge(f"the hub, or a proxy before it, takes no batch of this size: {said}")
    if status in (400, 422) and answer.cursor == cursor:
        raise BatchRefused(said)
    raise _refusal(status, said)


def _refusal(status: int, said: str) -> PushError:
    if status == 401:
        return HubRefused("the hub does not know this node or its secret", hint="check hub.node_id and hub.secret")
    if status == 404:
        return HubRefused("there is no hub at this address, or it is an older one (404)", hint="check hub.url")
    if status == 407:
        return HubRefused("the proxy wants to be signed in to (407)", hint="put name and password into hub.proxy")
    if status == 408 or not 400 <= status < 500:
        return PushError(f"the hub fails ({status}): {said}", hint="look into the hub's log, and of a proxy before it")
    return HubRefused(f"the hub refuses what we send ({status}): {said}", hint="update the gateway or the hub")


def _who(headers: Mapping[str, str]) -> str:
    kind = _header(headers, "Content-Type").partition(";")[0]
    return "a web page" if kind == "text/html" else f"something that gives {kind or 'nothing'}"


def _header(headers: Mapping[str, str], name: str) -> str:
    """As text that can be shown; a stranger's may be no UTF-8."""
    return headers.get(name, "")[:SAID_MAX].encode(errors="replace").decode()


def _retry_after_s(headers: Mapping[str, str], now_ms: int) -> float:
    """Seconds, or a date; 0 where it is neither."""
    text = headers.get("Retry-After", "")
    if text.isdecimal() and len(text) < 16:
        return min(float(text), RETRY_MAX_S)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - now_ms / 1000
    except (ValueError, OverflowError):
        return 0
    return min(max(wait_s, 0), RETRY_MAX_S)
