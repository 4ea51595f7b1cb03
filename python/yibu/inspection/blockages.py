"""The blockages that watchdogs have seen, and a watchdog for as long as somebody looks at the page.

Called by `server.py` and `observed.py`.
"""

import time

from yibu.inspection.descriptions import Frame
from yibu.inspection.parts import BlockageDescription
from yibu.observing import Watch, background, recent

_THRESHOLD = 0.1

PATIENCE = 15.0
"""Seconds after which somebody who has not asked again looks no more."""


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


def _watches() -> list[Watch]:
    return [worker for worker in list(background._workers) if isinstance(worker, Watch)]


class Onlookers:
    """Has the loops watched while somebody looks, unless the program has them watched itself."""

    def __init__(self) -> None:
        self._watch: Watch | None = None
        self._last = 0.0

    def look(self) -> None:
        """Somebody looks."""
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
