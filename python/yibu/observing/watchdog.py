"""`Watch`: the thread that watches event loops, and what it makes of what the native part has found.

The native part (`_yibu._StepWatch`) sleeps and looks at counters of the loops without the interpreter. It
returns here only when a step blocks, so that the stack of the thread can be read. Made by `watching.py`.
"""

import asyncio
import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any, Self

from yibu import _yibu
from yibu.observing import background, recent
from yibu.observing.blockage import Blockage, Line, OtherThread, Stack, is_pythons, lines_of
from yibu.observing.cause import Evidence
from yibu.task_names import name_of

logger = logging.getLogger("yibu")

# How many different stacks of one blockage are kept.
_STACKS = 32


class _Blocked:
    """A blockage that lasts: what the samples have shown so far."""

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self.loop, self.number, self.seconds = loop, number, 0.0
        self.evidence = Evidence()
        self.stacks: Counter[tuple[Line, ...]] = Counter()
        self.task: asyncio.Task[Any] | None = None
        self.thread_id = 0
        self.thread_name = ""
        self.longest_wait = 0.0
        self.keeper: OtherThread | None = None
        """The thread that may have kept the interpreter when the watchdog had to wait longest for it."""
        self.other_lines: dict[int, tuple[str, tuple[Line, ...]]] = {}

    def sample(self, seconds: float, details: tuple[Any, ...]) -> None:
        """Take a sample into account; see the stub of `_StepWatch.wait`."""
        still_runs, thread_id, task, activity, wait, interval, cpu, others = details
        self.seconds = seconds
        self.evidence.add(activity, wait, interval, cpu, others)
        frames = sys._current_frames()
        threads = {thread.native_id: thread for thread in threading.enumerate()}
        if others and (thread := threads.get(others[0][0])) is not None:
            self.other_lines[others[0][0]] = thread.name, lines_of(frames.get(thread.ident or 0))
        if wait > self.longest_wait:
            self.longest_wait = wait
            self.keeper = keeper_of(thread_id, threads.values(), frames)
        if self.thread_id != thread_id:
            names = {thread.ident: thread.name for thread in threads.values()}
            self.thread_id, self.thread_name = thread_id, names.get(thread_id, str(thread_id))
        if not still_runs or (task is None and self.task is not None):
            return  # the step has ended, and the next one has not begun or is another one
        self.task = task
        coroutine = task.get_coro() if task is not None else None
        stack = lines_of(frames.get(thread_id), getattr(coroutine, "cr_frame", None))
        if stack and (stack in self.stacks or len(self.stacks) < _STACKS):
            self.stacks[stack] += 1

    def report(self, over: bool) -> Blockage:
        """What is known by now."""
        evidence, other = self.evidence, None
        if evidence.kept_long and evidence.cause() == "interpreter":
            other = self.keeper
        if (busiest := evidence.busiest()) is not None:
            name, lines = self.other_lines.get(busiest[0], (f"thread {busiest[0]}", ()))
            other = OtherThread(name, busiest[0], busiest[1], lines)
        return Blockage(
            loop=self.loop,
            number=self.number,
            over=over,
            seconds=self.seconds,
            cause=evidence.cause(),
            task=self.task,
            task_name=None if self.task is None else name_of(self.task),
            thread_name=self.thread_name,
            thread_id=self.thread_id,
            stacks=tuple(Stack(lines, samples) for lines, samples in self.stacks.most_common()),
            cpu_seconds=evidence.cpu_seconds,
            sampled_seconds=evidence.seconds,
            interpreter_wait=evidence.longest_wait,
            other_thread=other,
        )


def keeper_of(
    loop_thread: int, threads: Iterable[threading.Thread], frames: Mapping[int, FrameType]
) -> OtherThread | None:
    """The thread that has just let go of the interpreter, without the loop's; None where several may have.

    It is still at the line of the call. Threads that wait for something are within Python's own files.
    """
    found = []
    for thread in threads:
        frame = frames.get(thread.ident or 0)
        others = thread.ident not in (loop_thread, threading.get_ident())
        if others and frame is not None and not is_pythons(frame.f_code.co_filename):
            found.append(OtherThread(thread.name, thread.native_id or 0, 0.0, lines_of(frame)))
    return found[0] if len(found) == 1 else None


class Watch:
    """A watchdog that runs. `yibu.watch()` makes it."""

    def __init__(self, threshold: float = 0.1, on_block: Callable[[Blockage], object] | None = None) -> None:
        if on_block is not None and not callable(on_block):
            raise TypeError(f"on_block must be callable or None, not {on_block!r}")
        self.threshold = float(threshold)
        self.on_block = on_block
        self.count = 0
        """How many blockages it has seen."""
        background.add(self)

    def stop(self) -> None:
        """Watch no more. A blockage that lasts is reported as it is."""
        background.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "watching" if background.runs(self) else "stopped"
        return f"<yibu.observing.Watch threshold={self.threshold} {state} blockages={self.count}>"

    def begin(self) -> None:
        """Start a thread; `background.py` calls it."""
        self._native = _yibu._StepWatch(self.threshold)
        self.thread = threading.Thread(target=self._run, args=(self._native,), name="yibu-watch", daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Stop the thread; `background.py` calls it."""
        self._native.stop()
        background.join(self.thread)

    def _run(self, native: _yibu._StepWatch) -> None:
        blocked: dict[int, _Blocked] = {}
        while self._look(native, blocked):
            pass
        for last in blocked.values():
            self._report(last, over=True)

    def _look(self, native: _yibu._StepWatch, blocked: dict[int, _Blocked]) -> bool:
        # A function of its own: no variable keeps a loop while the thread sleeps.
        found = native.wait()
        for loop, number, seconds, details in found or ():
            try:
                self._note(blocked, loop, number, seconds, details)
            except Exception:  # objects of the program were asked, which may raise anything
                logger.exception("a blockage of %r cannot be described", loop)
        return found is not None

    def _note(
        self,
        blocked: dict[int, _Blocked],
        loop: asyncio.AbstractEventLoop,
        number: int,
        seconds: float,
        details: tuple[Any, ...] | None,
    ) -> None:
        if details is None:
            if (ended := blocked.pop(id(loop), None)) is not None:
                ended.seconds = max(seconds, ended.seconds)
                self._report(ended, over=True)
            return
        known = blocked.get(id(loop))
        if known is not None:
            known.sample(seconds, details)
            return
        self.count += 1
        blocked[id(loop)] = begun = _Blocked(loop, number)
        begun.sample(seconds, details)
        self._report(begun, over=False)

    def _report(self, blocked: _Blocked, *, over: bool) -> None:
        blockage = blocked.report(over)
        recent.note(blockage)
        if self.on_block is None:
            logger.warning("%s", blockage)
            return
        try:
            self.on_block(blockage)
        except BaseException as error:  # SystemExit too: it would end the watchdog's thread without a word
            context = {
                "message": "Exception in on_block of yibu.watch()",
                "exception": error,
                "blockage": blockage,
            }
            try:
                blocked.loop.call_soon_threadsafe(blocked.loop.call_exception_handler, context)
            except RuntimeError:  # it is closed
                blocked.loop.call_exception_handler(context)
