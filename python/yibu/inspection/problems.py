"""What is wrong: deadlocks, locks whose holder is gone (`orphans.py`), and tasks that nobody knows of
(`lost.py`).

A task is stuck when what it waits for are tasks that are stuck. So it is when it waits for an event, a queue
or the like that only stuck tasks could set or fill (`wakers.py`). What waits for the world (time, sockets,
threads) or for a future of the program is not, nor is what has a time limit. The time limit of a task also
frees those that it awaits: it cancels them, or goes on and may do so. Called by `snapshot.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from yibu.inspection import lost, orphans, time_limits
from yibu.inspection.descriptions import Problem
from yibu.inspection.waits import Wait
from yibu.inspection.wakers import Wakers
from yibu.inspection.wording import listed, quoted, with_article

if TYPE_CHECKING:
    from yibu.inspection.snapshot import Snapshot

_MOST_HOLDERS = 10

Needs = tuple[list[int], bool]
"""The tasks without which a task does not go on, as far as its waiting says, and whether one is enough."""


def find(snapshot: Snapshot) -> list[Problem]:
    """Every problem that the snapshot shows."""
    # At first: what is found out later refers to objects of the program.
    snapshot.lost, of_lost = lost.find(snapshot)
    wakers = Wakers(snapshot)
    stuck, deadlocks = _deadlocks(snapshot, wakers)
    found = [*deadlocks, *orphans.problems(snapshot, wakers, stuck), *of_lost]
    wakers.forget()
    return found


def _needs(snapshot: Snapshot, index: int, wait: Wait) -> Needs:
    from yibu.inspection.snapshot import lock_of

    if wait.kind in ("lock", "semaphore"):
        return snapshot.holders.get(id(lock_of(wait.resource)), []), True
    return snapshot.awaits[index], wait.any_of


def _stuck(snapshot: Snapshot, needs: list[Needs], wakers: Wakers) -> set[int]:
    """The rows that cannot go on: all rows, without those of which it can be said that they may."""
    stuck = {index for index, (needed, _any_of) in enumerate(needs) if needed or index in wakers.waiting}
    missing, needing = _missing(needs, stuck)
    asked = {index for index in stuck if not needs[index][0]}
    freed = [index for index, count in missing.items() if not count]
    freed += [index for index in asked if wakers.may_wake(index)]
    news = [index for index in range(len(needs)) if index not in stuck]
    while True:
        while freed:
            snapshot.breathe()
            index = freed.pop()
            if index not in stuck:
                continue
            stuck.remove(index)
            asked.discard(index)
            news.append(index)
            for other in needing.get(index, ()):
                missing[other] -= 1
                if not missing[other]:
                    freed.append(other)
        if asked:
            freed = [index for index in wakers.add_free(news) if index in asked]
            news = []
        if not freed:
            break
    limited = time_limits.limited(snapshot, stuck)
    if limited:
        needs = [([], False) if index in limited else need for index, need in enumerate(needs)]
        wakers.waiting -= limited
        return _stuck(snapshot, needs, wakers)
    return stuck


def _missing(needs: list[Needs], stuck: set[int]) -> tuple[dict[int, int], dict[int, list[int]]]:
    """For each row that needs others how many more have to be free for it, and by row those that need it."""
    missing: dict[int, int] = {}
    needing: dict[int, list[int]] = {}
    for index in stuck:
        needed, any_of = needs[index]
        if not needed:
            continue
        held = [other for other in needed if other in stuck]
        missing[index] = int(len(held) == len(needed)) if any_of else len(held)
        for other in held:
            needing.setdefault(other, []).append(index)
    return missing, needing


def _deadlocks(snapshot: Snapshot, wakers: Wakers) -> tuple[set[int], list[Problem]]:
    """The stuck rows; the circles of tasks that wait for each other, each once, and queues that nobody works
    off.
    """
    needs = []
    for index, wait in enumerate(snapshot.waits):
        snapshot.breathe()
        needs.append(_needs(snapshot, index, wait))
    stuck = _stuck(snapshot, needs, wakers)
    edges = {index: [other for other in needs[index][0] if other in stuck] for index in stuck}
    to_wake = {index for index in stuck if not edges[index]}
    if to_wake:
        found_wakers = wakers.stuck_wakers(stuck)
        edges.update((index, found_wakers[index]) for index in to_wake)
    found = [
        _left_alone(snapshot, index)
        for index in stuck
        if not edges[index] and "task_done" in snapshot.waits[index].woken_by
    ]
    _cut_dead_ends(edges)
    seen: set[int] = set()
    for start in sorted(edges):
        path: list[int] = []
        index = start
        while index not in seen:
            seen.add(index)
            path.append(index)
            index = edges[index][0]
        if index in path:
            circle = path[path.index(index) :]
            found.append(_deadlock(snapshot, circle, needs, wakers, stuck))
    return stuck, found


def _cut_dead_ends(edges: dict[int, list[int]]) -> None:
    """Leave only what leads into a circle."""
    coming: dict[int, list[int]] = {}
    for index, others in edges.items():
        for other in others:
            coming.setdefault(other, []).append(index)
    ways = {index: len(others) for index, others in edges.items()}
    ends = [index for index, count in ways.items() if count == 0]
    while ends:
        end = ends.pop()
        del edges[end]
        for index in coming.get(end, ()):
            ways[index] -= 1
            if ways[index] == 0:
                ends.append(index)
    for index, others in edges.items():
        edges[index] = [other for other in others if other in edges]


def _left_alone(snapshot: Snapshot, index: int) -> Problem:
    row = snapshot.rows[index]
    words = (
        f"{quoted(row.name)} waits for {with_article(snapshot.waits[index].words)}, and nobody takes from it"
    )
    return Problem("deadlock", words, (id(row.task),), certain=False)


def _deadlock(
    snapshot: Snapshot, circle: list[int], needs: list[Needs], wakers: Wakers, stuck: set[int]
) -> Problem:
    first = min(range(len(circle)), key=lambda place: snapshot.rows[circle[place]].name)
    circle = circle[first:] + circle[:first]
    parts = []
    for index, following in zip(circle, [*circle[1:], circle[0]], strict=True):
        wait = snapshot.waits[index]
        name, other = quoted(snapshot.rows[index].name), quoted(snapshot.rows[following].name)
        if wait.kind in ("lock", "semaphore") and needs[index][0]:
            # Each holder of a semaphore could let the task go on, so each is part of the deadlock.
            others = [quoted(snapshot.rows[one].name) for one in needs[index][0] if one != following]
            held = listed([other, *others], _MOST_HOLDERS)
            parts.append(f"{name} waits for {with_article(wait.words)} held by {held}")
        else:
            parts.append(f"{name} waits for {other} ({wait.words})")
    tasks = tuple(id(snapshot.rows[index].task) for index in circle)
    certain = all(needs[index][0] for index in circle) and not wakers.may_cancel(set(tasks), stuck)
    return Problem("deadlock", "; ".join(parts), tasks, certain)
