"""yibu's event loop, as Python sees it.

The loop itself is native (`yibu._yibu.EventLoop`). This class adds what a native base cannot be: a
subclass of `asyncio.SelectorEventLoop`, of whose classes libraries test whether a loop is one of them,
and an instance `__dict__`, so that any method can be replaced on one loop.

Made by `policy.py` and by programs. The order of the bases matters: native first. No method of asyncio's
is reached, because the native class has every one of them, be it to refuse it.
"""

from __future__ import annotations

import asyncio

from yibu import _yibu
from yibu.loop_internals import SHOWN, LoopInternals, own_attributes

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

    from yibu.observing.metrics import LoopMetrics


class EventLoop(_yibu.EventLoop, LoopInternals, asyncio.SelectorEventLoop):
    """An asyncio event loop implemented in Rust."""

    def metrics(self) -> LoopMetrics:
        """What the loop has counted; `yibu.observe()` makes it count more. May be called from any thread."""
        from yibu.observing.metrics import metrics_of

        return metrics_of(self)

    def _attributes(self) -> dict[str, Any]:
        """What `vars()` shows: the attributes of this object, and what those of asyncio's loops are now."""
        own = own_attributes(self)
        own.update((name, getattr(self, name)) for name in SHOWN if hasattr(self, name))
        return own

    __dict__ = property(_attributes)


def new_event_loop() -> EventLoop:
    """Make a new event loop, whatever policy is in force."""
    return EventLoop()
