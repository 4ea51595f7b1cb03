"""`Breath`: lets go of the interpreter often, so that a thread that describes tasks does not hold up a loop.

Called by what works in a thread beside the loop's.
"""

import contextlib
import gc
import sys
import time
from collections.abc import Iterator

_HOLD = 0.0005
"""Seconds for which the interpreter may be held."""

_PAUSE = 0.00005
"""Long enough for a thread that waits for the interpreter to take it."""


class Breath:
    """Called often; lets go when it was held long enough."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def __call__(self) -> None:
        if time.perf_counter() - self._since > _HOLD:
            time.sleep(_PAUSE)
            self._since = time.perf_counter()


@contextlib.contextmanager
def yielding() -> Iterator[None]:
    """Have this thread hold up others as little as possible.

    Threads that want the interpreter get it after half a millisecond, and the garbage collector does not run.
    Both are as before afterwards.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(min(interval, _HOLD))
    try:
        with uncollected():
            yield
    finally:
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from running because of what describing tasks allocates.

    It runs soon after the end if most of that is still there, and then walks through all of it at once.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
