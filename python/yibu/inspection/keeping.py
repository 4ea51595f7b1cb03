"""`Keeping`: whether anything but a task itself, and what will wake it, keeps the task alive.

A task may keep itself: a `timeout()` block refers to it, or it is an attribute of an object that its
coroutine has. So references alone do not tell. Everything that the task has in reach is walked through, as
the garbage collector would, and the references among these objects are counted: an object that has more of
them is kept by somebody else. Called by `lost.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections import Counter
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from yibu import _yibu
from yibu.inspection.time_limits import OF_ASYNCIO

if TYPE_CHECKING:
    from yibu.inspection.rows import Row
    from yibu.inspection.snapshot import Snapshot

_MOST = 300
"""So many objects are walked through for one task; one that has more is taken for kept."""

_LEFT_OUT: tuple[type, ...] = (type, ModuleType, CodeType, contextvars.Context, asyncio.AbstractEventLoop)
"""Not walked into: they live for other reasons, or lead to the whole program."""

_BY_OBJECT = ("queue", "event", "condition", "semaphore", "lock", "barrier", "future")
"""Kinds of waits where an object of the program wakes the task; the loop does in others, and is kept."""


class Keeping:
    """The references that a snapshot itself has, and how many objects are walked through in all."""

    def __init__(self, snapshot: Snapshot, most: int) -> None:
        self._snapshot = snapshot
        self._left = most
        self._of_snapshot: Counter[int] = Counter()
        for row, wait in zip(snapshot.rows, snapshot.waits, strict=True):
            snapshot.breathe()
            known = (row.waiter, wait.resource, wait.group, *(step.coroutine for step in row.steps))
            self._of_snapshot.update(id(one) for one in known if one is not None)

    def is_kept(self, index: int) -> bool:
        """Whether somebody else refers to a task, or to an object of the program that refers to it."""
        row, wait = self._snapshot.rows[index], self._snapshot.waits[index]
        if row.references is None or self._left <= 0:
            return True
        objects, referring = self._walked(row)
        if len(objects) > _MOST:
            return True
        cut = None if wait.kind in _BY_OBJECT else id(row.waiter)
        keeping = _leading_to(id(row.task), referring, cut)
        if row.references > len(referring[id(row.task)]):
            return True
        for place in range(1, len(objects)):
            identity = id(objects[place])
            if identity not in keeping or _is_of_loop(objects[place]):
                continue
            inside = len(referring[identity]) + self._of_snapshot[identity]
            # The list refers to it, too, and so does the call.
            if sys.getrefcount(objects[place]) - 2 > inside:
                return True
        return False

    def _walked(self, row: Row) -> tuple[list[Any], dict[int, list[int]]]:
        """The objects that a task has in reach; by the `id` of each those that refer to it, once for each
        reference."""
        referring: dict[int, list[int]] = {id(row.task): []}
        objects: list[Any] = [row.task]
        place = 0
        while place < len(objects) <= _MOST:
            self._snapshot.breathe()
            for one in _referents(objects[place], row):
                if id(one) not in referring:
                    referring[id(one)] = []
                    objects.append(one)
                referring[id(one)].append(id(objects[place]))
            place += 1
        self._left -= place
        return objects, referring


def _referents(one: Any, row: Row) -> list[Any]:
    """What an object refers to, without what is everybody's."""
    if type(one) is FunctionType:
        return [*(one.__closure__ or ()), *(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
    if one is not row.task and any(task in type(one).__mro__ for task in (_yibu.Task, asyncio.Task)):
        return []
    return [found for found in gc.get_referents(one) if gc.is_tracked(found) and not _is_left_out(found)]


def _is_left_out(one: Any) -> bool:
    # `__class__` is not asked: an object of the program may say anything.
    mro = type(one).__mro__
    return any(left_out in mro for left_out in _LEFT_OUT) or (type(one) is dict and "__builtins__" in one)


def _leading_to(task: int, referring: dict[int, list[int]], cut: int | None) -> set[int]:
    """The objects that refer to the task, also over others, but not over the one that is cut."""
    found: set[int] = set()
    pending = [task]
    while pending:
        for one in referring[pending.pop()]:
            if one not in found and one != cut:
                found.add(one)
                pending.append(one)
    return found


def _is_of_loop(one: Any) -> bool:
    """Whether an object is a timer by which asyncio limits the task's time: its loop keeps it."""
    if type(one).__name__ == "Alarm":
        return True
    if type(one) not in (_yibu.TimerHandle, asyncio.TimerHandle):
        return False
    return getattr(one._callback, "__name__", "") in OF_ASYNCIO
