"""Lost tasks: nothing refers to them but what will resume them, and nobody waits for them.

So are the tasks of a `gather()` or `shield()` that nobody awaits or keeps: they refer to its future, and it
to them, and nothing else does. Called by `problems.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yibu import _yibu
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
        indexes = [index for index in alone if (snapshot.waits[index].kind in _BY_LOOP) is by_loop]
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


def _of_dropped(snapshot: Snapshot) -> dict[str, list[int]]:
    """The rows of tasks to which only a `gather()` or `shield()` refers that is dropped, by its name."""
    found: dict[str, list[int]] = {}
    gathered: dict[int, list[int]] = {}
    for index, row in enumerate(snapshot.rows):
        # What will resume it, and the future that stands for it.
        if row.references is None or row.references > 2 or row.callbacks != 1 or row.runs:
            continue
        if snapshot.awaited_by[index]:
            continue
        snapshot.breathe()
        for name, future, references, callbacks in _yibu._stand_ins(row.task):
            # Children refer to the future of a gather(), what is between the two to that of a shield().
            if name == "shield" and (references, callbacks) == (1, 1):
                found.setdefault(name, []).append(index)
            elif name == "gather" and callbacks == 0:
                children = gathered.setdefault(future, [])
                children.append(index)
                if len(children) == references:
                    found.setdefault(name, []).extend(children)
    return found
