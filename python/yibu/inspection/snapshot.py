"""`take()`: a snapshot of all tasks of the process, described.

A thread other than the loop's passes a `breathe` that lets go of the interpreter, and is called so often
that the loop is held up for a fraction of a millisecond each time. Tasks are seen at different moments
then, so a deadlock is confirmed at the end: a task that still waits for the same future has waited for it all
the time.
Called by `ps()`, by the server of the socket and by the signal.
"""

import asyncio
import contextlib
import heapq
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from yibu import _yibu
from yibu.inspection import endpoints, holders, problems, resources, rows, waits
from yibu.inspection.descriptions import LoopDescription, Problem, TaskDescription, TaskTree
from yibu.inspection.rows import Row
from yibu.inspection.waits import Wait
from yibu.inspection.wording import listed, quoted, reason_of

Breathe = Callable[[], None]

Sharing = tuple[int, str, str]
"""What tells those who wait for the same from others."""


def _hold() -> None:
    """Keep the interpreter: no task goes on meanwhile."""


class Snapshot:
    """The rows and what was found out about them."""

    def __init__(self, breathe: Breathe) -> None:
        self.breathe = breathe
        self.is_beside = breathe is not _hold
        """Whether tasks go on while this is made."""

        self.rows: list[Row] = rows.read(breathe)
        self.waits: list[Wait] = []
        self.states: list[str] = []
        """As they were when the tasks were asked what they wait for; many have gone on since."""
        jobs = {id(future): (function, runs) for future, function, runs in _yibu._executor_jobs()}
        self.rows = self._sorted(self.rows)
        for row in self.rows:
            breathe()
            self.states.append(row.state)
            self.waits.append(_described_wait(row, self.states[-1], jobs))
        self.by_task = {id(row.task): index for index, row in enumerate(self.rows)}
        self.awaits = self._edges()
        self.lost: list[int] = []
        """The rows of lost tasks, which `problems.py` finds."""

        self.noted: dict[int, holders.Noted] = {}
        self.holders = self._holders()
        self.awaited_by: dict[int, list[int]] = defaultdict(list)
        for index, targets in enumerate(self.awaits):
            breathe()
            for target in targets:
                self.awaited_by[target].append(index)

    def _sorted(self, found: list[Row]) -> list[Row]:
        """The rows by name: sorted in pieces, because sorting is one call that holds the interpreter."""
        pieces = []
        for start in range(0, len(found), rows.BATCH):
            pieces.append(sorted(found[start : start + rows.BATCH], key=_by_name))
            self.breathe()
        merged = []
        for row in heapq.merge(*pieces, key=_by_name):
            merged.append(row)
            self.breathe()
        return merged

    def forget(self) -> None:
        """Free what was found, in pieces."""
        while self.rows:
            del self.rows[-rows.BATCH :], self.waits[-rows.BATCH :]
            self.breathe()

    def _edges(self) -> list[list[int]]:
        """For each row those of the tasks that it waits for."""
        groups: dict[int, list[int]] = defaultdict(list)
        if any(wait.group is not None for wait in self.waits):
            for index, row in enumerate(self.rows):
                for _name, owner in _yibu._future_reactions(row.task):
                    groups[id(owner)].append(index)
        edges = []
        for wait in self.waits:
            self.breathe()
            targets = [self.by_task[id(one)] for one in _tasks_in(wait.awaits) if id(one) in self.by_task]
            if wait.group is not None:
                targets += groups[id(wait.group)]
            edges.append(list(dict.fromkeys(targets)))
        return edges

    def _holders(self) -> dict[int, list[int]]:
        """The rows that are in `async with` blocks of what others wait for, by the `id` of the object."""
        wanted = {id(lock_of(wait.resource)) for wait in self.waits if wait.kind in ("lock", "semaphore")}
        found: dict[int, list[int]] = defaultdict(list)
        if not wanted:
            return found
        for wait in self.waits:
            if wait.kind == "lock" and (known := _yibu._lock_holder(lock_of(wait.resource))) is not None:
                self.noted[id(lock_of(wait.resource))] = holders.Noted(*known)
        for index, row in enumerate(self.rows):
            self.breathe()
            for owner in holders.entered(row):
                wait = self.waits[index]
                released = wait.kind == "condition" and wait.resource is owner
                # A task that holds a semaphore twice is named once.
                lock_id = id(lock_of(owner))
                if lock_id in wanted and not released and index not in found[lock_id][-1:]:
                    found[lock_id].append(index)
        for lock, noted in self.noted.items():
            index = self.by_task.get(noted.task_id, -1)
            if index >= 0 and index not in found[lock]:
                found[lock].append(index)
        return found

    def has_changed(self, problem: Problem) -> bool:
        """Whether a task of a deadlock has gone on since it was looked at."""
        if problem.kind != "deadlock":
            return False
        changed = (self.rows[self.by_task[task]].has_changed for task in problem.tasks)
        return any(changed)

    def names(self, indexes: list[int], most: int = 3) -> str:
        """The names of tasks in one phrase."""
        return listed([quoted(self.rows[index].name) for index in sorted(indexes)], most)

    def words(self, index: int, sharing: dict[Sharing, int]) -> str:
        """What a task waits for, with those who hold it and those who wait for it, too."""
        wait = self.waits[index]
        words = wait.words
        if wait.kind in ("lock", "semaphore"):
            held = self.holders.get(id(lock_of(wait.resource)), [])
            task = "task" if len(held) == 1 else "tasks"
            noted = self.noted.get(id(lock_of(wait.resource)))
            long = f" for {noted.seconds:.1f} s" if noted else ""
            if held:
                words += f" held{long} by {task} {self.names(held)}"
            else:
                words += f" held{long} by {noted.words}" if noted else ", holder unknown"
        if wait.others:
            others = sharing[_shared(wait)] - 1
            if others:
                words += f", {others} other {wait.others}{'s' if others > 1 else ''}"
        return words


def _shared(wait: Wait) -> Sharing:
    return id(lock_of(wait.resource) if wait.kind == "lock" else wait.resource), wait.kind, wait.others


def _by_name(row: Row) -> tuple[str, int]:
    """Task-2 comes before Task-10."""
    begin = row.name.rstrip("0123456789")
    return begin, int(row.name[len(begin) :][:15] or -1)


def lock_of(resource: Any) -> Any:
    """The lock of a condition, which is what is held; anything else itself."""
    if any(base.__name__ == "Condition" for base in type(resource).__mro__):
        return getattr(resource, "_lock", resource)
    return resource


def _tasks_in(futures: Any) -> list[Any]:
    """Tasks, also those behind a future that stands for several."""
    found = []
    for future in futures:
        if waits.is_task(future):
            found.append(future)
        else:
            found += [one for one in waits.wait_for_future(future).awaits if waits.is_task(one)]
    return found


def _described_wait(row: Row, state: str, jobs: dict[int, tuple[Any, bool]]) -> Wait:
    if state != "waiting":
        return Wait("", "")
    try:
        wait = waits.wait_of(row)
    except Exception as error:  # objects of the program were asked, which may raise anything
        return Wait("future", f"something that cannot be described ({type(error).__name__}: {error})")
    if wait.kind == "future" and id(row.waiter) in jobs:
        function, runs = jobs[id(row.waiter)]
        name = endpoints.function_name(function)
        return Wait("executor", f"executor job {name}, {'running' if runs else 'no thread is free yet'}")
    return wait


def take(breathe: Breathe = _hold) -> TaskTree:
    """Describe every task of every loop of this process."""
    snapshot = Snapshot(breathe)
    sharing: dict[Sharing, int] = defaultdict(int)
    for wait in snapshot.waits:
        sharing[_shared(wait)] += 1
    found, lost_rows = _searched(snapshot)
    tasks = []
    counts: dict[int, int] = defaultdict(int)
    for index, row in enumerate(snapshot.rows):
        breathe()
        counts[id(row.loop)] += 1
        tasks.append(
            TaskDescription(
                id=id(row.task),
                name=row.name,
                state=snapshot.states[index],
                age=row.age,
                waits_for=snapshot.words(index, sharing),
                kind=snapshot.waits[index].kind,
                awaited_by=tuple(id(snapshot.rows[other].task) for other in snapshot.awaited_by[index]),
                stack=rows.running_frames(row) if row.runs else rows.frames(row),
                loop=id(row.loop),
                lost=index in lost_rows,
                cpu_time=row.cpu_time,
            )
        )
    loops = _loops(snapshot, counts)
    waited_for = resources.waited_for(snapshot)
    snapshot.forget()
    return TaskTree(tuple(tasks), loops, tuple(found), os.getpid(), waited_for)


def _searched(snapshot: Snapshot) -> tuple[list[Problem], set[int]]:
    """What is wrong, and the rows of lost tasks."""
    try:
        found = problems.find(snapshot)
        lost_rows = set(snapshot.lost)
    except Exception as error:  # objects of the program were asked, which may raise anything
        words = f"deadlocks, orphaned locks and lost tasks cannot be looked for ({reason_of(error)})"
        return [Problem("not searched", words)], set()
    return [problem for problem in found if not snapshot.has_changed(problem)], lost_rows


def _loops(snapshot: Snapshot, counts: dict[int, int]) -> tuple[LoopDescription, ...]:
    known = {thread.ident: thread for thread in threading.enumerate()}
    native = _yibu._native_loops()
    threads: dict[int, int] = {id(loop): thread for loop, thread, _look in native}
    loops: dict[int, Any] = {id(loop): loop for loop, _thread, _look in native}
    for row in snapshot.rows:
        loops.setdefault(id(row.loop), row.loop)
    running: Any = asyncio._get_running_loop()
    if running is not None:
        threads.setdefault(id(running), threading.get_ident())
        loops.setdefault(id(running), running)
    found = []
    for key, loop in loops.items():
        with contextlib.suppress(Exception):  # a loop of the program's own may raise anything
            if loop is None or (loop.is_closed() and not counts[key]):
                continue
        thread = threads.get(key) or getattr(loop, "_thread_id", None) or 0
        kind = f"{type(loop).__module__.partition('.')[0]}.{type(loop).__name__}"
        name, number = "", 0
        if thread in known:
            name, number = known[thread].name, known[thread].native_id or 0
        found.append(LoopDescription(key, kind, thread, name, number, counts[key]))
    return tuple(found)
