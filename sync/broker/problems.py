"""What can go wrong at the broker, in plain words with what to do."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Literal

from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused

from gateway.core.errors import PushError

ERRORS = (*CONNECTION_EXCEPTIONS, TimeoutError)  # what the library may raise where something is wrong out there
SYSTEMS = (ssl.SSLCertVerificationError, ConnectionRefusedError, socket.gaierror)
Why = Literal["away", "denied", "full", "blocked", "too large", "nowhere"]


class NotConfirmed(PushError):
    """The broker has not confirmed a message; it may have it all the same."""

    def __init__(self, why: Why, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.why = why


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Where a connection ends, the library ends some of what waits on it without saying so: say it.

    It cancels it, though nobody cancelled the task, or raises an Exception of no class. Raises ConnectionError then.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise ConnectionError("the connection ended") from error
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionError("the connection ended") from error
        raise


PROVISION = "at the hub: holdfast hub amqp-provision, with --node for a gateway"
# The first that fits: what the library raised, and the words for it; {who} is our user.
PROBLEMS: tuple[tuple[type[BaseException], Why, str, str], ...] = (
    (AuthenticationError, "denied", "the broker does not know {who} or its secret", PROVISION),
    (ProbableAuthenticationError, "denied", "the broker does not know {who} or its secret", PROVISION),
    (ChannelAccessRefused, "denied", "{who} may not do this at the broker", PROVISION),
    (InvalidFrameError, "away", "there is no such virtual host, or {who} may not use it", PROVISION),  # a Close instead
    (PublishError, "nowhere", "the broker has no queue for this", PROVISION),
    (DeliveryError, "full", "the broker's queue is full", "nothing to do: it is tried again by itself"),
    (ChannelNotFoundEntity, "nowhere", "the broker lacks the exchange or the queue", PROVISION),
    (ChannelPreconditionFailed, "too large", "{error}", "the broker's max_message_size may be raised"),
    (ssl.SSLCertVerificationError, "away", "the broker's certificate is not trusted: {error}",
     "set tls_ca beside the broker's url to a file of the certificates that sign it; and check this machine's clock"),
    (ConnectionRefusedError, "away", "nothing listens there (connection refused)",
     "check whether the broker runs, and the port"),
    (socket.gaierror, "away", "its name is not found", "check the broker's address, and whether DNS answers"),
    (TimeoutError, "away", "no answer", "check the network and the broker's address"),
    (BaseException, "away", "{error}", "check the network and the broker's address"),
)  # fmt: skip


def problem(error: BaseException, url: str, username: str) -> NotConfirmed:
    """What the library raised, in plain words with what to do; never with a secret."""
    error = _hidden(error) or error
    _, why, words, hint = next(one for one in PROBLEMS if isinstance(error, one[0]))
    said = getattr(error, "verify_message", "") or str(error) or type(error).__name__
    return NotConfirmed(why, f"{url}: {words.format(who=username, error=said)}", hint)


def _hidden(error: BaseException) -> BaseException | None:
    """What the system said, which the library hides in an error of its own."""
    seen = {id(error)}  # the library raises errors again, until one is its own cause
    while not isinstance(error, SYSTEMS):
        before = error.__cause__ or error.__context__
        if before is None or id(before) in seen:
            return None
        seen.add(id(before))
        error = before
    return error
