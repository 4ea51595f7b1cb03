"""Runs a program on stock asyncio and on the implementation under test and looks for the first difference."""

import contextlib
import gc
import sys
import warnings
from dataclasses import dataclass

from .implementations import pair
from .world import World

BEYOND_COMPARISON = ("RecursionError", "'NoneType' object has no attribute")
"""How deep one gets is no matter of equality, and asyncio stumbles over transports that are lost."""


@dataclass
class Difference:
    """Where two traces part."""

    before: list[str]
    expected: str
    got: str

    def __str__(self):
        return "\n".join(
            ["after"]
            + [f"  {line}" for line in self.before]
            + ["asyncio:", f"  {self.expected}", "yibu:", f"  {self.got}"]
        )


@contextlib.contextmanager
def silence():
    """Ignore the complaints of what a run leaves behind: coroutines that never began or never ended."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        sys.unraisablehook = hook


def trace(program, implementation):
    """Return the trace of a program. The garbage collector is off meanwhile."""
    with silence():
        gc.disable()
        try:
            return World(program, implementation).run()
        finally:
            gc.enable()


def traces(program, impl):
    """Return the traces of a program on stock asyncio and on the implementation under test."""
    return [trace(program, implementation) for implementation in pair(program, impl)]


def difference(program, impl):
    """Return the first difference, or None."""
    expected, got = traces(program, impl)
    if any(word in event for event in expected for word in BEYOND_COMPARISON):
        return None
    for number, (wanted, had) in enumerate(zip([*expected, "the end"], [*got, "the end"], strict=False)):
        if wanted != had:
            return Difference(expected[max(0, number - 10) : number], wanted, had)
    return None
