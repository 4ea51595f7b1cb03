"""The blockages that watchdogs have seen, and a watchdog for as long as the page is open.

Called by `server.py` and `observed.py`.
"""

import time
from collections.abc import Sequence

from yibu.inspection.descriptions import Frame, Problem, is_of_library
from yibu.inspection.parts import BlockageDescription
from yibu.inspection.wording import quoted
from yibu.observing import Watch, background, recent

_THRESHOLD = 0.1

_LATELY = 60.0
"""For so many seconds a blockage that is over counts as something wrong."""

PATIENCE = 15.0
"""Seconds after which a page that has not asked again counts as closed."""


def seen() -> tuple[BlockageDescription, ...]:
    """What was seen, the last one first."""
    return tuple(
        BlockageDescription(
            loop=one.loop,
            number=one.number,
            when=one.when,
            over=one.over,
            seconds=one.seconds,
            cause=one.cause,
            task=one.task_name,
            thread=one.thread_name,
            words=one.words,
            stack=tuple(Frame(line.function, line.file, line.line) for line in reversed(one.lines)),
        )
        for one in recent.all_seen()
    )


def threshold() -> float | None:
    """What the most careful watchdog of the process takes for a blockage, in seconds; None without one."""
    return min((watch.threshold for watch in _watches()), default=None)


def problems(found: Sequence[BlockageDescription]) -> list[Problem]:
    """The lines that have blocked a loop lately, the worst first; samples find what still blocks one."""
    lately = time.time() - _LATELY
    by_place: dict[str, list[BlockageDescription]] = {}
    for one in found:
        if one.over and one.when + one.seconds >= lately:
            by_place.setdefault(_place(one), []).append(one)
    worst = sorted(by_place.items(), key=lambda item: -sum(one.seconds for one in item[1]))
    return [Problem("blockages", _words(place, some)) for place, some in worst]


def _place(one: BlockageDescription) -> str:
    """The innermost line of the program's."""
    own = [frame for frame in one.stack if not is_of_library(frame.file)]
    return str((own or one.stack)[-1]) if one.stack else "no line that is known"


def _words(place: str, some: Sequence[BlockageDescription]) -> str:
    times = "once" if len(some) == 1 else f"{len(some)} times"
    longest = max(some, key=lambda one: one.seconds)
    length = f"{longest.seconds:.2f} s" if len(some) == 1 else f"up to {longest.seconds:.2f} s"
    who = f" in task {quoted(longest.task)}" if longest.task is not None else ""
    return f"{place} has blocked the loop {times} in the last minute, for {length}{who} ({longest.cause})"


def _watches() -> list[Watch]:
    return [worker for worker in list(background._workers) if isinstance(worker, Watch)]


class Onlookers:
    """Has the loops watched while the page is open, unless the program has them watched itself."""

    def __init__(self) -> None:
        self._watch: Watch | None = None
        self._last = 0.0

    def look(self) -> None:
        """A page has asked: it is open."""
        self._last = time.monotonic()
        if self._watch is None and not _watches():
            self._watch = Watch(_THRESHOLD, _no_report)

    def leave_if_gone(self) -> None:
        """Watch no more when nobody has looked for a while."""
        if self._watch is not None and time.monotonic() - self._last > PATIENCE:
            self.leave()

    def leave(self) -> None:
        """Watch no more."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()


def _no_report(_blockage: object) -> None:
    """Who looks at the page sees the blockage there; the log is the program's."""
