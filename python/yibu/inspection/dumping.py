"""Prints the threads and the task tree to standard error: when a signal comes, and when an exception leaves
`run`.

Everything that is needed is imported with this file, so that a handler imports nothing: the next signal would
meet modules that are half there. Called by `inspecting.py`.
"""

import contextlib
import faulthandler
import sys
import threading
from types import FrameType

from yibu.inspection import rows
from yibu.inspection.snapshot import take
from yibu.inspection.standard_error import tell, tell_in_time
from yibu.inspection.tree import tree_text
from yibu.inspection.wording import printable, reason_of

NATIVE_THREADS = sys.version_info[:2] != (3, 13)
"""Whether the interpreter prints the threads, as it can while native code never ends. In a busy program
CPython 3.13.0 may crash over that, so with 3.13 the handler prints them."""


def dump() -> None:
    """Print the task tree."""
    tell(_text())


def dump_by_signal() -> None:
    """Print the task tree, and the threads where the interpreter does not print them."""
    tell_in_time(_text() if NATIVE_THREADS else f"{_threads()}\n{_text()}")


def show_threads(signum: int) -> bool:
    """Have the interpreter print the threads before the handler runs, where that does no harm."""
    if NATIVE_THREADS:
        # There may be no usable standard error.
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            faulthandler.register(signum, chain=True)
            return True
    return False


def hide_threads(signum: int) -> None:
    """The end of `show_threads`."""
    faulthandler.unregister(signum)


def _text() -> str:
    try:
        return tree_text(take())
    except Exception as error:  # objects of the program were asked, which may raise anything
        return f"yibu: the tasks cannot be shown: {reason_of(error)}"


def _threads() -> str:
    """The stacks of the threads, in the form of `faulthandler`."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines: list[str] = []
    for ident, innermost in sys._current_frames().items():
        which = "Current thread" if ident == threading.get_ident() else "Thread"
        lines.append(f"{which} {ident:#018x} {names.get(ident, '')} (most recent call first):")
        frame: FrameType | None = innermost
        while frame is not None and len(lines) < _MOST_LINES:
            code = frame.f_code
            if not rows.is_of_inspection(code.co_filename):
                line = frame.f_lineno or code.co_firstlineno
                lines.append(f'  File "{code.co_filename}", line {line} in {code.co_name}')
            frame = frame.f_back
        lines.append("")
    return "\n".join(map(printable, lines))


_MOST_LINES = 10_000
