"""An event loop whose time jumps to the next timer: hours of a bus in a moment, and always the same."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
START_S = 1_000_000.0


class _Jumping(selectors.DefaultSelector):
    """Never waits; what would have been waited is added to the time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = START_S

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("nothing will ever happen any more")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """For what runs in memory only: a real socket would be left behind. What a thread would do is done at once."""

    def __init__(self) -> None:
        self.selector = _Jumping()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now_s

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # the caller's, as from a thread
            done.set_exception(error)
        return done


class VirtualClock:
    """Our `Clock` on that time; wall time begins at a whole minute."""

    def wall_ms(self) -> int:
        return 1_800_000_000_000 + round(1000 * (self.monotonic_s() - START_S))

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


async def go_on(seconds: float) -> None:
    """Let virtual time go on; on any other loop it would be a wait, and is an error."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    later = loop.create_future()
    loop.call_later(seconds, later.set_result, None)
    await later
