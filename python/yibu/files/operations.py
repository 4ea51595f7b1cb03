"""The operations of one file, one after the other, in the order in which they were awaited.

An operation is a function that a worker of an executor calls. Its await may be cancelled at any time. A
function that has begun runs to its end nevertheless, and keeps its arguments, buffers for example, until
then; the next operation of the file waits for it. A function that has not begun is never called. Called by
the classes of files and by `opening.py`; calls the executor of the running loop.
"""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop, Future, get_running_loop, shield
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from threading import Lock
from typing import Any, TypeVar

_T = TypeVar("_T")


class Operation:
    """A call that a worker makes."""

    __slots__ = (
        "after",
        "arguments",
        "dropped",
        "ended",
        "func",
        "left",
        "lock",
        "loop",
        "operations",
        "process",
    )

    def __init__(
        self,
        operations: Operations,
        loop: AbstractEventLoop,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        self.operations = operations
        self.loop = loop
        #: Named as in `functools.partial`, so that `yibu.ps()` shows what a worker does.
        self.func = function
        self.arguments = arguments
        self.process = os.getpid()
        #: Held while the function runs.
        self.lock = Lock()
        #: The operation before this one, when its loop was closed while its function ran.
        self.after: Operation | None = None
        #: The function must not be called any more.
        self.dropped = False
        #: The function has returned or raised.
        self.ended = False
        #: The await was cancelled: the worker reports the end of the operation.
        self.left = False

    def __repr__(self) -> str:
        return f"<operation {self.func!r}>"

    def __call__(self) -> Any:
        """Run in the worker."""
        if self.after is not None:
            self.after.drop()
            self.after = None
        with self.lock:
            if self.dropped:
                return None
            try:
                return self.func(*self.arguments)
            finally:
                self.ended = True
                self.arguments = ()
                if self.left:
                    self.report()

    def drop(self) -> None:
        """Wait for a function that has begun; keep one that has not begun from being called."""
        with self.lock:
            self.dropped = True

    def report(self) -> None:
        """Tell the loop that a function has ended whose await was cancelled."""
        # A RuntimeError: the loop is closed. The next operation finds that out by `is_lost`.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.operations.finished, self)

    def is_lost(self) -> bool:
        """Whether the end cannot be reported: its loop is closed, or this is a forked child."""
        return self.loop.is_closed() or self.process != os.getpid()

    def leave(self) -> None:
        """The await was cancelled."""
        if self.lock.acquire(blocking=False):
            # Not begun, or ended.
            self.dropped = True
            self.lock.release()
            self.operations.finished(self)
            return
        self.left = True
        if self.ended:
            # The worker may have looked at `left` before it was set.
            self.operations.finished(self)


class Operations:
    """The queue of one file."""

    __slots__ = ("_executor", "_loop", "_waiting", "running")

    def __init__(self, loop: AbstractEventLoop | None, executor: Executor | None) -> None:
        self._loop = loop
        self._executor = executor
        #: The operation that a worker has got, or that gets one next. While it is None, the loop's thread may
        #: use the file itself.
        self.running: Operation | None = None
        self._waiting: deque[tuple[Operation, Future[None]]] = deque()

    def bind(self, loop: AbstractEventLoop | None, executor: Executor | None) -> None:
        """Set the loop and executor that make the calls; None: the running loop and its default executor."""
        self._loop = loop
        self._executor = executor

    async def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Have a worker call the function when the operations before it are over."""
        operation = self._new(function, arguments)
        result: _T = await self._run(operation, self._enter(operation))
        return result

    async def run_to_the_end(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Do the same, but the function is called even if the await is cancelled before that."""
        operation = self._new(function, arguments)
        return await shield(operation.loop.create_task(self._run(operation, self._enter(operation))))

    def _enter(self, operation: Operation) -> Future[None] | None:
        """Give the operation its place; what it has to wait for, if anything."""
        if self.running is None:
            self.running = operation
            return None
        turn = operation.loop.create_future()
        self._waiting.append((operation, turn))
        return turn

    async def _run(self, operation: Operation, turn: Future[None] | None) -> Any:
        try:
            if turn is not None:
                await turn
            return await operation.loop.run_in_executor(self._executor, operation)
        finally:
            if operation.ended:
                self.finished(operation)
            else:
                operation.leave()

    def finished(self, operation: Operation) -> None:
        """Let the next operation begin, unless this one was not the running one."""
        if self.running is not operation:
            return
        self.running = None
        while self._waiting:
            following, turn = self._waiting.popleft()
            if not turn.done() and not following.is_lost():
                self.running = following
                turn.set_result(None)
                return

    def _new(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Operation:
        operation = Operation(self, self._loop or get_running_loop(), function, arguments)
        running = self.running
        if running is not None and running.is_lost():
            if running.process == operation.process and not running.ended:
                operation.after = running
            self.finished(running)
        return operation
