"""Timers of asyncio's own loops that are due exactly now run, however coarse the clock is.

A loop of asyncio runs what is due before `time() + _clock_resolution`. Where that sum is `time()` again, as
with a subclass whose `time()` counts the seconds since 1970, a timer that is due at exactly `time()` never
runs, and the loop asks the kernel for ever without waiting. yibu's loop has another rule. Loops of asyncio's
are still made after `install()`, by subclasses and for selectors of the program's own; they get a resolution
whose sum with a time is always later than that time. Called by `installation.py`.
"""

from __future__ import annotations

import asyncio
import math

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

_NAME = "_clock_resolution"


class Resolution(float):
    """A number of seconds that makes a difference to every time it is added to."""

    def __radd__(self, time: float) -> float:
        """Add it to a time: the sum is later."""
        return max(time + float(self), math.nextafter(time, math.inf))

    def __add__(self, time: float) -> float:
        """Add a time to it: the sum is later."""
        return self.__radd__(time)


def _get(loop: Any) -> Any:
    try:
        value = vars(loop)[_NAME]
    except KeyError:
        raise AttributeError(f"{type(loop).__name__!r} object has no attribute {_NAME!r}") from None
    return Resolution(value) if type(value) is float else value


def _set(loop: Any, value: object) -> None:
    vars(loop)[_NAME] = value


def _delete(loop: Any) -> None:
    if vars(loop).pop(_NAME, None) is None:
        raise AttributeError(_NAME)


def mend() -> None:
    """Have all loops of asyncio's read their resolution like this, those that exist included."""
    if _NAME not in vars(asyncio.BaseEventLoop):
        setattr(asyncio.BaseEventLoop, _NAME, property(_get, _set, _delete))


def give_back() -> None:
    """Undo it."""
    mended = vars(asyncio.BaseEventLoop).get(_NAME)
    if isinstance(mended, property) and mended.fget is _get:
        delattr(asyncio.BaseEventLoop, _NAME)
