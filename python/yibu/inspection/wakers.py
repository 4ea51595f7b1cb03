"""`Wakers`: what could wake a task that waits for an event, a queue, a condition or the like.

Nothing says what will set an event. Known is what could: code that has the event in reach and calls a method
`set`. That code may run in a task, in a callback of a loop, in a thread or in a handler of signals. Where all
of it runs in tasks that are stuck themselves, the waiting task is stuck, too. Called by `problems.py`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from yibu import _yibu
from yibu.inspection.descriptions import PACKAGE, is_pythons
from yibu.inspection.reach import Reach

if TYPE_CHECKING:
    from yibu.inspection.snapshot import Snapshot

_LOOKING = tuple(os.path.join(PACKAGE, folder, "") for folder in ("inspection", "observing"))
"""Where yibu's own threads begin, which look at the program."""

_MOST = 15_000
"""So many objects are looked at; what may be woken by more than that is not stuck as far as is known."""

_MOST_OF_TASK = 2_000

_MOST_WAKERS = 20
"""So many tasks are taken for those that could wake another one."""


class Wakers:
    """What tasks that are free, loops and threads could wake; it becomes more as more tasks turn out free."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.waiting = {index for index, wait in enumerate(snapshot.waits) if wait.woken_by}
        self._wanted: dict[int, list[int]] = {}
        """By the `id` of an object the tasks that wait for it."""

        for index in self.waiting:
            self._wanted.setdefault(id(snapshot.waits[index].resource), []).append(index)
        self._names: dict[int, set[str]] = {}
        """By the `id` of an object the names in the code that has it in reach and is not stuck."""

        self._left = _MOST
        self._known: set[int] = set()
        self._by_task: dict[int, Reach] = {}
        self._program: list[Reach] = []

    def add_free(self, indexes: list[int]) -> list[int]:
        """Take these tasks for free, too. Returns the tasks that may be woken by them."""
        changed: set[int] = set()
        if not self._known:
            self._known.add(-1)
            for reach in self._of_program():
                changed |= self._add(reach)
        for index in indexes:
            if self._left <= 0:
                break
            if index not in self._known:
                self._known.add(index)
                changed |= self._add(self._of_task(index))
        if self._left <= 0:
            changed = set(self._wanted)
        candidates = (index for key in changed for index in self._wanted[key])
        return [index for index in candidates if self.may_wake(index)]

    def _add(self, reach: Reach) -> set[int]:
        """Take code for free. Returns what of the wanted it has in reach."""
        found = reach.found.keys() & self._wanted.keys()
        for key in found:
            self._names.setdefault(key, set()).update(reach.names)
        return found

    def may_wake(self, index: int) -> bool:
        """Whether code that is not stuck could wake a task."""
        wait = self.snapshot.waits[index]
        return self._left <= 0 or not self._names.get(id(wait.resource), set()).isdisjoint(wait.woken_by)

    def stuck_wakers(self, stuck: set[int]) -> dict[int, list[int]]:
        """For each stuck task that has to be woken the other stuck tasks that could do that.

        They do so by what their coroutines call, else by what functions in them call, else by what they have.
        """
        having: dict[int, list[int]] = {}
        for index in sorted(stuck):
            for key in self._wanted.keys() & self._of_task(index).found.keys():
                having.setdefault(key, []).append(index)
        chosen: dict[tuple[int, Collection[str]], list[int]] = {}
        found = {}
        for index in stuck & self.waiting:
            wait = self.snapshot.waits[index]
            same = id(wait.resource), wait.woken_by
            if same not in chosen:
                chosen[same] = self._most_likely(having.get(same[0], []), wait.woken_by)
            found[index] = [other for other in chosen[same] if other != index]
        return found

    def reaches_outside(self, stuck: set[int]) -> Iterator[Reach]:
        """What code has in reach that goes on: that of the program, then that of each task that is not
        stuck."""
        yield from self._of_program()
        for index in range(len(self.snapshot.rows)):
            if index not in stuck:
                self.snapshot.breathe()
                yield self._of_task(index)

    def may_cancel(self, tasks: set[int], stuck: set[int]) -> bool:
        """Whether code that goes on could cancel one of the tasks, which are given by their `id`.

        The task that has asked for the snapshot is not meant.
        """
        asking = (
            set() if self.snapshot.is_beside else {i for i, row in enumerate(self.snapshot.rows) if row.runs}
        )
        for reach in self.reaches_outside(stuck | asking):
            if self._left <= 0:
                return True
            if "cancel" in reach.names and ("all_tasks" in reach.names or tasks & reach.found.keys()):
                return True
        return False

    def forget(self) -> None:
        """Free what was found, in pieces."""
        for found in (self._by_task, self._names):
            while found:
                self.snapshot.breathe()
                found.popitem()
        while self._program:
            self.snapshot.breathe()
            self._program.pop()

    def _most_likely(self, having: list[int], names: Collection[str]) -> list[int]:
        calling = [index for index in having if not self._by_task[index].names.isdisjoint(names)]
        themselves = [index for index in calling if not self._names_of(index).isdisjoint(names)]
        return next(filter(None, (themselves, calling, having)), [])[:_MOST_WAKERS]

    def _names_of(self, index: int) -> set[str]:
        steps = self.snapshot.rows[index].steps
        return {name for step in steps if step.code is not None for name in step.code.co_names}

    def _of_task(self, index: int) -> Reach:
        """What a task can reach by its coroutines, and what is called when it ends."""
        if index not in self._by_task:
            row = self.snapshot.rows[index]
            reach = self._by_task[index] = Reach(self.snapshot.breathe, min(_MOST_OF_TASK, self._left))
            for step in row.steps:
                # The frame of a native coroutine is costly to make, and says nothing that is not referred to.
                frame = None if step.code is None else _frame(step.coroutine)
                if frame is not None:
                    reach.add_code(frame.f_code, frame.f_globals)
                if frame is not None and row.runs:  # its variables are hidden from the garbage collector
                    reach.add_frame(frame)
                else:
                    reach.add(gc.get_referents(step.coroutine))
            callbacks = getattr(row.task, "_callbacks", None) or ()
            reach.add(callback for callback, _context in callbacks)
            self._go(reach)
        return self._by_task[index]

    def _of_program(self) -> list[Reach]:
        """What callbacks of the loops, jobs of executors, finalizers and handlers of signals can reach, and
        what each of the other threads can."""
        if self._program:
            return self._program
        loops = {id(row.loop): row.loop for row in self.snapshot.rows}
        loops.update((id(loop), loop) for loop, _thread, _look in _yibu._native_loops())
        for loop in loops.values():
            self._add_to_program(gc.get_referents(loop))
        for future, function, _runs in _yibu._executor_jobs():
            self._add_to_program((future, function))
        self._add_to_program(list(getattr(weakref.finalize, "_registry", {}).values()))
        self._add_to_program(signal.getsignal(number) for number in signal.valid_signals())
        of_loops = {thread for _loop, thread, _look in _yibu._native_loops()}
        frames = sys._current_frames()
        # A function whose variables refer to its own frame is not freed when it ends.
        frames[threading.get_ident()] = _frame_outside()
        for thread, frame in frames.items():
            if thread not in of_loops:
                self._add_to_program(_frames_of_thread(frame))
        return self._program

    def _add_to_program(self, objects: Iterable[Any]) -> None:
        reach = Reach(self.snapshot.breathe, self._left, called_by_others=True)
        for one in objects:
            if type(one) is FrameType:
                reach.add_frame(one)
            else:
                reach.add((one,))
        self._go(reach)
        self._program.append(reach)

    def _go(self, reach: Reach) -> None:
        reach.go()
        self._left -= reach.looked_at
        if reach.left <= 0:
            self._left = 0


def _frame(coroutine: Any) -> FrameType | None:
    frames = (getattr(coroutine, f"{prefix}_frame", None) for prefix in ("cr", "gi", "ag"))
    return next((frame for frame in frames if type(frame) is FrameType), None)


def _frame_outside() -> FrameType:
    """The innermost frame of this thread that is not this package's."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_LOOKING):
        frame = frame.f_back
    return frame


def _frames_of_thread(innermost: FrameType) -> list[FrameType]:
    """The frames of a thread; none of one of yibu's own."""
    frames = []
    frame: FrameType | None = innermost
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    files = (frame.f_code.co_filename for frame in reversed(frames))
    outermost = next((file for file in files if not is_pythons(file) or file.startswith(_LOOKING)), "")
    return [] if outermost.startswith(_LOOKING) else frames
