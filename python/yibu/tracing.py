"""`yibu.trace()`: records what loops do, step by step, in a file that Perfetto and Chrome show.

Only the function and what the environment asks for are here; `trace_recording.py` is imported when
a trace is recorded. Called by programs, by `command_line.py` (`--trace`) and when yibu is imported
(`YIBU_TRACE`).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any

    from yibu.trace_recording import Trace

BUFFER = 8 << 20

# Which process writes the file that `YIBU_TRACE` or `--trace` names, for the processes that it starts.
_FIRST = "YIBU_TRACE_FIRST"


def trace(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None = None,
    *,
    spans: Any = None,
    signal: int | str | None = None,
    buffer_size: int = BUFFER,
) -> Trace:
    """Record the steps of all event loops of yibu in a file, in Chrome's trace event format.

    Recording lasts until `stop()` of what this returns, or the end of its `with` block; the end of the
    process stops it, too. With `signal`, say "USR1", nothing is recorded until that signal comes; the next
    one stops, and so on. Each recording after the first has a number in its name (`out-2.json`), and
    those of a forked child have its process id (`out.4711.json`).

    Events wait in `buffer_size` bytes of memory until a thread has written them. When it cannot keep up,
    events are lost; how many is written into the file, logged, and `lost` of what this returns.

    With `spans`, a tracer or tracer provider of OpenTelemetry, or True for the provider that the program has
    set, each task that is made meanwhile is a span, within the span that was current where the task was made.
    The file may be left out then.
    """
    from yibu.trace_recording import Trace

    if path is None and (spans is None or spans is False):
        raise TypeError("trace() needs a path, or spans")
    return Trace(path, spans, _number(signal), buffer_size)


def _number(signal: int | str | None) -> int | None:
    if signal is None:
        return None
    from yibu.inspection.options import signal_number

    return signal_number(signal)


def path_of_this_process(path: str) -> str:
    """`path` for the first process, and with the process id in it for those that the first one starts."""
    process, absolute = str(os.getpid()), os.path.abspath(path)
    first, _, known = os.environ.get(_FIRST, "").partition(" ")
    if known == absolute and first != process:
        return path_with_process(path)
    os.environ[_FIRST] = f"{process} {absolute}"
    return path


def path_with_process(path: str) -> str:
    """`out.4711.json` for `out.json`, in process 4711."""
    name, extension = os.path.splitext(path)
    return f"{name}.{os.getpid()}{extension}"


class NoTrace(ValueError):
    """A path that is not meant to be a trace."""


def _check_meant(path: str) -> None:
    """NoTrace for a path that looks like a program or an option, and for a file with something else in it."""
    if path.startswith("-") or path.endswith((".py", ".pyw")):
        raise NoTrace(f"{path!r} is no file for a trace")
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        begin = file.read(2)
    if begin not in (b"", b"[\n"):
        raise NoTrace(f"{path!r} exists and is not a trace; it stays as it is")


def trace_as_command_line_says(path: str, signal: str | None, program: str) -> None:
    """Record as `--trace` says; `sys.argv` does not name the program yet."""
    from yibu.trace_recording import Trace

    _check_meant(path)
    Trace(path_of_this_process(path), None, _number(signal), BUFFER, program)


def trace_as_environment_says() -> None:
    """Record as `YIBU_TRACE` says, a path, from the signal `YIBU_TRACE_SIGNAL` on if that is set."""
    path, signal = os.environ.get("YIBU_TRACE", ""), os.environ.get("YIBU_TRACE_SIGNAL") or None
    if not path:
        if signal is not None:
            raise ValueError("YIBU_TRACE_SIGNAL needs YIBU_TRACE")
        return
    try:
        number = _number(signal)
    except ValueError as error:
        raise ValueError(f"YIBU_TRACE_SIGNAL: {error}") from None
    try:
        _check_meant(path)
        trace(path_of_this_process(path), signal=number)
    except (ValueError, OSError, RuntimeError) as error:
        raise RuntimeError(f"YIBU_TRACE: {error}") from None
