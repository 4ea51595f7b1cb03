"""What a program sees while it runs, and what it leaves: a trace of who did what when.

A `World` has the primitives, tasks and futures that programs share, and the functions that they call.  Its
clock goes on by one with every turn of the loop; deadlines are some turns away, and no two are equal.
Called by `comparison.py`.
"""

import asyncio
import concurrent.futures
import contextvars
import gc
import re
import threading
import types
import weakref

from .grammar import SCRIPTS
from .lost import alone
from .overriding import Patches
from .wires import Wires

TURNS = 50
"""Turns after which whatever still runs is cancelled."""

STUBBORN = 40
"""Turns after which whatever still runs then is left alone."""

TASKS = 40
CALLS = 60
FUTURES = 8
MANY = 6000
"""Events after which a program is stopped."""

VARIABLE = contextvars.ContextVar("variable", default="unset")

SUBSTITUTIONS = [
    (re.compile(r"( at 0|\.\.\.\.)x[0-9a-f]+"), ""),
    (re.compile(r"\b(_asyncio|(yibu|asyncio)(\.[a-z_]+)?)\.(?=[A-Z_])"), ""),
    (re.compile(r"\btests\.differential\.fuzzing\.\w+\.(\w+\.<locals>\.)?"), ""),
    (re.compile(r"( created at |\.\.\.)\S+:\d+>"), ">"),
    (re.compile(r" (running|done, defined) at \S+/asyncio/\w+\.py:\d+"), ""),
    (re.compile(r"'Task-\d+'|(?<=name=)'None'"), "'Task'"),
    (re.compile(r"(?<=<TaskGroup) errors=\d+"), ""),
    (re.compile(r"Thread-\d+"), "Thread"),
    (re.compile(r" cb=\[.*?\](?=[ >])"), ""),
]
"""What differs in texts for good reasons: addresses, modules, lines of asyncio, counters, callbacks.

Early versions of 3.12 and 3.13 call eager tasks 'None'; up to 3.13 groups that are over keep their errors.
"""


class Stop(BaseException):
    """An exception that is none of `Exception`'s."""


class World:
    """One run of a program."""

    def __init__(self, program, implementation):
        self.aio = implementation.aio
        self.mode = program.mode
        self.loop = implementation.loop()
        self.future_classes = implementation.aio.Future, implementation.future
        self.trace = []
        self.over = self.at_end = False
        self.lost = []
        self.patches = Patches(implementation.module, self.note)
        self.wires = Wires(self) if self.mode == "wires" else None
        if implementation.notes is not None:
            implementation.notes.world = self
        self.turn = self.calls = self.deadlines = self.answers = 0
        self.tasks, self.futures, self.limits, self.groups, self.helpers = [], [], [], [], []
        self.names = {"w": self, "aio": self.aio, "Stop": Stop}
        exec(program.code(), self.names)
        self.scripts = [self.names[f"s{number}"] for number in range(SCRIPTS)]

    # The run.

    def run(self):
        """Run the program and return its trace."""
        try:
            return self.run_to_the_end()
        finally:
            self.patches.end()
            if self.wires is not None:
                self.wires.close()

    def run_to_the_end(self):
        self.loop.set_exception_handler(self.report)
        self.loop.set_debug(self.mode == "debug")
        self.loop.slow_callback_duration = 1000
        main = self.loop.create_task(self.main(), name="main")
        while not main.done():
            try:
                self.loop.run_until_complete(main)
            except SystemExit as error:
                self.note("the loop", "left", self.shown(error))
        main.result()
        gc.collect()
        self.note("lost", [lost() is None for lost in self.lost])
        if self.wires is not None:
            self.wires.look_at_strangers()
        self.over = True
        self.patches.end()
        if self.wires is not None:
            self.wires.abort()
        futures = [f"future {number}: {self.outcome(future)}" for number, future in enumerate(self.futures)]
        tasks = [f"task {number}: {self.outcome(task)}" for number, task in enumerate(self.tasks)]
        self.loop.set_task_factory(None)
        self.loop.run_until_complete(self.clear_up())
        self.loop.close()
        return self.trace + futures + tasks

    async def main(self):
        aio = self.aio
        self.futures += [self.new_future(number) for number in range(FUTURES)]
        # All are bounded in what they can hold, so that programs come to wait for room as well.
        self.names.update(
            locks=[aio.Lock(), aio.Lock()],
            events=[aio.Event(), aio.Event()],
            semaphores=[aio.Semaphore(2), aio.BoundedSemaphore(1), aio.Semaphore(0)],
            barriers=[aio.Barrier(2), aio.Barrier(3)],
            queues=[aio.Queue(1), aio.Queue(), aio.Queue(2), aio.PriorityQueue(2), aio.LifoQueue(2)],
        )
        self.names["conditions"] = [aio.Condition(), aio.Condition(self.names["locks"][1])]
        if self.mode == "eager":
            self.loop.set_task_factory(aio.eager_task_factory)
        if self.mode == "subclasses":
            self.loop.set_task_factory(lambda loop, coro, **keywords: aio.Task(coro, loop=loop, **keywords))
        if self.wires is not None:
            await self.wires.open()
        for script in self.scripts[:5]:
            self.tried("main", lambda script=script: self.start(script))
        while self.turn < TURNS and len(self.trace) < MANY:
            await self.pass_turn()
        for task in self.tasks:
            task.cancel("end")
        while self.turn < TURNS + STUBBORN and not all(task.done() for task in self.tasks):
            if self.turn % 4 == 0:
                for task in self.tasks:
                    task.cancel("still here")
            if self.turn > TURNS + STUBBORN / 2:
                for lock in self.names["locks"]:
                    self.tried("the end", lock.release)
            await self.pass_turn()
        self.at_end = True

    async def pass_turn(self):
        self.turn += 1
        self.stir(self.turn)
        self.loop.clock += 1
        await self.aio.sleep(0)

    def stir(self, turn):
        """Give something to those who wait: left to themselves most programs would soon stand still."""
        lists = self.names
        if turn % 2:
            self.tried("stir", lambda: self.future(turn // 2).set_result(turn))
        if turn % 3 == 0:
            event = lists["events"][turn // 3 % 2]
            event.set()
            if turn % 2:
                event.clear()
        if turn % 3 == 1:
            self.tried("stir", lists["semaphores"][turn // 3 % 3].release)
        if turn % 3 == 2:
            queue = lists["queues"][turn // 3 % 5]
            self.tried("stir", queue.get_nowait if queue.full() else lambda: queue.put_nowait(turn))
        if turn % 5 == 4:
            self.tried("stir", lists["locks"][turn // 5 % 2].release)
        if turn % 2 == 0 and turn < TURNS:
            self.tried("stir", lambda: self.start(self.scripts[turn // 2 % SCRIPTS]))

    async def clear_up(self):
        """End what nobody looks at any more, such as tasks behind gatherings and shields, in any order."""
        for _ in range(STUBBORN):
            if not (rest := self.aio.all_tasks() - {self.aio.current_task()}):
                break
            for task in rest:
                task.cancel()
            for lock in self.names["locks"]:
                if lock.locked():
                    lock.release()
            await self.aio.sleep(0)

    # The trace.

    def note(self, who, *what):
        # In the turn in which the program ends some of the rest runs, in any order.
        if not self.over and not (self.at_end and who == "method"):
            self.trace.append(f"{self.turn} {who}: " + " ".join(map(str, what)))

    def report(self, loop, context):
        # What is forgotten complains when its last reference goes, which need not be at the same time.
        if "never retrieved" not in context["message"] and "destroyed" not in context["message"]:
            self.note("report", context["message"].split("(")[0], self.shown(context.get("exception")))

    def voice(self, me):
        """Return what a script says things with; the script begins."""
        task = self.aio.current_task()
        if task is not None and not any(task is known for known in self.tasks):
            self.tasks.append(task)
        self.note(me, "begins", VARIABLE.get())

        def say(what):
            if self.over:
                return
            self.note(me, self.shown(what), f"cancelling {self.aio.current_task().cancelling()}")

        return say

    def tried(self, me, call):
        """Call and note what came of it."""
        try:
            self.note(me, self.shown(call()))
        except (Exception, SystemExit) as error:
            self.note(me, "raised", self.shown(error))

    def called(self, who, call):
        """Run as a callback."""
        self.note(who, self.aio.current_task() and "within a task", VARIABLE.get())
        self.note(who, self.shown(call()))

    def watcher(self, future):
        self.note("watcher", self.shown(future), self.outcome(future))

    @staticmethod
    def plain(text):
        for pattern, replacement in SUBSTITUTIONS:
            text = pattern.sub(replacement, text)
        return text

    def shown(self, what, deep=4):
        """Return what can be told of an object that is the same in every run."""
        if isinstance(what, BaseException):
            return self.shown_error(what, deep - 1) if deep else "..."
        if asyncio.isfuture(what):
            return self.label(what)
        if isinstance(what, (set, frozenset)):
            return "{" + ", ".join(sorted(map(self.shown, what))) + "}"
        if isinstance(what, (list, tuple)):
            return "[" + ", ".join(self.shown(each, deep) for each in what) + "]"
        if isinstance(what, (asyncio.Handle, types.FrameType)):
            return type(what).__name__
        return self.plain(what if isinstance(what, str) else repr(what))

    def shown_error(self, error, deep):
        text = f"{type(error).__name__}{self.shown(error.args, deep)}"
        if error.__suppress_context__:
            text += " without context"
        if error.__cause__ is not None:
            text += f" from ({self.shown(error.__cause__, deep)})"
        if error.__context__ is not error.__cause__:
            text += f" while ({self.shown(error.__context__, deep)})"
        return text

    def label(self, future):
        for name, kept in (("T", self.tasks), ("f", self.futures)):
            for number, known in enumerate(kept):
                if known is future:
                    return f"{name}{number}"
        return "another future"

    def outcome(self, future):
        if not future.done():
            return "pending"
        if future.cancelled():
            return "cancelled"
        retrieved = "" if future._log_traceback else " (retrieved)"
        return self.shown(future.exception() or future.result()) + retrieved

    # What programs call.

    def start(self, script):
        """Start a task; when there are enough, a future will do."""
        if len(self.tasks) >= TASKS:
            return self.future(self.turn)
        return self.known(self.loop.create_task(script(f"T{len(self.tasks)}")))

    def spawn(self, number, script):
        """Start a task in one of the groups."""
        if len(self.tasks) >= TASKS or not self.groups:
            return None
        return self.known(self.spawn_in(self.group(number), script(f"G{len(self.tasks)}")))

    def spawn_in(self, group, coroutine):
        """Start a task in a group; an only child is one that has the group for itself."""
        if self.mode == "only children" and group._tasks:
            return self.loop.create_task(coroutine)
        return group.create_task(coroutine)

    def known(self, task):
        if not any(task is known for known in self.tasks):
            self.tasks.append(task)
        return task

    def call(self, script):
        self.calls += 1
        return script(f"C{self.calls}") if self.calls < CALLS else self.nothing()

    async def nothing(self):
        await self.aio.sleep(0)

    def new_future(self, number):
        return self.future_classes[number % 2](loop=self.loop)

    def future(self, number):
        """Return one of the shared futures; one that is done gives way to a new one now and then."""
        place = number % FUTURES
        if self.futures[place].done() and number % 3 == 0:
            self.note("future", place, self.outcome(self.futures[place]))
            self.futures[place] = self.new_future(place)
        return self.futures[place]

    def done(self, result):
        future = self.new_future(0)
        future.set_result(result)
        return future

    def failed(self, error):
        future = self.new_future(0)
        future.set_exception(error)
        return future

    def few_done(self, futures):
        """Leave out what is done, but for one: those are called back in the order of a set."""
        pending = [future for future in futures if not future.done()]
        return pending + [future for future in futures if future.done()][:1]

    def awaitable(self, number):
        return Awaitable(self.future(number))

    def task(self, number):
        return self.tasks[number % len(self.tasks)]

    def stack(self, number):
        """Return the stack of a task, but of one that is done that of its error: native code is not in it."""
        task = self.task(number)
        return task.done() or task.get_stack(limit=1)

    def younger(self, number):
        """Return a task that began after the running one: a circle of waiting tasks cannot be cancelled."""
        task = self.aio.current_task()
        for place, known in enumerate(self.tasks):
            if known is task and (rest := self.tasks[place + 1 :]):
                return rest[number % len(rest)]
        return self.future(number)

    def limit(self, number):
        return self.limits[number % len(self.limits)] if self.limits else self.aio.timeout(None)

    def group(self, number):
        return self.groups[number % len(self.groups)] if self.groups else self.aio.TaskGroup()

    def after(self, turns):
        """Return a delay that ends some turns from now, at a time of its own."""
        self.deadlines += 1
        return turns + self.deadlines / 4096

    def at(self, turns):
        return self.loop.time() + self.after(turns)

    def soon(self, me, call):
        return self.loop.call_soon(self.called, f"soon by {me}", call)

    def soon_from_elsewhere(self, me, call):
        return self.loop.call_soon_threadsafe(self.called, f"soon from elsewhere by {me}", call)

    def later(self, me, delay, call):
        return self.loop.call_later(delay, self.called, f"later by {me}", call)

    def watch(self, me, future, call):
        future.add_done_callback(lambda _: self.called(f"watch by {me}", call))

    def in_thread(self, call):
        """Call in another thread and wait for it, so that nothing depends on when it runs."""
        outcome = []

        def run():
            try:
                outcome.append(self.shown(call()))
            except Exception as error:
                outcome.append(self.shown(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return outcome[0]

    def by_thread(self, me, call):
        return self.in_thread(
            lambda: self.loop.call_soon_threadsafe(self.called, f"from a thread by {me}", call)
        )

    def patch(self, number):
        return self.patches.turn(number)

    def collect(self):
        gc.collect()

    def lose(self, what):
        """Start a task to which nothing leads."""
        self.lost.append(weakref.ref(self.loop.create_task(alone(self.aio, what))))

    async def nest(self, awaitable):
        return await awaitable

    def nested(self, how, depth, awaitable):
        """Return an awaitable that awaits one that awaits one..."""
        for _ in range(depth):
            match how:
                case "gather":
                    awaitable = self.aio.gather(awaitable)
                case "shield":
                    awaitable = self.aio.shield(awaitable)
                case "wait_for":
                    awaitable = self.aio.wait_for(awaitable, None)
                case "timeout":
                    awaitable = self.aio.wait_for(awaitable, self.after(TURNS))
                case "task":
                    awaitable = self.loop.create_task(self.nest(awaitable))
                case "coroutine":
                    awaitable = self.nest(awaitable)
        return awaitable

    async def cut(self, me, make):
        """Run a coroutine again and again, cancelled before another one of its steps each time."""
        for steps in range(6):
            task = self.loop.create_task(make())
            for _ in range(steps):
                await self.aio.sleep(0)
            self.note(me, "cuts", steps, task.cancel())
            await self.aio.wait([task])
            self.note(me, "has cut", self.outcome(task))

    def concurrent(self, number):
        if not self.helpers or number % 3 == 0:
            self.helpers.append(concurrent.futures.Future())
        return self.helpers[number % len(self.helpers)]

    def fail(self, error):
        raise error

    def remember(self, what):
        VARIABLE.set(what)

    def now_and_then(self):
        self.answers += 1
        return self.answers % 3 == 0


class Awaitable:
    """Something of the program's own that can be awaited."""

    def __init__(self, future):
        self.future = future

    def __await__(self):
        return (yield from self.future.__await__())
