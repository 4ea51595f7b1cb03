"""The last blockages that watchdogs have seen in this process, to be looked at later.

They are kept as plain data, which keeps no loop and no task alive. Called by `watchdog.py`, and read by
`inspection/blockages.py`.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from yibu.observing.blockage import Blockage, Line

_KEPT = 30


@dataclass(frozen=True)
class Seen:
    """A blockage without its loop and task."""

    loop: int
    number: int
    when: float
    over: bool
    seconds: float
    cause: str
    task_name: str | None
    thread_name: str
    words: str
    lines: tuple[Line, ...]
    """The most frequent stack, most recent call first."""


_seen: "OrderedDict[tuple[int, int], Seen]" = OrderedDict()
_lock = threading.Lock()


def note(blockage: Blockage) -> None:
    """Keep a report in the place of an earlier one about the same step."""
    key = id(blockage.loop), blockage.number
    lines = blockage.stacks[0].lines if blockage.stacks else ()
    words = str(blockage)
    with _lock:
        earlier = _seen.get(key)
        _seen[key] = Seen(
            loop=id(blockage.loop),
            number=blockage.number,
            when=time.time() - blockage.seconds if earlier is None else earlier.when,
            over=blockage.over,
            seconds=blockage.seconds,
            cause=blockage.cause,
            task_name=blockage.task_name,
            thread_name=blockage.thread_name,
            words=words,
            lines=lines,
        )
        while len(_seen) > _KEPT:
            _seen.popitem(last=False)


def all_seen() -> list[Seen]:
    """The blockages, the last one first."""
    with _lock:
        return list(reversed(_seen.values()))
