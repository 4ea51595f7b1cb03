"""yibu's event loop, as Python sees it.

The loop itself is native (`yibu._yibu.EventLoop`). This class adds what a native base cannot be: a
subclass of `asyncio.SelectorEventLoop`, of whose classes libraries test whether a loop is one of them,
and an instance `__dict__`, so that any method can be replaced on one loop.

Made by `policy.py` and by programs. The order of the bases matters: native first. No method of asyncio's
is reached, because the native class has every one of them, be it to refuse it.
"""

import asyncio

from yibu import _yibu
from yibu.loop_internals import LoopInternals


class EventLoop(_yibu.EventLoop, LoopInternals, asyncio.SelectorEventLoop):
    """An asyncio event loop implemented in Rust."""


def new_event_loop() -> EventLoop:
    """Make a new event loop, whatever policy is in force."""
    return EventLoop()
