"""Prints to the standard error of the program, which may be closed, full, or in use by what a signal has
interrupted.

Called by `inspecting.py`, `dumping.py` and `handlers.py`.
"""

import _thread
import contextlib
import sys
from typing import TextIO

from yibu.inspection.wording import encodable

PATIENCE = 1.0
"""Seconds for which the program is held until its standard error has taken a text."""


def tell(text: str) -> None:
    """Print a text, unless the process has no standard error or that is closed."""
    _write(text, sys.stderr)


def tell_in_time(text: str) -> None:
    """Print a text in a thread, which may go on waiting for whoever is to read standard error."""
    stream = sys.stderr
    written = _thread.allocate_lock()
    written.acquire()

    def write() -> None:
        try:
            _write(text, stream)
        finally:
            written.release()

    try:
        # Not `threading.Thread`: a signal may have come while that module's own locks are held.
        _thread.start_new_thread(write, ())
    except RuntimeError:  # the interpreter ends, or there are too many threads
        _write(text, stream)
        return
    written.acquire(timeout=PATIENCE)


def _write(text: str, stream: TextIO | None) -> None:
    # RuntimeError is what a stream raises that a signal has interrupted while it was writing.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        if stream is not None:
            print(encodable(text, stream), file=stream, flush=True)
