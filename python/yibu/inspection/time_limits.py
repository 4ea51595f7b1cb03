"""Which of the tasks that seem stuck have a time limit: by `timeout()`, `wait_for()` and the like, or by a
timer of the program that acts on them, as `loop.call_later(5, task.cancel)` does.

A time limit frees the tasks below, too: those that are awaited by the task that has it. Called by
`problems.py`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from yibu import _yibu
from yibu.inspection import holders
from yibu.inspection.reach import Reach

if TYPE_CHECKING:
    from yibu.inspection.snapshot import Snapshot

OF_ASYNCIO = ("_on_timeout", "_handle_timeout", "_release_waiter")
"""asyncio's own functions for time limits."""

_ENDING = frozenset(("cancel", "set_result", "set_exception", "release", *OF_ASYNCIO))
"""What a timer calls to end the waiting of a task."""

_MOST = 30_000
"""So many objects are looked at for the timers of a loop, and for one timer:"""

_MOST_OF_TIMER = 300


def limited(snapshot: Snapshot, stuck: set[int]) -> set[int]:
    """The stuck rows that have a time limit, or that a task with one awaits, also over other tasks."""
    awaits: dict[int, list[int]] = {}
    seen: set[int] = set()
    by_group: dict[int, list[int]] = {}
    for index, wait in enumerate(snapshot.waits):
        if wait.group is not None:
            by_group.setdefault(id(wait.group), []).append(index)
    pending = list(stuck)
    while pending:
        index = pending.pop()
        if index in seen:
            continue
        seen.add(index)
        snapshot.breathe()
        above = _awaiting(snapshot, index, by_group)
        for other in above:
            awaits.setdefault(other, []).append(index)
        pending += above
    found: set[int] = set()
    timed = _timed(snapshot, seen) if seen else set()
    pending = [index for index in seen if index in timed or has_limit(snapshot, index)]
    while pending:
        index = pending.pop()
        if index not in found:
            found.add(index)
            pending += awaits.get(index, [])
    return found & stuck


def _awaiting(snapshot: Snapshot, index: int, by_group: dict[int, list[int]]) -> list[int]:
    """The tasks whose end by a time limit reaches a task: they await it, or it belongs to their group.

    What is shielded goes on, whatever happens to the task that waits for it.
    """
    above = [other for other in snapshot.awaited_by[index] if snapshot.waits[other].kind != "shield"]
    task = snapshot.rows[index].task
    owners = [owner for _name, owner in _yibu._future_reactions(task)]
    callbacks = getattr(task, "_callbacks", None) or ()
    owners += [getattr(callback, "__self__", None) for callback, _context in callbacks]
    for owner in owners:
        if type(owner).__name__ == "TaskGroup":
            parent = snapshot.by_task.get(id(getattr(owner, "_parent_task", None)))
            if parent is not None and parent not in above:
                above.append(parent)
        above += [other for other in by_group.get(id(owner), ()) if other not in above]
    return above


def has_limit(snapshot: Snapshot, index: int) -> bool:
    """Whether a task is in a block of `timeout()`, or in `wait_for()`, or waits for others with a limit."""
    row = snapshot.rows[index]
    for owner in holders.entered(row):
        if type(owner).__name__ == "Timeout" and owner.when() is not None:
            return True
    for step in row.steps:
        parts = _yibu._routine_parts(step.coroutine)
        if step.name == "wait_for" and (parts is None or any(part is not None for part in parts[1:])):
            return True
        if step.name in ("wait", "_wait") and snapshot.waits[index].kind == "wait" and _waithas_limit(step):
            return True
    return False


def _waithas_limit(step: Any) -> bool:
    parts = _yibu._routine_parts(step.coroutine)
    if parts is not None:
        return getattr(parts[1], "_alarm", None) is not None
    frame = getattr(step.coroutine, "cr_frame", None)
    return frame is not None and frame.f_locals.get("timeout") is not None


def _timed(snapshot: Snapshot, indexes: set[int]) -> set[int]:
    """The rows on which a timer acts that is not due: on the task, or on what it waits for."""
    by_id: dict[int, list[int]] = {}
    for index in indexes:
        wait = snapshot.waits[index]
        for target in (snapshot.rows[index].task, snapshot.rows[index].waiter, wait.resource, wait.group):
            if target is not None:
                by_id.setdefault(id(target), []).append(index)
    found: set[int] = set()
    for loop in {id(snapshot.rows[index].loop): snapshot.rows[index].loop for index in indexes}.values():
        for target in _targets_of_timers(loop, snapshot.breathe, _ENDING):
            snapshot.breathe()
            found.update(by_id.get(id(target), ()))
    return found


def targets(snapshot: Snapshot, loop: Any, name: str) -> set[int]:
    """The `id` of each object that the timers of a loop have in reach which call a method of that name."""
    return {id(target) for target in _targets_of_timers(loop, snapshot.breathe, frozenset((name,)))}


def _targets_of_timers(loop: Any, breathe: Callable[[], None], names: frozenset[str]) -> Iterator[Any]:
    """The objects on which the timers of a loop act by methods of these names."""
    if isinstance(loop, _yibu.EventLoop):
        known = gc.get_referents(loop)
    else:
        known = list(getattr(loop, "_scheduled", ()))
    left = _MOST
    for timer in known:
        if isinstance(timer, (_yibu.TimerHandle, asyncio.TimerHandle)):
            reach = _of_handle(timer, breathe, min(_MOST_OF_TIMER, left))
            left -= reach.looked_at
            # What only has a task in its variables, as a periodic report, ends no waiting.
            if not reach.names.isdisjoint(names):
                yield from reach.found.values()
        elif type(timer).__name__ == "Alarm":  # yibu's own, which acts on an object
            yield from gc.get_referents(timer)


def _of_handle(handle: Any, breathe: Callable[[], None], most: int) -> Reach:
    reach = Reach(breathe, most)
    if not handle.cancelled():
        reach.add((handle._callback, *(handle._args or ())))
        reach.go()
    return reach
