"""`run` and `Runner` on yibu's loop.

`Runner` is the running interpreter's own, so that Ctrl-C, contexts, what may be run and how things
are shut down are what that Python does; what differs is the loop it makes when no factory is given.
"""

import asyncio
from asyncio import events
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from yibu.policy import new_event_loop

_T = TypeVar("_T")
_StockRunner: Any = asyncio.Runner  # marked final for everybody else


class Runner(_StockRunner):  # type: ignore[misc]
    """`asyncio.Runner` that makes yibu's event loop unless it is given a `loop_factory`."""

    _loop: Any
    _loop_factory: Any

    def _lazy_init(self) -> None:
        if self._loop is not None or self._loop_factory is not None:
            super()._lazy_init()
            return
        # Without a factory the stock runner asks the policy for a loop, and makes that loop the
        # current one of the thread until it is closed. Only the asking must not happen.
        self._loop_factory = new_event_loop
        try:
            super()._lazy_init()
        finally:
            self._loop_factory = None
        events.set_event_loop(self._loop)
        self._set_event_loop = True


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T:
    """Run a coroutine on a new event loop and return its result; `asyncio.run` on yibu.

    `loop_factory` is accepted on every Python, though asyncio's own `run` has it only since 3.12.
    """
    if events._get_running_loop() is not None:
        # Fail before a runner is made: the traceback is shorter, and the text is asyncio's.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        result: _T = runner.run(main)
        return result
