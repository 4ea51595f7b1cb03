"""Random programs of tasks, futures, callbacks, timers and cancellations, and the trace that one leaves.

A program is drawn from a seed before it runs, so that it is the same whatever it runs on.  It is a table of
scripts; a script is a list of operations, each a tuple of a name and numbers.  No operation depends on the
clock: timers are set for deadlines that have passed, which puts them in order without waiting.
"""

import asyncio
import random

FUTURES = 8
SCRIPTS = 16
TASKS = 60
TURNS = 100
"""Turns after which whatever still runs is cancelled."""

OPERATIONS = {
    "sleep": 6,
    "await future": 5,
    "await task": 4,
    "shielded": 2,
    "gather": 2,
    "wait": 2,
    "start": 6,
    "cancel task": 3,
    "cancel future": 2,
    "cancel me": 0.5,
    "uncancel": 1,
    "set result": 8,
    "set exception": 3,
    "callback": 3,
    "soon": 4,
    "soon cancelled": 1,
    "timer": 3,
    "watch": 3,
    "unwatch": 1,
    "guard": 3,
    "raise": 0.5,
    "lock": 2,
    "event": 1,
    "set event": 3,
    "queue get": 1,
    "queue put": 3,
}
"""Operations and how often each is drawn."""


def draw(seed):
    """Return the program of a seed: a list of scripts."""
    source = random.Random(seed)
    names, weights = list(OPERATIONS), list(OPERATIONS.values())

    def script():
        length = source.randint(3, 16)
        chosen = source.choices(names, weights, k=length)
        return [(name, source.randrange(1000), source.randrange(1000)) for name in chosen]

    return [script() for _ in range(SCRIPTS)]


class Run:
    """One run of a program on a loop."""

    def __init__(self, program, loop, future_type, task_type):
        self.program = program
        self.loop = loop
        self.future_type = future_type
        self.task_type = task_type
        self.trace = []
        self.tasks = []
        self.starts = 0

    def note(self, *what):
        self.trace.append(what)

    def report(self, _, context):
        self.note("report", context["message"].split(" at 0x")[0], repr(context.get("exception")))

    async def main(self):
        self.loop.set_exception_handler(self.report)
        self.futures = [self.future_type(loop=self.loop) for _ in range(FUTURES)]
        self.lock, self.event, self.queue = asyncio.Lock(), asyncio.Event(), asyncio.Queue()
        self.past = self.loop.time() - 1000
        for number in range(8):
            self.start(number)
        for turn in range(TURNS):
            self.note("turn", turn)
            await asyncio.sleep(0)
        for task in self.tasks:
            task.cancel("end")
        for future in self.futures:
            future.cancel()
        while any(not task.done() for task in self.tasks):
            for future in self.futures:
                future.cancel()
            for task in self.tasks:
                task.cancel("still here")
            self.note("ending", sum(task.done() for task in self.tasks))
            await asyncio.sleep(0)
        for number, task in enumerate(self.tasks):
            self.note("task", number, self.outcome(task), task.cancelling())
        for number, future in enumerate(self.futures):
            self.note("future", number, self.outcome(future))

    @staticmethod
    def outcome(future):
        if not future.done():
            return "pending"
        if future.cancelled():
            return "cancelled"
        if (error := future.exception()) is not None:
            return f"{type(error).__name__}{error.args}"
        return repr(future.result())

    def start(self, number):
        if self.starts < TASKS:
            name = f"T{self.starts}"
            self.starts += 1
            task = self.task_type(self.script(name, number % SCRIPTS), loop=self.loop, name=name)
            self.tasks.append(task)
            return task
        return self.tasks[number % len(self.tasks)]

    async def script(self, name, number):
        self.note(name, "starts", number)
        try:
            for operation, a, b in self.program[number]:
                self.note(name, operation)
                result = await self.operate(name, operation, a, b)
                if result is not None:
                    self.note(name, operation, "gave", result)
            return f"{name} done"
        except asyncio.CancelledError as error:
            self.note(name, "cancelled", error.args, asyncio.current_task().cancelling())
            raise
        except (ValueError, KeyError, asyncio.InvalidStateError) as error:
            self.note(name, "failed", type(error).__name__, error.args)
            raise
        finally:
            self.note(name, "ends")

    def future(self, number):
        """Return the future of a number; one that is done gives way to a new one now and then."""
        place = number % FUTURES
        if self.futures[place].done() and number % 3 == 0:
            self.note("future", place, self.outcome(self.futures[place]))
            self.futures[place] = self.future_type(loop=self.loop)
        return self.futures[place]

    def called(self, label, *arguments):
        self.note("called", label, *[self.shown(argument) for argument in arguments])

    @staticmethod
    def shown(argument):
        return "future" if asyncio.isfuture(argument) else argument

    async def operate(self, name, operation, a, b):
        future = self.future(a)
        task = self.tasks[a % len(self.tasks)]
        match operation:
            case "sleep":
                for _ in range(a % 3 + 1):
                    await asyncio.sleep(0)
            case "await future":
                return repr(await future)
            case "await task":
                if task is asyncio.current_task() or b % 3 == 0:
                    await asyncio.sleep(0)
                elif not self.would_wait_for_itself(task):
                    return repr(await task)
            case "shielded":
                return repr(await asyncio.shield(future))
            case "gather":
                both = self.future(a), self.future(b)
                return repr(await asyncio.gather(*both, return_exceptions=b % 2 == 0))
            case "wait":
                both = {self.future(a), self.future(b)}
                modes = (asyncio.FIRST_COMPLETED, asyncio.ALL_COMPLETED, asyncio.FIRST_EXCEPTION)
                done, pending = await asyncio.wait(both, return_when=modes[b % 3])
                return f"{len(done)} done, {len(pending)} pending"
            case "start":
                self.start(b)
            case "cancel task":
                return task.cancel(f"by {name}" if b % 2 else None)
            case "cancel future":
                return future.cancel()
            case "cancel me":
                asyncio.current_task().cancel("myself")
            case "uncancel":
                return asyncio.current_task().uncancel()
            case "set result":
                if not future.done():
                    future.set_result(f"from {name}")
            case "set exception":
                if not future.done():
                    future.set_exception((ValueError, KeyError)[b % 2](f"from {name}"))
                    future.exception()
            case "callback":
                self.loop.call_soon(self.set_later, future, name, b)
            case "soon":
                self.loop.call_soon(self.called, f"soon by {name}", b)
            case "soon cancelled":
                self.loop.call_soon(self.called, "never").cancel()
            case "timer":
                self.loop.call_at(self.past + self.distinct(b), self.called, f"timer by {name}", b)
            case "watch":
                self.futures[b % FUTURES].add_done_callback(self.watcher(name))
            case "unwatch":
                return self.futures[b % FUTURES].remove_done_callback(print)
            case "guard":
                try:
                    await asyncio.sleep(0)
                    await asyncio.shield(future)
                except (ValueError, KeyError) as error:
                    return f"guarded {error!r}"
                except asyncio.CancelledError:
                    self.note(name, "guard cancelled")
                    if b % 2:
                        raise
                    return "swallowed"
            case "raise":
                raise ValueError(f"raised by {name}")
            case "lock":
                async with self.lock:
                    await asyncio.sleep(0)
            case "event":
                await self.event.wait()
            case "set event":
                self.event.set()
                if b % 2:
                    self.event.clear()
            case "queue get":
                return await self.queue.get()
            case "queue put":
                self.queue.put_nowait(name)
        return None

    def distinct(self, number):
        """Return a deadline nobody else has: the order of equal deadlines is not defined."""
        self.timers = getattr(self, "timers", 0) + 1
        return number + self.timers / 1000

    def would_wait_for_itself(self, task):
        """Tell whether waiting for `task` closes a circle of tasks."""
        me, seen = asyncio.current_task(), set()
        while task is not None and task not in seen:
            seen.add(task)
            waiter = task._fut_waiter
            if waiter is me:
                return True
            task = waiter if waiter in self.tasks else None
        return False

    def set_later(self, future, name, number):
        self.called(f"callback by {name}", number)
        if not future.done():
            future.set_result(number)
        if number % 7 == 0:
            raise ValueError("raised by a callback")

    def watcher(self, name):
        def watched(future):
            self.called(f"watched by {name}", self.outcome(future))

        return watched


def trace_of(seed, loop, future_type, task_type, *, debug=False):
    """Run the program of a seed on a new loop and return its trace."""
    run = Run(draw(seed), loop, future_type, task_type)
    loop.set_debug(debug)
    loop.slow_callback_duration = 1000
    try:
        loop.run_until_complete(run.main())
    finally:
        loop.close()
    return run.trace
