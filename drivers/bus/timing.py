"""Times on a serial line, pure; all in seconds.

Source: Modbus over Serial Line v1.02, 2.5.1.1.
"""

from dataclasses import dataclass

FAST_BAUD = 19200  # above it the silence between frames no longer shrinks
FAST_SILENCE_S = 0.00175
SILENCE_CHARACTERS = 3.5

LINE_FLOOR_S = 0.1  # no unit gets less time than this to begin its answer
TCP_FLOOR_S = 1.0  # waiting longer costs nobody else there, and a radio link has hiccups
LATENCIES = 4  # so many times its usual latency a unit may take
FORGET = 0.05  # how fast a high latency is forgotten, an answer


def character_s(baud: int, parity: str, stop_bits: int) -> float:
    """How long one character takes: a start bit, 8 bits, parity and stop bits."""
    return (9 + (parity != "none") + stop_bits) / baud


def silence_s(baud: int, character: float) -> float:
    """The silence that parts two frames: 3.5 characters, and 1.75 ms above 19200 baud."""
    return FAST_SILENCE_S if baud > FAST_BAUD else SILENCE_CHARACTERS * character


@dataclass(slots=True)
class Patience:
    """How long one unit is waited for: a multiple of its latency, within bounds.

    The latency kept is a peak that sinks slowly, so that one slow answer in twenty is not given up.
    Each timeout doubles the patience, up to what is configured, until the unit answers again.
    """

    floor_s: float = LINE_FLOOR_S
    latency_s: float | None = None
    doubled: int = 0

    def timeout_s(self, configured_s: float) -> float:
        if self.latency_s is None:
            return configured_s
        return min(configured_s, max(self.floor_s, LATENCIES * self.latency_s) * (1 << self.doubled))

    def answered(self, latency_s: float) -> None:
        known = self.latency_s
        self.latency_s = latency_s if known is None else max(latency_s, known + FORGET * (latency_s - known))
        self.doubled = 0

    def timed_out(self) -> None:
        self.doubled = min(self.doubled + 1, 10)
