"""`yibu.watch()`: says which line blocks an event loop, while it does.

Only the function is here; the watchdog itself is `observing/watchdog.py`, which is imported when a program
watches. Called by programs, by `command_line.py` (`--watch`) and when yibu is imported (`YIBU_WATCH`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from yibu.observing import Blockage, Watch


def watch(threshold: float = 0.1, on_block: Callable[[Blockage], object] | None = None) -> Watch:
    """Report each step of an event loop that takes longer than `threshold` seconds, while it still runs.

    A thread watches all loops of yibu in all threads, until `stop()` of what this returns, or the end of its
    `with` block. By default a blockage is logged, by the logger `yibu`: once when the threshold has passed,
    with the line that blocks and the stack, and once when the loop goes on. With `on_block`, that is called
    in place of the log, in the watchdog's thread, at these two moments, with a `yibu.observing.Blockage`.
    What it raises goes to the exception handler of the loop.
    """
    from yibu.observing.watchdog import Watch

    return Watch(threshold, on_block)


def watch_from_environment() -> None:
    """Watch as `YIBU_WATCH` says, if it is set: a number of seconds."""
    value = os.environ.get("YIBU_WATCH", "")
    if value in ("", "0"):
        return
    watch(seconds(value, "YIBU_WATCH"))


def seconds(value: str, source: str) -> float:
    """Read a threshold from text; ValueError says where the text came from."""
    try:
        threshold = float(value)
    except ValueError:
        threshold = 0.0
    if not 0 < threshold < float("inf"):
        raise ValueError(f"{source} must be a positive number of seconds, not {value!r}")
    return threshold
