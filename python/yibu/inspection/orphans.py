"""Locks that are held, but by no task that is known to hold them: whoever took such a lock may have ended
without `release()`.

A lock that many tasks use is handed from one to the next all the time, and who holds it may not be seen
while a task runs. So only a lock is named that is held at a second look, too, when the tasks that wait for it
still wait and no task that runs has it. Nor is a lock named that other code is about to release. Called by
`problems.py`.
"""

from __future__ import annotations

import dis
import time
from types import CodeType
from typing import TYPE_CHECKING, Any

from yibu.inspection import holders, rows, time_limits
from yibu.inspection.descriptions import Problem
from yibu.inspection.reach import Reach
from yibu.inspection.wording import with_article

if TYPE_CHECKING:
    from yibu.inspection.snapshot import Snapshot
    from yibu.inspection.wakers import Wakers

_PAUSE = 0.05
"""Seconds between the two looks, where the tasks go on meanwhile."""

_MOST_OF_RUNNING = 1_000
"""So many objects are looked at for a task that runs."""


def problems(snapshot: Snapshot, wakers: Wakers, stuck: set[int]) -> list[Problem]:
    """Locks that are held, but by no `async with` block of a living task."""
    found = []
    for lock, indexes in _confirmed(snapshot, _without_holder(snapshot)):
        if not _is_released_by_others(snapshot, lock, indexes, wakers, stuck):
            found.append(_problem(snapshot, lock, indexes))
    return found


def _without_holder(snapshot: Snapshot) -> list[tuple[Any, list[int]]]:
    """The locks that are held by no task that is known, with the rows that wait for them."""
    from yibu.inspection.snapshot import lock_of

    waiting: dict[int, tuple[Any, list[int]]] = {}
    for index, wait in enumerate(snapshot.waits):
        if wait.kind != "lock":
            continue
        lock = lock_of(wait.resource)
        if not snapshot.holders.get(id(lock)) and _is_held(lock):
            waiting.setdefault(id(lock), (lock, []))[1].append(index)
    return list(waiting.values())


def _is_held(lock: Any) -> bool:
    """Whether a lock is taken; it is not while it is handed over to a task that is ready."""
    try:
        return bool(lock.locked())
    except Exception:  # a lock of the program's own class, which may raise anything
        return False


def _confirmed(snapshot: Snapshot, suspects: list[tuple[Any, list[int]]]) -> list[tuple[Any, list[int]]]:
    """Those of the locks that nobody is seen to hold at a second look either."""
    if not suspects:
        return []
    if snapshot.is_beside:
        time.sleep(_PAUSE)
    held: set[int] = set()
    for row in rows.read(snapshot.breathe):
        snapshot.breathe()
        held.update(_in_reach(row, snapshot) if row.runs else map(_lock_id, holders.entered(row)))
    return [
        (lock, indexes)
        for lock, indexes in suspects
        if id(lock) not in held
        and _is_held(lock)
        and not any(snapshot.rows[index].has_changed for index in indexes)
    ]


def _lock_id(owner: Any) -> int:
    from yibu.inspection.snapshot import lock_of

    return id(lock_of(owner))


def _in_reach(row: rows.Row, snapshot: Snapshot) -> set[int]:
    """What a task that runs may hold: the blocks of coroutines that run are hidden."""
    reach = Reach(snapshot.breathe, _MOST_OF_RUNNING)
    for step in row.steps:
        frame = getattr(step.coroutine, "cr_frame", None)
        if step.code is not None and frame is not None and _may_take(step.code):
            reach.add_frame(frame)
    reach.go()
    return set(reach.found)


def _may_take(code: CodeType) -> bool:
    """Whether code calls `acquire` or has a block `async with`."""
    return "acquire" in code.co_names or any(
        instruction.opname == "BEFORE_ASYNC_WITH"
        or (instruction.opname == "LOAD_SPECIAL" and instruction.argrepr == "__aexit__")  # since 3.14
        for instruction in dis.get_instructions(code)
    )


def _is_released_by_others(
    snapshot: Snapshot, lock: Any, indexes: list[int], wakers: Wakers, stuck: set[int]
) -> bool:
    """Whether a timer, a thread or a task that goes on has the lock in reach and only releases it."""
    if time_limits.targets(snapshot, snapshot.rows[indexes[0]].loop, "release") & {id(lock)}:
        return True
    for reach in wakers.reaches_outside(stuck | set(indexes)):
        # Code that takes the lock as well releases what it has taken.
        if id(lock) in reach.found and "release" in reach.names and "acquire" not in reach.in_code:
            return True
    return False


def _problem(snapshot: Snapshot, lock: Any, indexes: list[int]) -> Problem:
    name = type(snapshot.waits[indexes[0]].resource).__name__
    words = f"{snapshot.names(indexes)} wait{'s' if len(indexes) == 1 else ''} for {with_article(name)} "
    noted = snapshot.noted.get(id(lock))
    if noted is None:
        words += (
            "that no living task holds by `async with`: whoever called acquire() may have ended without "
            "release()"
        )
    else:
        words += f"taken {noted.seconds:.1f} s ago by {noted.words}"
    tasks = tuple(id(snapshot.rows[index].task) for index in indexes)
    return Problem("orphaned lock", words, tasks, certain=False)
