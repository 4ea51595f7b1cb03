"""Who holds what: the `async with` blocks that a task is in, read off the stacks of its coroutines.

While a block runs, its coroutine keeps the method that leaves it (`__aexit__`), and so the lock, the
semaphore or the timeout, on its stack, where the garbage collector sees it. Nothing is noted while the
program runs.
What a task has acquired by `await lock.acquire()` leaves no such trace, and is known where `inspect()` was
on by then. Called by `snapshot.py`.
"""

import gc
from collections.abc import Callable
from typing import Any

from yibu import _yibu
from yibu.inspection.rows import Row, Step
from yibu.inspection.wording import quoted
from yibu.task_names import name_of


class Noted:
    """Who has taken a lock, where `inspect()` has had that noted."""

    def __init__(self, reference: Callable[[], Any], seconds: float) -> None:
        task = reference()
        self.task_id = id(task)
        self.seconds = seconds
        if task is None:
            self.words = "a task that is gone"
        elif task.done():
            self.words = f"task {quoted(name_of(task))}, which has ended"
        else:
            self.words = f"task {quoted(name_of(task))}"


def entered(row: Row) -> list[Any]:
    """The objects whose `async with` blocks a task is in, from the outermost inwards."""
    found: list[Any] = []
    for index, step in enumerate(row.steps):
        if step.code is None:
            continue
        following = row.steps[index + 1] if index + 1 < len(row.steps) else None
        left = _leaving(step)
        if left and following is not None and _enters(following, left[-1]):
            left.pop()
        found += left
    return found


def _leaving(step: Step) -> list[Any]:
    """The owners of the `__aexit__` methods on the stack of a coroutine."""
    found: list[Any] = []
    referents = gc.get_referents(step.coroutine)
    for index, referent in enumerate(referents):
        parts = _yibu._routine_parts(referent)
        if parts is not None:
            # Up to 3.13 the bound method of a native object is the coroutine that it will return.
            if _name(referent) == "__aexit__" and not getattr(referent, "cr_running", False):
                found.append(parts[0])
        elif _name(referent) == "__aexit__":
            owner = getattr(referent, "__self__", None)
            if owner is None and index + 1 < len(referents):
                owner = referents[index + 1]  # since 3.14 the method stands unbound before its object
            if owner is not None:
                found.append(owner)
    return found


def _name(object: Any) -> str:
    try:
        name = object.__name__
    except Exception:  # an object of the program, whose attributes may raise anything
        return ""
    return name if isinstance(name, str) else ""


def _enters(step: Step, owner: Any) -> bool:
    """Whether a coroutine is the `__aenter__` of an object, so that its block has not begun."""
    if not step.name.endswith(".__aenter__"):
        return False
    parts = _yibu._routine_parts(step.coroutine)
    if parts is not None:
        return parts[0] is owner
    frame = getattr(step.coroutine, "cr_frame", None)
    return frame is not None and frame.f_locals.get("self") is owner
