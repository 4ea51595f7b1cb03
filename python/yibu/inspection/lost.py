"""Lost tasks: nothing refers to them but what will resume them, and nobody waits for them.

So are the tasks of a `gather()` or `shield()` that nobody awaits or keeps: they refer to its future, and it
to them, and nothing else does. Called by `problems.py` and `snapshot.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yibu import _yibu
from yibu.inspection.descriptions import Problem

if TYPE_CHECKING:
    from yibu.inspection.snapshot import Snapshot

_MOST = 20
"""So many lost tasks are named: no other part of the table says which they are."""


def rows(snapshot: Snapshot) -> set[int]:
    """The rows of lost tasks."""
    dropped = _of_dropped(snapshot)
    return {*_alone(snapshot), *(index for indexes in dropped.values() for index in indexes)}


def problems(snapshot: Snapshot) -> list[Problem]:
    """What is to be said of lost tasks."""
    found = []
    alone = _alone(snapshot)
    if alone:
        them, tasks = ("it", "task") if len(alone) == 1 else ("them", "tasks")
        words = (
            f"nothing refers to {tasks} {snapshot.names(alone, _MOST)}, and nobody waits for {them}: "
            f"errors stay unseen, and the garbage collector may destroy the {tasks}"
        )
        found.append(_problem(snapshot, words, alone))
    for name, indexes in _of_dropped(snapshot).items():
        tasks = "task" if len(indexes) == 1 else "tasks"
        words = (
            f"nobody awaits the {name}() of {tasks} {snapshot.names(indexes, _MOST)}, "
            f"and nothing refers to it: errors stay unseen, and the garbage collector may destroy the {tasks}"
        )
        found.append(_problem(snapshot, words, indexes))
    return found


def _problem(snapshot: Snapshot, words: str, indexes: list[int]) -> Problem:
    return Problem("lost", words, tuple(id(snapshot.rows[index].task) for index in indexes), certain=False)


def _alone(snapshot: Snapshot) -> list[int]:
    """The rows of tasks to which nothing refers, and which have no callback."""
    return [
        index
        for index, row in enumerate(snapshot.rows)
        if row.references is not None
        and row.references <= 1
        and row.callbacks == 0
        and not row.runs
        and not snapshot.awaited_by[index]
    ]


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
