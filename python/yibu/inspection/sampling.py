"""`Samples`: what the threads of this process do over some time: their lines, their processor time, and
whether the steps of the loops end. Called by `observed.py`.
"""

import os
import sys
import threading
import time
from collections import Counter, defaultdict
from types import FrameType

from yibu import _yibu
from yibu.inspection.descriptions import PACKAGE, Frame, Problem, TaskTree, is_of_asyncio
from yibu.inspection.wording import quoted

_BUSY = 0.5
"""A thread computes that uses this part of the processor time of its process, """

_SOME = 0.1
"""and a processor for this part of the time, which other processes may have shortened."""

_LATE = 0.002
"""A thread that gets the interpreter so many seconds late, on average, competes for it."""


class Samples:
    """Begins with the first sample; `wait` takes further ones."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.ended = self.begun
        self._me = threading.get_ident()
        self._native = {thread.ident: thread.native_id for thread in threading.enumerate()}
        self._names = {thread.ident: thread.name for thread in threading.enumerate()}
        self._cpu = {ident: _cpu_seconds(native) for ident, native in self._native.items()}
        self._used: dict[int, float] = {}
        self._looks = {id(loop): (thread, look) for loop, thread, look in _yibu._native_loops()}
        self._lines: dict[int, Counter[Frame]] = defaultdict(Counter)
        self._stacks: dict[int, tuple[Frame, ...]] = {}
        self._parked: set[int] = set()
        self._late: list[float] = []
        self._look()

    def _look(self) -> None:
        for ident, frame in sys._current_frames().items():
            if ident != self._me:
                stack = _frames_of(frame)
                self._stacks[ident] = stack
                if stack:
                    self._lines[ident][_own(stack)] += 1
        self._parked.clear()
        for loop, thread, look in _yibu._native_loops():
            if look is None:
                self._parked.add(id(loop))
            if self._looks.get(id(loop)) != (thread, look):
                self._looks.pop(id(loop), None)

    def wait(self, seconds: float) -> None:
        """Sleep, and take a sample."""
        due = time.monotonic() + seconds
        time.sleep(seconds)
        self._late.append(time.monotonic() - due)
        self._look()

    def end(self) -> None:
        """Note what the processor did."""
        self.ended = time.monotonic()
        for ident, before in self._cpu.items():
            after = _cpu_seconds(self._native[ident])
            if ident is not None and before is not None and after is not None:
                self._used[ident] = after - before

    def stack_of(self, loop: int, thread: int) -> tuple[Frame, ...]:
        """The frames of a loop's thread at the last sample, unless the loop had nothing to do then."""
        if loop in self._parked:
            return ()
        stack = self._stacks.get(thread, ())
        # Which functions of yibu the loop calls says nothing.
        while stack and stack[-1].file.startswith(PACKAGE):
            stack = stack[:-1]
        return stack

    @property
    def seconds(self) -> float:
        return self.ended - self.begun

    def _share(self, thread: int) -> float:
        """The part of the time that a thread had a processor."""
        return self._used.get(thread, 0.0) / self.seconds if self.seconds else 0.0

    def share(self, thread: int) -> float | None:
        """The part of the time for which a thread had a processor; None where that is not known."""
        return min(self._share(thread), 1.0) if thread in self._used else None

    def _computes(self, thread: int) -> bool:
        """Whether a thread uses most of the processor time of the process, without what this look takes."""
        all_threads = sum(used for other, used in self._used.items() if other != self._me)
        return self._share(thread) >= _SOME and self._used.get(thread, 0.0) >= _BUSY * all_threads

    def _place(self, thread: int) -> str:
        """Where a thread was most."""
        lines = self._lines.get(thread)
        return str(lines.most_common(1)[0][0]) if lines else "no Python code"

    def _name(self, thread: int) -> str:
        return quoted(self._names.get(thread, str(thread)))

    def problems(self, tree: TaskTree) -> list[Problem]:
        """Loops whose step did not end while samples were taken, and threads that compete with them."""
        if not self._late:
            return []
        found: list[Problem] = []
        loops = {loop.thread for loop in tree.loops if loop.thread}
        busy = self._busiest(loops)
        for key, (thread, look) in self._looks.items():
            if look is not None and thread:
                task = next((task for task in tree if task.loop == key and task.state == "running"), None)
                found.append(self._blocked(thread, task.name if task else None, busy))
        if busy is not None and sum(self._late) / len(self._late) > _LATE:
            words = (
                f"thread {self._name(busy)} uses {self._share(busy):.0%} of a processor and competes with "
                f"the event loop for the interpreter, at {self._place(busy)}"
            )
            found.append(Problem("busy thread", words, certain=False))
        return found

    def _busiest(self, loops: set[int]) -> int | None:
        others = [thread for thread in self._used if thread != self._me and thread not in loops]
        busiest = max(others, key=self._share, default=None)
        return busiest if busiest is not None and self._computes(busiest) else None

    def _blocked(self, thread: int, task: str | None, busy: int | None) -> Problem:
        share = self._share(thread)
        if self._computes(thread):
            cause = f"it computes ({share:.0%} of a processor)"
        elif busy is not None and share > 0:
            cause = f"it uses {share:.0%} of a processor: thread {self._name(busy)} may have the interpreter"
        else:
            cause = "it waits in a system call or for a lock of threads"
        who = f" by task {quoted(task)}" if task else ""
        words = (
            f"the loop in thread {self._name(thread)} has been in one step{who} for "
            f"{self.seconds:.1f} s and longer, at {self._place(thread)}: {cause}"
        )
        return Problem("blocked loop", words)


def _frames_of(frame: FrameType | None) -> tuple[Frame, ...]:
    found: list[Frame] = []
    while frame is not None and len(found) < 100:
        code = frame.f_code
        found.append(Frame(code.co_qualname, code.co_filename, frame.f_lineno or code.co_firstlineno))
        frame = frame.f_back
    return tuple(reversed(found))


def _own(stack: tuple[Frame, ...]) -> Frame:
    """The innermost frame of the program; that of the standard library where there is no other."""
    for frame in reversed(stack):
        if not is_of_asyncio(frame.file) and not frame.file.startswith(_STANDARD):
            return frame
    return stack[-1]


_STANDARD = os.path.dirname(os.__file__) + os.sep


def _cpu_seconds(native: int | None) -> float | None:
    """The processor time of a thread; None when it has ended."""
    return None if native is None else _yibu._thread_seconds(native)
