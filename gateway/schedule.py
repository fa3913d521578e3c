"""When a poll is due: an absolute grid on the wall clock, pure."""


def next_due_ms(due_ms: int, every_ms: int, now_ms: int) -> int:
    """The first multiple of `every_ms` after both the poll that was due and now.

    All buses share these instants, so that the work of a second is one burst and the processor
    sleeps between. After a step of the clock backwards, the grid of the new time is taken up.
    """
    latest = now_ms if due_ms - now_ms > every_ms else max(due_ms, now_ms)
    return (latest // every_ms + 1) * every_ms


def missed(due_ms: int, every_ms: int, now_ms: int) -> int:
    """How many instants have passed unused since the poll that was due at `due_ms`."""
    return max(0, (now_ms - due_ms) // every_ms)
