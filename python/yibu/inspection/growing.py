"""Queues that grow: those that tasks or modules have in their variables, counted twice.

Looked at are the variables of the coroutines of all tasks and those of the program's modules, and the
attributes and items of what is in them. Called by `observed.py`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CellType, ModuleType
from typing import Any

from yibu import _yibu
from yibu.inspection import rows
from yibu.inspection.descriptions import PACKAGE, Problem, is_of_library
from yibu.inspection.wording import quoted

_NAMES = ("Queue", "PriorityQueue", "LifoQueue")
_QUEUES = {getattr(module, name) for module in (asyncio.queues, _yibu) for name in _NAMES}

_MANY = 100
"""A queue with fewer items is not worth a word. No more objects are looked into at each step."""

_DEPTH = 3
"""So far from a variable queues are looked for: by attributes and by items."""


@dataclass
class Size:
    """A queue, how many items it has, and the tasks and variables that refer to it."""

    queue: Any
    items: int
    tasks: dict[str, int]
    """By name their `id`."""

    variables: list[str]
    """Those of modules, as `module.name`."""


def sizes(breathe: Callable[[], None]) -> dict[int, Size]:
    """The queues that tasks and modules refer to, by their `id`."""
    found: dict[int, Size] = {}

    def size_of(queue: Any) -> Size:
        if id(queue) not in found:
            found[id(queue)] = Size(queue, queue.qsize(), {}, [])
        return found[id(queue)]

    search = Search(breathe)
    all_rows = rows.read(breathe)
    while all_rows:
        breathe()
        row = all_rows.pop()
        for queue in _queues_of(search, row):
            size_of(queue).tasks.setdefault(row.name, id(row.task))
    for name, queue in _queues_of_modules(search, breathe):
        size_of(queue).variables.append(name)
    return found


def _queues_of_modules(search: Search, breathe: Callable[[], None]) -> Iterator[tuple[str, Any]]:
    """The queues in the variables of the program's modules, with the names of the variables."""
    for module in list(sys.modules.values()):
        breathe()
        # Not of a class of the program, which may do anything when it is asked.
        if type(module) is not ModuleType:
            continue
        file, module_name = module.__dict__.get("__file__"), module.__dict__.get("__name__")
        is_main = module_name == "__main__"  # it has no file where its code came from the command line
        if not is_main and (not isinstance(file, str) or is_of_library(file) or file.startswith(PACKAGE)):
            continue
        for name, value in list(module.__dict__.items()):
            for queue in search.queues_in(value):
                yield f"{module_name}.{name}", queue


def _queues_of(search: Search, row: rows.Row) -> list[Any]:
    found: list[Any] = []
    for step in row.steps:
        if step.code is None:
            continue
        for referent in gc.get_referents(step.coroutine):
            found += search.queues_in(_content(referent) if type(referent) is CellType else referent)
    return found


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


class Search:
    """Finds queues in variables; what many tasks have in their variables is looked into once."""

    def __init__(self, breathe: Callable[[], None]) -> None:
        self._breathe = breathe
        self._known: dict[int, tuple[Any, list[Any]]] = {}
        """By the `id` of what a variable has, that object, so that it stays, and its queues."""

    def queues_in(self, object: Any) -> list[Any]:
        """A queue itself, or the queues among the attributes and items of an object of the program."""
        if _is_queue(object):
            return [object]
        if id(object) not in self._known:
            self._known[id(object)] = object, self._search(object)
        return self._known[id(object)][1]

    def _search(self, object: Any) -> list[Any]:
        found: list[Any] = []
        seen, layer = {id(object)}, [object]
        for _depth in range(_DEPTH):
            self._breathe()
            parts = [part for one in layer for part in _parts(one)]
            layer = []
            for part in parts[:_MANY]:
                if id(part) not in seen:
                    seen.add(id(part))
                    (found if _is_queue(part) else layer).append(part)
        return found


def _parts(object: Any) -> list[Any]:
    """The items of a plain collection, or the attributes of an object, unless there are many."""
    kind = type(object)
    if kind is dict:
        parts = object.values() if len(object) <= _MANY else ()
    elif kind in (list, tuple, set, frozenset, deque):
        parts = object if len(object) <= _MANY else ()
    elif type in kind.__mro__ or ModuleType in kind.__mro__ or not hasattr(kind, "__dict__"):
        parts = ()
    else:
        try:
            attributes = object.__dict__
        except Exception:  # an object of the program, whose attributes may raise anything
            return []
        parts = attributes.values() if type(attributes) is dict and len(attributes) <= _MANY else ()
    return list(parts)


def _is_queue(object: Any) -> bool:
    # Not of a class of the program, whose qsize() may do anything.
    return type(object) in _QUEUES


def problems(before: dict[int, Size], after: dict[int, Size]) -> list[Problem]:
    """The queues that have grown."""
    found = []
    for key, size in after.items():
        first = before.get(key)
        if first is None or first.queue is not size.queue or size.items < _MANY:
            continue
        if size.items > first.items:
            words = (
                f"a {type(size.queue).__name__} has {size.items:,} items, {size.items - first.items:,} more "
                f"than a moment ago; {_known_by(size)}"
            )
            found.append(Problem("growing queue", words, tuple(size.tasks.values()), certain=False))
    return found


def _known_by(size: Size) -> str:
    known = []
    if size.variables:
        known.append(f"it is {', '.join(sorted(set(size.variables))[:5])}")
    if size.tasks:
        known.append(f"tasks that refer to it: {', '.join(map(quoted, sorted(size.tasks)[:5]))}")
    return "; ".join(known)
