"""`Handler`: does something when a signal comes, without harm to the program that the signal interrupts.

Made by `inspecting.py`.
"""

import contextlib
import threading
from collections.abc import Callable
from types import FrameType

from yibu.inspection.standard_error import tell_in_time
from yibu.inspection.wording import reason_of


class Handler:
    """Runs in the main thread, between two instructions of Python code."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._running = threading.Lock()
        """Held while the handler runs, which the next signal may interrupt."""

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        """Act, unless that is being done; an error is printed and not raised."""
        if not self._running.acquire(blocking=False):
            return
        try:
            self._act()
        except Exception as error:
            # The program may be at the end of its stack or its memory.
            with contextlib.suppress(Exception):
                tell_in_time(f"yibu: {reason_of(error)}")
        finally:
            self._running.release()
