"""What every task does, before anything is put into words: references to what is there.

The other files of this package make words of the rows when the tasks may have gone on. Called by
`snapshot.py`.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from yibu import _yibu, task_registry
from yibu.inspection.descriptions import Frame, is_of_asyncio
from yibu.task_names import name_of

BATCH = 100
"""After so many tasks a thread other than the loop's lets go of the interpreter."""


@dataclass(slots=True)
class Step:
    """One coroutine of a task."""

    coroutine: Any
    name: str
    """The qualified name of its function; of a native one, asyncio's."""

    code: CodeType | None
    """None for a native one."""

    line: int
    within: tuple[str, ...] = ()
    """The names of asyncio's functions that stand within a native one."""

    @property
    def is_of_asyncio(self) -> bool:
        return self.code is None or is_of_asyncio(self.code.co_filename)


@dataclass(slots=True)
class Row:
    """One task."""

    task: Any
    loop: Any
    waiter: Any
    """The future that it waits for, or None."""

    runs: bool
    steps: list[Step]
    references: int | None
    """How many references there are to a native task."""

    callbacks: int
    age: float | None
    cpu_time: float | None
    name: str = field(default="", init=False)

    @property
    def state(self) -> str:
        if self.runs:
            return "running"
        if self.waiter is None or _is_done(self.waiter):
            return "ready"
        return "waiting"

    @property
    def has_changed(self) -> bool:
        """Whether the task waits for something else by now, or not at all."""
        return self.waiter is None or _is_done(self.waiter) or self.task._fut_waiter is not self.waiter


def _is_done(future: Any) -> bool:
    try:
        return bool(future.done())
    except Exception:  # an object of the program that is a future to asyncio; it may raise anything
        return False


def read(breathe: Callable[[], None]) -> list[Row]:
    """Take references to what every task does.

    The interpreter is let go of after so many tasks, so that they are seen at slightly different moments.
    """
    tasks = _yibu._native_tasks()
    found = []
    for start in range(0, len(tasks), BATCH):
        breathe()
        # The list and the slice of it refer to each.
        found += [_row(facts) for facts in _yibu._task_snapshot(tasks[start : start + BATCH], 2)]
    return [*found, *map(_row, _stock_tasks())]


def _stock_tasks() -> list[tuple[Any, ...]]:
    """The standard library's tasks, and those that a program derived from them."""
    if sys.version_info >= (3, 14):
        loops: list[Any] = [loop for loop, _thread, _look in _yibu._native_loops()]
        running = asyncio._get_running_loop()
        if running is not None and not any(loop is running for loop in loops):
            loops.append(running)
        tasks: Iterable[Any] = [task for loop in loops for task in asyncio.all_tasks(loop)]
    else:
        registry: Any = task_registry.stock_registry()
        tasks = [task for reference in frozenset(registry.data) if (task := reference()) is not None]
        if sys.version_info >= (3, 12):
            tasks += list(asyncio.tasks._eager_tasks)  # type: ignore[attr-defined]
    return [
        (
            task,
            task.get_loop(),
            getattr(task, "_fut_waiter", None),
            _runs(task),
            _yibu._coroutine_stack(task.get_coro()),
            None,
            0,
            (None, None),
        )
        for task in tasks
        if not isinstance_exactly(task, _yibu.Task) and not task.done()
    ]


def isinstance_exactly(object: Any, native: type) -> bool:
    """Whether an object is of a native class or one derived from it: `__class__` says what it stands for."""
    return native in type(object).__mro__


def _runs(task: Any) -> bool:
    return asyncio.current_task(task.get_loop()) is task


def _row(facts: tuple[Any, ...]) -> Row:
    task, loop, waiter, runs, stack, references, callbacks, times = facts
    steps = [_step(*parts) for parts in stack]
    made = Row(task, loop, waiter, runs, steps, references, callbacks, *times)
    made.name = name_of(task)
    return made


def _step(coroutine: Any, what: Any, more: Any) -> Step:
    if isinstance(what, str):
        return Step(coroutine, what, None, 0, more)
    return Step(coroutine, what.co_qualname, what, more or what.co_firstlineno)


_places: dict[tuple[str, str | None, bool], Frame | None] = {}
_stacks: dict[Any, tuple[Frame, ...]] = {}
_KEPT = 1000
"""Programs have few different stacks, however many tasks they have."""


def _place(name: str, awaited: str | None, waits: bool) -> Frame | None:
    """Where asyncio's function of that name awaits the one called `awaited`, or a future."""
    key = (name, awaited, waits)
    if key not in _places:
        place = _yibu._native_place(name, awaited, waits)
        _places[key] = None if place is None else Frame(place[2], place[0], place[1])
    return _places[key]


def frames(row: Row) -> tuple[Frame, ...]:
    """The stack of a task."""
    waits = row.waiter is not None
    key = (tuple((step.code or step.name, step.line, step.within) for step in row.steps), waits)
    found = _stacks.get(key)
    if found is None:
        if len(_stacks) >= _KEPT:
            _stacks.clear()
        found = _stacks[key] = _frames(*key)
    return found


_SELF = os.path.dirname(__file__) + os.sep


def is_of_inspection(file: str) -> bool:
    """Whether a file is one of those that look at the program."""
    return file.startswith(_SELF)


_DEEPEST = 100


def running_frames(row: Row) -> tuple[Frame, ...]:
    """The stack of a task that runs, with the functions that its coroutines have called; else as `frames`.

    Coroutines that run do not say what they await, but the thread does: it is looked for in all of them.
    """
    outermost = getattr(row.steps[0].coroutine, "cr_frame", None) if row.steps else None
    if outermost is None:
        return frames(row)
    for innermost in sys._current_frames().values():
        found: list[Frame] = []
        frame: FrameType | None = innermost
        while frame is not None:
            code = frame.f_code
            if not is_of_inspection(code.co_filename):  # the inspecting code is no part of the program
                found.append(Frame(code.co_qualname, code.co_filename, frame.f_lineno or 0))
            if frame is outermost:
                return tuple(reversed(found))[:_DEEPEST]
            frame = frame.f_back
    return frames(row)


def _frames(steps: tuple[tuple[CodeType | str, int, tuple[str, ...]], ...], waits: bool) -> tuple[Frame, ...]:
    found: list[Frame] = []
    for index, (code, line, inner) in enumerate(steps):
        if not isinstance(code, str):
            found.append(Frame(code.co_qualname, code.co_filename, line))
            continue
        following = steps[index + 1][0] if index + 1 < len(steps) else None
        if isinstance(following, CodeType):
            following = following.co_name
        names = [code, *(name for name in inner if _place(name, None, False))]
        for name, awaited in zip(names, [*names[1:], following], strict=True):
            last = awaited and awaited.rpartition(".")[2]
            found.append(_place(name, last, waits) or Frame(name, "", 0))
    return tuple(found)
