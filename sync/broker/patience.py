"""How long one end waits for the other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """What one end has with the other; the defaults are what bad mobile lines and long outages need."""

    connect_s: float = 30.0  # by HTTPS: name, connection and TLS together
    answer_s: float = 60.0  # with the hub's answer; by HTTPS to a small batch, and there and back
    slowest: float = 1000  # bytes a second, by HTTPS: what a bad mobile line still carries
    poll_s: int = 50  # less than proxies allow an answer to take
    broker_connect_s: float = 15.0
    broker_close_s: float = 3.0
    blocked_s: float = 2.0  # with a broker that has an alarm
    confirm_s: float = 30.0  # with the broker, for a small message
    # Between two attempts; see `Backoff`.
    first_s: float = 1.0
    away_max_s: float = 60.0  # the network or the hub is away
    refused_max_s: float = 1800.0  # the hub is there and does not want us


USUAL = Patience()
