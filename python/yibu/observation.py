"""`yibu.observe()`: has loops count what costs a little: lag, how tasks end, what coroutine functions use.

`EventLoop.metrics()` shows it, and the exporters of `yibu.observing` send it away. Called by programs.
"""

from __future__ import annotations

import threading
from types import TracebackType

from yibu import _yibu

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Self

    from yibu.observing.ticking import Ticking


class Observer:
    """An observer, until `stop()` or the end of its `with` block. `yibu.observe()` makes it."""

    def __init__(self, slow: float) -> None:
        with _lock:
            _yibu._observe(slow)
            if not _observers:
                from yibu.observing import background
                from yibu.observing.ticking import Ticking

                _clock.append(Ticking())
                background.add(_clock[0])
            _observers.append(self)

    def stop(self) -> None:
        """Observe no more. Without an observer the loops forget what they have counted for observers."""
        with _lock:
            if self in _observers:
                _observers.remove(self)
                if not _observers:
                    from yibu.observing import background

                    _yibu._forget_observations()
                    background.remove(_clock.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


_lock = threading.Lock()
_observers: list[Observer] = []
_clock: list[Ticking] = []


def observe(slow: float = 0.1) -> Observer:
    """Have the loops of all threads, also those made later, count what `metrics()` else has no figures for.

    A step that takes `slow` seconds or longer is a slow poll; while several observe, the first one says that.
    """
    return Observer(slow)
