"""Locks, queues and the like with the tasks that wait for them, and queues with their items.

`waited_for` makes them of what a snapshot knows; `with_sizes` adds how long queues are. Called by
`snapshot.py` and `observed.py`.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

from yibu.inspection.parts import ResourceDescription

if TYPE_CHECKING:
    from yibu.inspection.growing import Size
    from yibu.inspection.snapshot import Snapshot

_KINDS = ("lock", "semaphore", "event", "condition", "barrier", "queue")

_SHOWN = 100
"""So many tasks of each are named."""


def waited_for(snapshot: Snapshot) -> tuple[ResourceDescription, ...]:
    """What tasks wait for, those for which most wait first."""
    from yibu.inspection.snapshot import lock_of

    objects: dict[int, tuple[str, Any]] = {}
    waiters: dict[int, list[int]] = {}
    roles: dict[int, dict[str, None]] = {}
    for index, wait in enumerate(snapshot.waits):
        snapshot.breathe()
        if wait.resource is None or wait.kind not in _KINDS:
            continue
        resource = lock_of(wait.resource) if wait.kind == "lock" else wait.resource
        objects.setdefault(id(resource), (wait.kind, resource))
        waiters.setdefault(id(resource), []).append(index)
        roles.setdefault(id(resource), {})[wait.others or "waiter"] = None
    found = []
    for key, (kind, resource) in objects.items():
        snapshot.breathe()
        items, limit = _items(resource) if kind == "queue" else (None, None)
        noted = snapshot.noted.get(key)
        found.append(
            ResourceDescription(
                id=key,
                kind=kind,
                name=type(resource).__name__,
                waiting=len(waiters[key]),
                waiters=_ids(snapshot, waiters[key]),
                wanted=tuple(roles[key]),
                holders=_ids(snapshot, snapshot.holders.get(key, [])),
                held=noted.seconds if noted else None,
                items=items,
                limit=limit,
            )
        )
    return tuple(sorted(found, key=lambda resource: -resource.waiting))


def _ids(snapshot: Snapshot, indexes: list[int]) -> tuple[int, ...]:
    return tuple(id(snapshot.rows[index].task) for index in indexes[:_SHOWN])


def _items(queue: Any) -> tuple[int | None, int | None]:
    """How many items a queue has, and how many it takes."""
    try:
        return int(queue.qsize()), int(queue.maxsize) if queue.maxsize > 0 else None
    except Exception:  # a queue of the program's own may raise anything
        return None, None


def with_sizes(
    resources: tuple[ResourceDescription, ...], before: dict[int, Size], after: dict[int, Size]
) -> tuple[ResourceDescription, ...]:
    """The same with the items of queues, and the queues with items for which nobody waits."""
    found = {resource.id: resource for resource in resources}
    for key, size in after.items():
        known = found.get(key)
        if known is None:
            if not size.items:
                continue
            _items_now, limit = _items(size.queue)
            known = ResourceDescription(key, "queue", type(size.queue).__name__, 0, (), limit=limit)
        first = before.get(key)
        growth = size.items - first.items if first is not None and first.queue is size.queue else None
        users = tuple(itertools.islice(size.tasks.values(), _SHOWN))
        found[key] = dataclasses.replace(known, items=size.items, growth=growth, users=users)
    return tuple(found.values())
