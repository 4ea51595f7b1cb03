"""asyncio without some of its errors, so that programs that meet them can be compared.

What is wrong in too many places of old versions, or in their C code, is not put right here; `choices.py`
leaves that out, each with its reason. Called by `implementations.py`.
"""

import asyncio
import contextlib
import sys
from asyncio.locks import _BarrierState
from types import SimpleNamespace


class Barrier(asyncio.Barrier):
    """Gives each number once; asyncio's (on every Python) gives one twice after a cancelled wait."""

    def __init__(self, parties):
        super().__init__(parties)
        self._left = []

    async def wait(self):
        async with self._cond:
            await self._block()
            try:
                number = min(self._left, default=self._count)
                if self._left:
                    self._left.remove(number)
                self._count += 1
                if self._count == self._parties:
                    await self._release()
                else:
                    await self._wait()
                return number
            finally:
                self._count -= 1
                if not self._count:
                    self._left.clear()
                elif self._state is _BarrierState.FILLING:
                    self._left.append(number)
                self._exit()


class TaskGroup(asyncio.TaskGroup):
    """Looks at eager tasks that are done in a turn of their own, as it does since 3.14.

    Before, one that failed at once cancelled the parent too early.
    """

    _creating = False

    def create_task(self, coro, **keywords):
        # An eager task may add another one to the group before this call ends.
        outer, self._creating = self._creating, True
        try:
            return super().create_task(coro, **keywords)
        finally:
            self._creating = outer

    def _on_task_done(self, task):
        if self._creating:
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)
        else:
            super()._on_task_done(task)


class SelectorEventLoop(asyncio.SelectorEventLoop):
    """Receives for a task when that task runs, a turn after the socket could be read.

    asyncio receives at once, and what it received is lost if the task is cancelled before it runs.
    """

    async def sock_recv(self, sock, n):
        while True:
            with contextlib.suppress(BlockingIOError):
                return sock.recv(n)
            await self._until_readable(sock)

    async def _until_readable(self, sock):
        readable = self.create_future()
        self.add_reader(sock, lambda: readable.done() or readable.set_result(None))
        try:
            await readable
        finally:
            self.remove_reader(sock)


MENDED = {"Barrier": Barrier}
if sys.version_info < (3, 14):
    MENDED["TaskGroup"] = TaskGroup


def mended(aio):
    """Return the names of asyncio, with the classes of this module in the place of its own."""
    return SimpleNamespace(**{name: getattr(aio, name) for name in dir(aio)} | MENDED)
