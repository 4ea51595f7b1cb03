"""What a program runs on: the names of an asyncio, and a loop whose clock goes on when it is told to.

Each mode of `choices.MODES` gives a pair of them, the stock one and yibu's.  Called by `comparison.py`.
"""

import asyncio
import random
from dataclasses import dataclass
from types import SimpleNamespace

from .mended import SelectorEventLoop, mended
from .overriding import OVERRIDES, Notes, with_overrides


@dataclass
class Implementation:
    """The names of an asyncio, and the class of its loop."""

    aio: object
    loop: type
    future: type
    """The class of every other future that a program finds ready made."""
    module: object
    """Where the classes are that a program patches."""
    notes: Notes | None = None


def in_order(aio):
    """Return the names of an asyncio, with a group that cancels its tasks in the order of their creation.

    Stock's takes the order of a set of them, that is, of their addresses.
    """

    class TaskGroup(aio.TaskGroup):
        def __init__(self):
            super().__init__()
            self.made = []

        def create_task(self, coro, **keywords):
            task = super().create_task(coro, **keywords)
            self.made.append(task)
            return task

        def _abort(self):
            self._aborting = True
            for task in self.made:
                if not task.done():
                    task.cancel()

    return SimpleNamespace(**names_of(aio) | {"TaskGroup": TaskGroup})


def names_of(aio):
    return {name: getattr(aio, name) for name in dir(aio)}


def still(loop_class):
    """Return a class of loops whose time is what a program says it is."""

    class StillLoop(loop_class):
        clock = 1000.0

        def time(self):
            return self.clock

    return StillLoop


def pair(program, impl):
    """Return what the stock run of a program takes place on, and what that under test does."""
    mode = program.mode
    stock = Implementation(mended(asyncio), still(SelectorEventLoop), asyncio.Future, asyncio)
    native = Implementation(
        mended(asyncio) if impl.is_stock else impl.module,
        still(SelectorEventLoop if impl.is_stock else impl.EventLoop),
        impl.Future,
        impl.module,
    )
    match mode:
        case "foreign loop":
            native.loop, native.future = stock.loop, stock.future
        case "stock primitives":
            native.aio, native.module = stock.aio, stock.module
        case "stock futures":
            native.future = stock.future
        case "subclasses":
            stock.aio, native.aio = with_subclasses(stock.aio), with_subclasses(native.aio)
    if mode != "only children":
        stock.aio, native.aio = in_order(stock.aio), in_order(native.aio)
    if mode == "overrides":
        chance = random.Random(program.choice)
        chosen = chance.sample(OVERRIDES, chance.randint(1, 12))
        for implementation in (stock, native):
            with_overrides(implementation, chosen)
    return stock, native


def with_subclasses(aio):
    """Return the names with Python subclasses that override what is often overridden."""

    class Lock(aio.Lock):
        async def acquire(self):
            await aio.sleep(0)
            return await super().acquire()

    class Event(aio.Event):
        def set(self):
            self.times = getattr(self, "times", 0) + 1
            super().set()

    class Condition(aio.Condition):
        def notify(self, n=1):
            super().notify(n + 1)

    class Semaphore(aio.Semaphore):
        def release(self):
            super().release()

    class Queue(aio.Queue):
        """Gives the newest of the three oldest."""

        def _get(self):
            self._queue.rotate(-2)
            return self._queue.popleft()

        def _put(self, item):
            self._queue.extend([item, item] if item == 7 else [item])

    class PriorityQueue(aio.PriorityQueue):
        def put_nowait(self, item):
            super().put_nowait(-item)

    class Future(aio.Future):
        def set_result(self, result):
            super().set_result((result,))

    class Task(aio.Task):
        def cancel(self, msg=None):
            return super().cancel(f"{msg}!")

    own = {
        kind.__name__: kind
        for kind in (Lock, Event, Condition, Semaphore, Queue, PriorityQueue, Future, Task)
    }
    return SimpleNamespace(**names_of(aio) | own)
