"""`yibu.trace()`: records what loops do, step by step, in a file that Perfetto and Chrome show.

Only the function and what the environment asks for are here; `trace_recording.py` is imported when
somebody records. Called by programs, by `command_line.py` (`--trace`) and when yibu is imported
(`YIBU_TRACE`).
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yibu.trace_recording import Trace

BUFFER = 8 << 20


def trace(
    path: "str | bytes | os.PathLike[str] | os.PathLike[bytes] | None" = None,
    *,
    spans: Any = None,
    signal: int | str | None = None,
    buffer_size: int = BUFFER,
) -> "Trace":
    """Record the steps of all event loops of yibu in a file, in Chrome's trace event format.

    Recording lasts until `stop()` of what this returns, or the end of its `with` block; the end of the
    process stops it, too. With `signal`, say "USR1", nothing is recorded until that signal comes; the next
    one stops, and so on. Each recording after the first has a number in its name (`out-2.json`).

    Events wait in `buffer_size` bytes of memory until a thread has written them. When it cannot keep up,
    events are lost; how many is written into the file, logged, and `lost` of what this returns.

    With `spans`, a tracer or tracer provider of OpenTelemetry, or True for the provider that the program has
    set, each task that is made meanwhile is a span, within the span that was current where the task was made.
    The file may be left out then.
    """
    from yibu.trace_recording import Trace

    if path is None and (spans is None or spans is False):
        raise TypeError("trace() needs a path, or spans")
    number = None
    if signal is not None:
        from yibu.inspection.options import signal_number

        number = signal_number(signal)
    return Trace(path, spans, number, buffer_size)


def trace_as_environment_says() -> None:
    """Record as `YIBU_TRACE` says, a path, from the signal `YIBU_TRACE_SIGNAL` on if that is set."""
    path = os.environ.get("YIBU_TRACE", "")
    if path:
        try:
            trace(path, signal=os.environ.get("YIBU_TRACE_SIGNAL") or None)
        except ValueError as error:
            raise ValueError(f"YIBU_TRACE_SIGNAL: {error}") from None
