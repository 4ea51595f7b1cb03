"""Lets the standard library's `asyncio.all_tasks()` see native tasks.

A stock task registers itself in a `WeakSet` when it is created: a weak reference, a set entry and a
callback for each. Native tasks are already linked together inside `yibu._yibu`, so instead of paying
that price per task, the set that the one registry object keeps its references in is given a class that
asks `_native_tasks()` when it is iterated, counted or searched.

`yibu/__init__.py` calls `join_task_registry()` once, on import. No other code should need this module.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from weakref import WeakSet, ref

from yibu._yibu import _native_tasks

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any


class TaskReferences(set["Any"]):
    """A registry's weak references to tasks, with those to the native tasks of every loop and thread."""

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from map(ref, _native_tasks())

    def copy(self) -> set[Any]:
        # What the registry iterates since 3.14. The set's own, made at once, as other threads change it.
        return super().copy() | set(map(ref, _native_tasks()))

    def __len__(self) -> int:
        return super().__len__() + len(_native_tasks())

    def __contains__(self, reference: object) -> bool:
        task = reference() if isinstance(reference, ref) else None
        return any(task is native for native in _native_tasks()) or super().__contains__(reference)


def stock_registry() -> WeakSet[Any]:
    """The `WeakSet` that this interpreter's `asyncio.all_tasks()` iterates."""
    if sys.version_info >= (3, 14):
        return _hidden_registry()
    name = "_scheduled_tasks" if sys.version_info >= (3, 12) else "_all_tasks"
    registry: WeakSet[Any] = getattr(asyncio.tasks, name)
    return registry


def _hidden_registry() -> WeakSet[Any]:
    """The registry of 3.14 and later, which belongs to the state of the C module and has no name.

    There `asyncio.tasks._scheduled_tasks` serves only the pure-Python functions. The C module shows
    its set to the garbage collector, and a task registered for a moment tells it from any other.
    """
    module = sys.modules["_asyncio"]
    probe = _Probe()
    asyncio._register_task(probe)  # type: ignore[arg-type]  # any object with weak references will do
    try:
        for candidate in gc.get_referents(module):
            if isinstance(candidate, WeakSet) and probe in candidate:
                return candidate
    finally:
        asyncio._unregister_task(probe)  # type: ignore[arg-type]
    raise ImportError("yibu cannot find asyncio's registry of tasks")


class _Probe:
    """Stands for a task in `_hidden_registry`; answers what `all_tasks()` in another thread asks."""

    def done(self) -> bool:
        return True

    def get_loop(self) -> None:
        return None


def join_task_registry() -> None:
    """Make native tasks visible to `asyncio.all_tasks()`; doing it again changes nothing."""
    registry: Any = stock_registry()  # the type does not know its `data`
    if not isinstance(registry.data, TaskReferences):
        registry.data = TaskReferences(registry.data)
