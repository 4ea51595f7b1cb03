"""What is wrong: deadlocks, locks whose holder is gone, and tasks that nobody knows of.

A task is stuck when what it waits for are tasks that are stuck. What waits for the world (time, sockets,
threads), for an event, a queue or a future that other code may complete, or has a time limit, is not. The
time limit of a task also frees those that it awaits: it cancels them, or goes on and may do so. Called by
`snapshot.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yibu.inspection import time_limits
from yibu.inspection.descriptions import Problem
from yibu.inspection.waits import Wait
from yibu.inspection.wording import listed, quoted, with_article

if TYPE_CHECKING:
    from yibu.inspection.snapshot import Snapshot

_MOST_LOST = 20
"""So many lost tasks are named: no other part of the table says which they are."""

_MOST_HOLDERS = 10


def find(snapshot: Snapshot) -> list[Problem]:
    """Every problem that the snapshot shows."""
    return [*_deadlocks(snapshot), *_orphaned_locks(snapshot), *_lost_tasks(snapshot)]


def _needs(snapshot: Snapshot, index: int, wait: Wait) -> tuple[list[int], bool]:
    """The tasks without which a task does not go on, and whether one of them is enough."""
    from yibu.inspection.snapshot import lock_of

    if wait.kind in ("lock", "semaphore"):
        return snapshot.holders.get(id(lock_of(wait.resource)), []), True
    return snapshot.awaits[index], wait.any_of


def _stuck(snapshot: Snapshot, needs: list[tuple[list[int], bool]]) -> set[int]:
    """The rows that cannot go on: all rows, without those of which it can be said that they may."""
    stuck = {index for index, (needed, _any_of) in enumerate(needs) if needed}
    while True:
        freed = {
            index
            for index in stuck
            if (any if needs[index][1] else all)(other not in stuck for other in needs[index][0])
        }
        if not freed:
            break
        stuck -= freed
    limited = time_limits.limited(snapshot, stuck)
    if limited:
        needs = [([], False) if index in limited else need for index, need in enumerate(needs)]
        return _stuck(snapshot, needs)
    return stuck


def _deadlocks(snapshot: Snapshot) -> list[Problem]:
    """The circles of tasks that wait for each other, each once."""
    needs = []
    for index, wait in enumerate(snapshot.waits):
        snapshot.breathe()
        needs.append(_needs(snapshot, index, wait))
    stuck = _stuck(snapshot, needs)
    seen: set[int] = set()
    found = []
    for start in sorted(stuck):
        path: list[int] = []
        index = start
        while index not in seen:
            seen.add(index)
            path.append(index)
            index = next(other for other in needs[index][0] if other in stuck)
        if index in path:
            circle = path[path.index(index) :]
            found.append(_deadlock(snapshot, circle, needs))
    return found


def _deadlock(snapshot: Snapshot, circle: list[int], needs: list[tuple[list[int], bool]]) -> Problem:
    first = min(range(len(circle)), key=lambda place: snapshot.rows[circle[place]].name)
    circle = circle[first:] + circle[:first]
    parts = []
    for index, following in zip(circle, [*circle[1:], circle[0]], strict=True):
        wait = snapshot.waits[index]
        name, other = quoted(snapshot.rows[index].name), quoted(snapshot.rows[following].name)
        if wait.kind in ("lock", "semaphore"):
            # Each holder of a semaphore could let the task go on, so each is part of the deadlock.
            others = [quoted(snapshot.rows[one].name) for one in needs[index][0] if one != following]
            held = listed([other, *others], _MOST_HOLDERS)
            parts.append(f"{name} waits for {with_article(wait.words)} held by {held}")
        else:
            parts.append(f"{name} waits for {other} ({wait.words})")
    return Problem("deadlock", "; ".join(parts), tuple(id(snapshot.rows[index].task) for index in circle))


def _orphaned_locks(snapshot: Snapshot) -> list[Problem]:
    """Locks that are held, but by no `async with` block of a living task."""
    from yibu.inspection.snapshot import lock_of

    waiting: dict[int, list[int]] = {}
    for index, wait in enumerate(snapshot.waits):
        if wait.kind == "lock" and not snapshot.holders.get(id(lock_of(wait.resource))):
            waiting.setdefault(id(lock_of(wait.resource)), []).append(index)
    found = []
    for key, indexes in waiting.items():
        lock = type(snapshot.waits[indexes[0]].resource).__name__
        words = f"{snapshot.names(indexes)} wait{'s' if len(indexes) == 1 else ''} for {with_article(lock)} "
        noted = snapshot.noted.get(key)
        if noted is None:
            words += (
                "that no living task holds by `async with`: whoever called acquire() may have ended without "
                "release()"
            )
        else:
            words += f"taken {noted.seconds:.1f} s ago by {noted.words}"
        tasks = tuple(id(snapshot.rows[index].task) for index in indexes)
        found.append(Problem("orphaned lock", words, tasks, certain=False))
    return found


def lost(snapshot: Snapshot) -> list[int]:
    """The rows of tasks to which nothing refers but what will resume them, and for which nobody waits."""
    return [
        index
        for index, row in enumerate(snapshot.rows)
        if row.references is not None
        and row.references <= 1
        and row.callbacks == 0
        and not row.runs
        and not snapshot.awaited_by[index]
    ]


def _lost_tasks(snapshot: Snapshot) -> list[Problem]:
    indexes = lost(snapshot)
    if not indexes:
        return []
    task = "task" if len(indexes) == 1 else "tasks"
    words = (
        f"nothing refers to {task} {snapshot.names(indexes, _MOST_LOST)}, and nobody waits for "
        f"{'it' if len(indexes) == 1 else 'them'}: errors stay unseen, and the garbage collector may destroy "
        f"the {task}"
    )
    return [Problem("lost", words, tuple(id(snapshot.rows[index].task) for index in indexes), certain=False)]
