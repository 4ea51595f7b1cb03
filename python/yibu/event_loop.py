"""yibu's event loop, as Python sees it.

The loop itself is native (`yibu._yibu.EventLoop`). This class adds what a native base cannot be: an
`asyncio.AbstractEventLoop`, which libraries test for, with an instance `__dict__`, so that any method
can be replaced on one loop.

Made by `policy.py` and by programs. The order of the bases matters: native first, then the abstract
methods, which raise `NotImplementedError`.
"""

import asyncio

from yibu import _yibu
from yibu.loop_internals import LoopInternals


class EventLoop(_yibu.EventLoop, LoopInternals, asyncio.AbstractEventLoop):
    """An asyncio event loop implemented in Rust."""


def new_event_loop() -> EventLoop:
    """Make a new event loop, whatever policy is in force."""
    return EventLoop()
