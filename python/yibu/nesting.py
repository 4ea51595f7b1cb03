"""`allow_nested()`: a running loop may be run again, from inside. The named opt-in for programs that need it.

Synchronous code that was called by a coroutine or a callback, and has to wait for a coroutine itself, can
then say `loop.run_until_complete(coro)`, or `asyncio.run(coro)`: in Jupyter, in callbacks of a GUI, in a
synchronous library between two asynchronous ones. The inner run makes turns of the same loop, so everything
else goes on meanwhile: other tasks, connections, timers.

It does what `nest_asyncio` does, with the same limits, which come with the matter.

- The task that began an inner run stands still until the inner run is over, and inner runs end in the reverse
  order of their beginnings: one that began first waits for those that began within it, though its own future
  may long be done. A task that waits for the one that stands still waits in vain.
- Each inner run is deeper in the stack. There are as many as the interpreter's recursion limit allows, then
  RecursionError.
- `stop()` ends the innermost run; if that is one of `run_until_complete`, with RuntimeError, and the runs
  around it, too.
- A callback in the very context (`context=`) of the code that stands still cannot run before that goes on.

Called by programs. The inner turns are `EventLoop._run_once`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

from yibu import _yibu
from yibu.event_loop import EventLoop

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any


class _Allowed:
    """Whether `allow_nested` was called."""

    yes = False


def allow_nested() -> None:
    """Let loops of yibu be run from inside, in all threads of this process; see the module's text.

    May be called while a loop runs, and again. From then on `run_until_complete` and `run_forever` of a
    running loop of yibu make turns of it, and so does `asyncio.run` where such a loop runs. It neither closes
    that loop nor cancels the other tasks in it, and makes no loop, whatever its `loop_factory`.
    """
    if _Allowed.yes:
        return
    _Allowed.yes = True
    for method in _run_until_complete, _run_forever:
        setattr(EventLoop, method.__name__.removeprefix("_"), method)
    native_run, stock_run = _yibu.run, asyncio.run
    replacements = {id(run): _nested_run(run) for run in (native_run, stock_run)}
    for name, module in list(sys.modules.items()):
        if name in ("asyncio", "asyncio.runners", "yibu", "yibu.runners"):
            replacement = replacements.get(id(vars(module)["run"]))
            if replacement is not None:
                vars(module)["run"] = replacement


def _runs_here(loop: Any) -> bool:
    thread: int | None = loop._thread_id
    return thread == threading.get_ident()


def _run_until_complete(self: Any, future: Any) -> Any:
    """Run until the future is done, within the run of the loop if there is one."""
    if not _runs_here(self):
        return _yibu.EventLoop.run_until_complete(self, future)
    made_here = not asyncio.isfuture(future)
    future = asyncio.ensure_future(future, loop=self)
    if made_here:
        # Its exception is raised here: a pending one needs no report if the loop is stopped.
        future._log_destroy_pending = False
    with _inner_run(self) as turn:
        while not future.done() and turn(future):
            pass
    if not future.done():
        raise RuntimeError("Event loop stopped before Future completed.")
    return future.result()


def _run_forever(self: Any) -> None:
    """Run until stop() is called, within the run of the loop if there is one."""
    if not _runs_here(self):
        _yibu.EventLoop.run_forever(self)
        return
    with _inner_run(self) as turn:
        while turn(None):
            pass
        self._stopping = False  # it was this run that was to stop


@contextlib.contextmanager
def _inner_run(loop: Any) -> Iterator[Callable[[asyncio.Future[Any] | None], bool]]:
    """Turns of a loop in the midst of one of its steps, whose task is not the current one meanwhile.

    Gives a function for one turn. It tells whether to go on: whether nobody has stopped the loop. That the
    future of an outer run is done is no reason to stop this one. A cancellation of the task that stands still
    is passed on to the future that it waits for, as if the task awaited it.
    """
    task = asyncio.current_task(loop)
    # What the runs around this one are to stop for is kept from its turns, which would not wait for work.
    stop, completed = loop._stopping, loop._run_completed
    loop._stopping = loop._run_completed = False

    def turn(future: asyncio.Future[Any] | None) -> bool:
        nonlocal stop, completed
        loop._run_once()
        if future is not None and _yibu._take_cancellation(task):
            future.cancel()
        if loop._stopping and loop._run_completed:
            stop = completed = True
            loop._stopping = loop._run_completed = False
        return not loop._stopping

    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    try:
        yield turn
    finally:
        if task is not None:
            asyncio.tasks._enter_task(loop, task)
        loop._stopping = loop._stopping or stop
        loop._run_completed = completed


def _nested_run(outermost: Callable[..., Any]) -> Callable[..., Any]:
    """`asyncio.run`, within the loop of yibu that runs if there is one."""

    def run(main: Any, *, debug: bool | None = None, **keywords: Any) -> Any:
        loop = asyncio._get_running_loop()
        if not isinstance(loop, EventLoop):
            return outermost(main, debug=debug, **keywords)
        if sys.version_info < (3, 14) and not asyncio.iscoroutine(main):
            raise ValueError(f"a coroutine was expected, got {main!r}")
        task = asyncio.ensure_future(main, loop=loop)
        debug_before = loop.get_debug()
        if debug is not None:
            loop.set_debug(debug)
        try:
            return loop.run_until_complete(task)
        finally:
            if debug is not None:
                loop.set_debug(debug_before)
            if not task.done():  # an exception that leaves a loop: Ctrl-C
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(run, name, getattr(outermost, name))
    return run
