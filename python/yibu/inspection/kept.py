"""`Kept`: how long a question could not be taken, because a call kept the interpreter until it ended.

Such a call cannot be seen while it lasts, and all is well afterwards. Made by `server.py`.
"""

import sys
import threading
import time
from typing import Any

from yibu.inspection.descriptions import Frame, Problem, is_pythons
from yibu.inspection.wording import quoted

_LONG = 0.5
"""A shorter time is a machine that is busy."""

_LONGEST = 3600.0
"""A longer one is a clock that is another one, as in a container with a time of its own."""


class Kept:
    """Made as soon as a question has come: who has let go of the interpreter is at that line yet."""

    def __init__(self, asked: Any, free_since: float) -> None:
        self._seconds = time.monotonic() - max(asked, free_since) if isinstance(asked, float) else 0.0
        self._places = _places() if self._is_long else []

    @property
    def _is_long(self) -> bool:
        return _LONG < self._seconds < _LONGEST

    def problems(self) -> list[Problem]:
        """In words."""
        if not self._is_long:
            return []
        where = f", probably at {self._places[0]}" if len(self._places) == 1 else ""
        words = f"a call kept the interpreter for {self._seconds:.1f} s before this look{where}"
        return [Problem("kept interpreter", words, certain=False)]


def _places() -> list[str]:
    """Where the threads are that are in code of the program's."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found = []
    for ident, frame in sys._current_frames().items():
        code = frame.f_code
        if ident != threading.get_ident() and not is_pythons(code.co_filename):
            place = Frame(code.co_qualname, code.co_filename, frame.f_lineno or 0)
            found.append(f"{place} in thread {quoted(names.get(ident, str(ident)))}")
    return found
