"""What `yibu.ps()` returns: frozen descriptions of tasks, loops and problems, which are plain data.

Made by `snapshot.py`; printed by `table.py` and `tree.py`; `encoding.py` carries them between
processes. What stands beside tasks and loops is described by `parts.py`.
"""

import dataclasses
import os
import re
from collections.abc import Iterator
from typing import overload

from yibu.inspection.parts import (
    BlockageDescription,
    ConnectionDescription,
    ExecutorDescription,
    ResourceDescription,
)
from yibu.observing.metrics import LoopMetrics


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One coroutine of a task: its function, and the line at which it is."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"

    @property
    def short(self) -> str:
        """The same without the folders."""
        return f"{self.function} ({os.path.basename(self.file)}:{self.line})"


@dataclasses.dataclass(frozen=True, slots=True)
class TaskDescription:
    """One task at the moment of the snapshot."""

    id: int
    """What `id(task)` is in its process."""

    name: str
    state: str
    """`running`, `ready` (runs in the next turns) or `waiting`."""

    age: float | None
    """Seconds since the task was made; None where nobody wanted that noted (see `yibu.inspect`)."""

    waits_for: str
    """In words; empty for a task that does not wait."""

    kind: str
    """What it waits for in one word: `lock`, `queue`, `sleep`, `task`, `io`, `future` and others."""

    awaited_by: tuple[int, ...]
    """The ids of the tasks that wait for this one."""

    stack: tuple[Frame, ...]
    """Its coroutines, from the outermost inwards; of a task that runs, the functions that they call, too."""

    loop: int
    """The id of its loop."""

    lost: bool
    """Whether nothing but the loop seems to refer to it, and nobody waits for it."""

    cpu_time: float | None = None
    """Seconds that a processor has worked for its steps since its loop is observed (`yibu.observe`), as
    samples say that are taken every few milliseconds; None while nobody observes."""

    @property
    def place(self) -> Frame | None:
        """The innermost frame of the program's, or that is not asyncio's, or the innermost one."""
        for belongs_elsewhere in (is_of_library, is_of_asyncio):
            for frame in reversed(self.stack):
                if not belongs_elsewhere(frame.file):
                    return frame
        return self.stack[-1] if self.stack else None


@dataclasses.dataclass(frozen=True, slots=True)
class LoopDescription:
    """One event loop."""

    id: int
    kind: str
    """The name of its class."""

    thread: int
    """The identity of the thread that runs it; 0 when none does."""

    thread_name: str
    native_thread: int
    """The kernel's number of the thread; 0 when none runs it."""

    tasks: int
    stack: tuple[Frame, ...] = ()
    """The Python frames of its thread, from the outermost inwards, where another thread took the snapshot."""

    busy: float | None = None
    """The part of a processor that its thread used, where another process looked."""

    lag: float | None = None
    """For how many seconds something that was ready had to wait, where the page has asked the loop that."""

    metrics: LoopMetrics | None = None
    """What the loop has counted, where another process looked; at most the hundred busiest functions."""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, in words, and which tasks it concerns."""

    kind: str
    """`deadlock`, `orphaned lock`, `lost`, `blocked loop`, `blockages`, `busy thread`, `growing queue`,
    `full executor`, `kept interpreter` or `not searched`."""

    words: str
    tasks: tuple[int, ...] = ()
    certain: bool = True
    """Whether it is known, not guessed."""


@dataclasses.dataclass(frozen=True)
class TaskTree:
    """Every task of every loop of a process: a sequence of `TaskDescription`, which prints as a table."""

    tasks: tuple[TaskDescription, ...]
    loops: tuple[LoopDescription, ...]
    problems: tuple[Problem, ...]
    pid: int
    resources: tuple[ResourceDescription, ...] = ()
    """Locks, queues and the like that tasks wait for. What follows is there where another process looked."""

    connections: tuple[ConnectionDescription, ...] = ()
    executors: tuple[ExecutorDescription, ...] = ()
    blockages: tuple[BlockageDescription, ...] = ()
    """What `yibu.watch()` has seen, the last one first."""

    watch_threshold: float | None = None
    """What a blockage is, in seconds; None where nobody watches."""

    @overload
    def __getitem__(self, index: int) -> TaskDescription: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TaskDescription, ...]: ...
    def __getitem__(self, index: int | slice) -> TaskDescription | tuple[TaskDescription, ...]:
        return self.tasks[index]

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[TaskDescription]:
        return iter(self.tasks)

    def __str__(self) -> str:
        from yibu.inspection.table import table

        return table(self)

    def __repr__(self) -> str:
        return f"<TaskTree of {len(self.tasks)} tasks, {len(self.problems)} problems>"


_PYTHON = r"/lib(64)?/python3\.\d+[a-z]*/"
_LIBRARY = re.compile(rf"/(site|dist)-packages/|{_PYTHON}")
_STANDARD_LIBRARY = re.compile(rf"{_PYTHON}(?!(site|dist)-packages/)")

PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
"""The folder of yibu."""


def is_of_library(file: str) -> bool:
    """Whether a file belongs to an installed package or to the standard library, also on another machine."""
    return not file or file.startswith("<frozen ") or _LIBRARY.search(file) is not None or is_of_asyncio(file)


def is_of_asyncio(file: str) -> bool:
    """Whether a file belongs to the standard library's asyncio."""
    folder = file.rpartition("/")[0]
    return folder.endswith("/asyncio")


def is_pythons(file: str) -> bool:
    """Whether a file is one of the standard library's, or yibu's."""
    return file.startswith(("<frozen ", PACKAGE)) or _STANDARD_LIBRARY.search(file) is not None
