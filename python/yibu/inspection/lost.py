"""Lost tasks: nothing refers to them but what will resume them, and nobody waits for them.

So are the tasks of a `gather()` or `shield()` that nobody awaits or keeps, also of one within another: they
refer to its future, and it to them, and nothing else does. Called by `problems.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from yibu import _yibu
from yibu.inspection import time_limits
from yibu.inspection.descriptions import Problem
from yibu.inspection.keeping import Keeping

if TYPE_CHECKING:
    from yibu.inspection.rows import Row
    from yibu.inspection.snapshot import Snapshot

_BY_LOOP = ("sleep", "io", "process", "executor", "server")
"""Kinds of waits where the loop keeps the task alive."""

_MOST_REFERENCES = 4
"""A task to which more refer is not lost, as far as is looked."""

_MOST_WALKED = 20_000
"""So many objects are walked through for all tasks."""

_MOST = 20
"""So many lost tasks are named: no other part of the table says which they are."""


def find(snapshot: Snapshot) -> tuple[list[int], list[Problem]]:
    """The rows of lost tasks, and what is to be said of them."""
    alone = _alone(snapshot)
    dropped = _of_dropped(snapshot)
    found = []
    for by_loop in (False, True):
        indexes = [index for index in alone if _is_kept_by_loop(snapshot, index) is by_loop]
        if indexes:
            found.append(_problem(snapshot, _words_of_alone(snapshot, indexes, by_loop), indexes))
    for name, indexes in dropped.items():
        tasks = "task" if len(indexes) == 1 else "tasks"
        words = (
            f"nobody awaits the {name}() of {tasks} {snapshot.names(indexes, _MOST)}, "
            f"and nothing refers to it: errors stay unseen, and the garbage collector may destroy the {tasks}"
        )
        found.append(_problem(snapshot, words, indexes))
    return [*alone, *(index for indexes in dropped.values() for index in indexes)], found


def _is_kept_by_loop(snapshot: Snapshot, index: int) -> bool:
    """Whether the loop has a timer or a descriptor for the task."""
    return snapshot.waits[index].kind in _BY_LOOP or time_limits.has_limit(snapshot, index)


def _words_of_alone(snapshot: Snapshot, indexes: list[int], by_loop: bool) -> str:
    them, tasks = ("it", "task") if len(indexes) == 1 else ("them", "tasks")
    words = (
        f"nothing refers to {tasks} {snapshot.names(indexes, _MOST)}, and nobody waits for {them}: "
        "errors stay unseen"
    )
    return words if by_loop else f"{words}, and the garbage collector may destroy the {tasks}"


def _problem(snapshot: Snapshot, words: str, indexes: list[int]) -> Problem:
    return Problem("lost", words, tuple(id(snapshot.rows[index].task) for index in indexes), certain=False)


def _alone(snapshot: Snapshot) -> list[int]:
    """The rows of tasks that nobody waits for, and that nothing keeps but what will resume them.

    A task of asyncio's own, and one whose loop does not run, is none.
    """
    keeping: Keeping | None = None
    found = []
    for index, row in enumerate(snapshot.rows):
        if row.references is None or row.references > _MOST_REFERENCES or row.callbacks or row.runs:
            continue
        if snapshot.awaited_by[index] or _is_of_asyncio(row) or not row.loop.is_running():
            continue
        if row.references > 1 or snapshot.waits[index].kind not in _BY_LOOP:
            keeping = keeping or Keeping(snapshot, _MOST_WALKED)
            if keeping.is_kept(index):
                continue
        found.append(index)
    return found


def _is_of_asyncio(row: Row) -> bool:
    """Whether asyncio itself has made the task, as it does for each TLS connection that a server accepts."""
    outermost = row.steps[0].name.rpartition(".")[2] if row.steps else ""
    return outermost.startswith("_") and row.steps[0].is_of_asyncio


@dataclass
class _StandIn:
    """The future of a `gather()` or `shield()`."""

    name: str
    references: int
    callbacks: int | None
    above: list[int]
    """The `id` of each future that stands for this one."""

    below: set[int]
    """The `id` of each task and future for which this one stands, and which refer to it."""


class _StandIns:
    """The futures of primitives by their `id`, and which of them nobody awaits or keeps."""

    def __init__(self) -> None:
        self.known: dict[int, _StandIn] = {}
        self._dropped: dict[int, bool] = {}

    def note(self, below: int, found: list[Any]) -> list[int]:
        """Take what `_stand_ins` has found for a task or future; the `id` of each."""
        for name, future, references, callbacks, above in found:
            if future not in self.known:
                self.known[future] = _StandIn(name, references, callbacks, [], set())
                self.known[future].above = self.note(future, above)
            self.known[future].below.add(below)
        return [future for _name, future, *_ in found]

    def are_dropped(self, futures: list[int]) -> bool:
        """Whether nobody awaits any of these futures, and nothing but what they stand for refers to them."""
        return all(self._is_dropped(future) for future in futures)

    def _is_dropped(self, future: int) -> bool:
        if future not in self._dropped:
            one = self.known[future]
            # What is between the future of a shield() and what it shields refers to that future, and has left
            # a callback on it. Above refers to below for its results.
            of_below, own = (1, 1) if one.name == "shield" else (len(one.below), 0)
            self._dropped[future] = (
                one.references == of_below + len(one.above)
                and one.callbacks == own + len(one.above)
                and self.are_dropped(one.above)
            )
        return self._dropped[future]

    def name_of(self, future: int) -> str:
        """The name of the outermost primitive."""
        above = self.known[future].above
        return self.name_of(above[0]) if above else self.known[future].name


def _of_dropped(snapshot: Snapshot) -> dict[str, list[int]]:
    """The rows of tasks to which only `gather()` and `shield()` refer that are dropped, by their name."""
    stand_ins = _StandIns()
    above: dict[int, list[int]] = {}
    for index, row in enumerate(snapshot.rows):
        if row.references is None or row.callbacks == 0 or row.runs or snapshot.awaited_by[index]:
            continue
        snapshot.breathe()
        found = _yibu._stand_ins(row.task)
        # What will resume it, and the futures that stand for it.
        if len(found) == row.callbacks and row.references <= 1 + len(found):
            above[index] = stand_ins.note(id(row.task), found)
    dropped: dict[str, list[int]] = {}
    for index, futures in above.items():
        if stand_ins.are_dropped(futures):
            dropped.setdefault(stand_ins.name_of(futures[0]), []).append(index)
    return dropped
