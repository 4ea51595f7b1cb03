"""`Blockage`: what the watchdog tells of a step that blocks its event loop, and its text for the log.

Made by `watchdog.py`; read by programs that pass `on_block` to `yibu.watch()`.
"""

import asyncio
import inspect
import linecache
import os
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple

_COROUTINES = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep

_OF_THE_START = (
    "<frozen runpy>",
    _PACKAGE + "command_line.py",
    _PACKAGE + "__main__.py",
)

# How many lines of a stack the log shows.
_SHOWN = 16


class Line(NamedTuple):
    """A line of a stack."""

    file: str
    line: int
    function: str
    in_coroutine: bool
    """Whether the function is a coroutine function or an asynchronous generator."""

    @property
    def text(self) -> str:
        """The source of the line; empty where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}: {self.text}" if self.text else f"{place} in {self.function}"


def is_pythons(file: str) -> bool:
    """Whether a file is one of the standard library's, or yibu's."""
    from yibu.inspection import descriptions  # which imports this package

    return descriptions.is_pythons(file)


def lines_of(frame: FrameType | None, outermost: FrameType | None = None) -> tuple[Line, ...]:
    """The stack that ends in `frame`, most recent call first; up to `outermost` where that is part of it."""
    lines: list[Line] = []
    while frame is not None:
        code = frame.f_code
        lines.append(
            Line(code.co_filename, frame.f_lineno or 0, code.co_qualname, bool(code.co_flags & _COROUTINES))
        )
        if frame is outermost:
            break
        frame = frame.f_back
    return tuple(lines[: _beginning(lines)])


def _beginning(lines: list[Line]) -> int:
    """How many lines are left without those with which `python -m yibu` has started the program."""
    size = len(lines)
    while size > 1 and lines[size - 1].file.startswith(_OF_THE_START):
        size -= 1
    return size


def _own(lines: tuple[Line, ...]) -> Line:
    """The innermost line of the program's, or of a package that it uses; else the innermost one."""
    return next((line for line in lines if not is_pythons(line.file)), lines[0])


@dataclass(frozen=True)
class Stack:
    """A stack, and in how many samples it was found."""

    lines: tuple[Line, ...]
    """Most recent call first."""
    samples: int


@dataclass(frozen=True)
class OtherThread:
    """The thread that used most processor time while the loop was blocked."""

    name: str
    native_id: int
    cpu_seconds: float
    lines: tuple[Line, ...]
    """What it ran at the last sample, most recent call first; empty where it runs no Python code."""


@dataclass(frozen=True)
class Blockage:
    """A step that took longer than the threshold of `yibu.watch()`."""

    loop: asyncio.AbstractEventLoop
    number: int
    """The number of the step among the steps of its loop."""
    over: bool
    """Whether the step has ended; the same blockage is reported a second time then."""
    seconds: float
    """How long it has been running, or took in all; exact to a quarter of the threshold."""
    cause: str
    """`computes`, `system call`, `lock`, `interpreter` (another thread keeps the GIL), `processor` (it
    computes, while others keep the processors) or `unknown`."""
    task: asyncio.Task[Any] | None
    """The task whose step it is; None for a callback."""
    task_name: str | None
    thread_name: str
    thread_id: int
    stacks: tuple[Stack, ...]
    """What the samples found, most frequent first; empty when the step ended before the first look."""
    cpu_seconds: float | None
    """Processor time of the loop's thread in `sampled_seconds`."""
    sampled_seconds: float
    interpreter_wait: float
    """How long the watchdog itself had to wait for the interpreter, at most."""
    other_thread: OtherThread | None

    @property
    def line(self) -> Line | None:
        """The line that blocks: the innermost of the most frequent stack that is not in Python's files."""
        return _own(self._lines) if self._lines else None

    @property
    def coroutines(self) -> tuple[Line, ...]:
        """The coroutines that await each other, the outermost first, and where each of them is."""
        return tuple(line for line in reversed(self._lines) if line.in_coroutine)

    @property
    def _lines(self) -> tuple[Line, ...]:
        return self.stacks[0].lines if self.stacks else ()

    def __str__(self) -> str:
        return "\n".join(self._text())

    def _text(self) -> list[str]:
        waits = self.cause == "interpreter" and self.other_thread is not None and self.other_thread.lines
        line = _own(self.other_thread.lines) if waits and self.other_thread else self.line
        text = [str(line) if line else "A step that ended before it could be looked at"]
        over = self.over or not self.stacks
        blocked, so_far = ("blocked", "") if over else ("blocks", " so far")
        text.append(f"  {blocked} the event loop for {self.seconds:.3f} s{so_far}, {self._subject()}")
        text.append(f"  {self._explanation()}")
        if self.over:
            text += self._shares()
            return text
        stacks = [(self.thread_name, self._lines)]
        if waits and self.other_thread:
            stacks.append((self.other_thread.name, self.other_thread.lines))
        for name, lines in stacks:
            if lines:
                text.append(f"  Stack of thread {name!r}, most recent call first:")
                text += _shown(lines)
        return text

    def _subject(self) -> str:
        chain = " > ".join(line.function for line in self.coroutines)
        if self.task_name is None:
            return "in a callback" if self._lines else "in a step"
        return f"in task {self.task_name!r}" + (f" ({chain})" if chain else "")

    def _explanation(self) -> str:
        if self.cause == "computes":
            return f"The step computes.{self._kept()}"
        if self.cause == "system call":
            return f"The step waits in a system call.{self._kept()}"
        if self.cause == "interpreter" and self.other_thread is not None:
            return f"The loop waits for the interpreter (GIL), which thread {self.other_thread.name!r} keeps."
        return {
            "lock": "The step waits for a lock, or for another thread.",
            "interpreter": "The loop waits for the interpreter (GIL), which another thread keeps.",
            "processor": f"The step computes, but has a processor only for {self._share():.0%} of the time.",
        }.get(self.cause, "What it does cannot be seen.")

    def _kept(self) -> str:
        kept = self.interpreter_wait
        return f" It did not let go of the interpreter for {kept:.3f} s." if kept > 0.05 else ""

    def _share(self) -> float:
        return (self.cpu_seconds or 0.0) / (self.sampled_seconds or 1.0)

    def _shares(self) -> list[str]:
        if len(self.stacks) < 2:
            return []
        total = sum(stack.samples for stack in self.stacks)
        shown = [stack for stack in self.stacks[:5] if stack.lines]
        return [f"  {stack.samples} of {total} samples: {_own(stack.lines)}" for stack in shown]


def _shown(lines: tuple[Line, ...]) -> list[str]:
    text = []
    for line in lines[:_SHOWN]:
        text.append(f'    File "{line.file}", line {line.line}, in {line.function}')
        if line.text:
            text.append(f"      {line.text}")
    if len(lines) > _SHOWN:
        text.append(f"    ... and {len(lines) - _SHOWN} more")
    return text
