"""`Trace`: one file of `yibu.trace()`, and the thread that writes it.

The native part (`_yibu._TraceWriter`) has the loops record and makes the text of the file; here are the
file, the thread, the signal, and what becomes of them when the process forks or ends. Made by `tracing.py`.
"""

import atexit
import errno
import io
import logging
import os
import signal
import sys
import threading
from collections import Counter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from yibu import _yibu
from yibu.observing import background
from yibu.tracing import path_with_process

if TYPE_CHECKING:
    from yibu.observing.spans import Spans

logger = logging.getLogger("yibu")

# What the native part keeps of an event until it is written.
_RECORD_BYTES = 64


class _Recording:
    """One file that is being written; a worker of `background.py`, whose thread is no thread of Python's."""

    thread = None

    def __init__(self, path: Any, buffer_size: int, program: str) -> None:
        self.process = os.getpid()
        self.file: io.FileIO = open(path, "wb", buffering=0)  # noqa: SIM115 (closed when the trace stops)
        try:
            self.native = _yibu._TraceWriter(
                self.file.fileno(), buffer_size // _RECORD_BYTES, self.process, program
            )
            self.native.begin()
        except BaseException:
            self.file.close()
            raise

    def begin(self) -> None:
        """Start the thread; in a forked child record no more, for the file is the parent's."""
        if os.getpid() != self.process:
            self.native.end()
            self.file.close()
            background.remove(self)
            _running.clear()
            return
        self.native.start()

    def end(self) -> None:
        """Have the thread write what there is, and end."""
        self.native.stop()

    def finish(self) -> tuple[int, int]:
        """Complete the file; how many events were written and lost."""
        try:
            return self.native.finish()
        finally:
            self.file.close()


_lock = threading.RLock()
_running: "list[Trace]" = []
"""One, or none."""


def _after_fork_in_child() -> None:
    # A thread that the child does not have may have held the former one.
    global _lock  # noqa: PLW0603 (the hook has nothing else to reach it by)
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _program() -> str:
    """What the file calls the process."""
    name = sys.argv[0]
    # `-m` is what the interpreter has there while it imports the package of the module that it is to run.
    return " ".join(sys.orig_argv[1:]) if name == "-m" else name or "python"


def _check_writable(path: str) -> None:
    """OSError, as `open()` would raise it, if the file could not be written. The file is not made."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        number = errno.EISDIR
    elif not os.path.exists(folder):
        number = errno.ENOENT
    elif not os.path.isdir(folder):
        number = errno.ENOTDIR
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        number = errno.EACCES
    else:
        return
    raise OSError(number, os.strerror(number), path)


def _stop_all() -> None:
    for trace in list(_running):
        try:
            trace.stop()
        except OSError as error:
            logger.error("trace %s is not complete: %s", trace.path, error)


# At the end of the process, whether the threads of `background.py` have ended already or not.
atexit.register(_stop_all)


class Trace:
    """A trace that is being recorded. `yibu.trace()` makes it."""

    def __init__(
        self, path: Any, spans: Any, signum: int | None, buffer_size: int, program: str | None = None
    ) -> None:
        self.path: str | None = None if path is None else os.fsdecode(path)
        """The file, or the first of them where a signal begins and ends."""
        self.events = 0
        """How many events the files have that are complete."""
        self.lost = 0
        """How many events were lost because the file could not be written fast enough."""
        if buffer_size < _RECORD_BYTES:
            raise ValueError(f"buffer_size must be at least {_RECORD_BYTES} bytes, not {buffer_size!r}")
        self._buffer_size = buffer_size
        self._program = program
        self._recording: _Recording | None = None
        self._wants_spans = None if spans is False else spans
        self._spans: Spans | None = None
        self._process = os.getpid()
        self._files: Counter[int] = Counter()
        self._signum = signum
        self._former: Any = None
        if signum is None:
            self._begin()
        else:
            if self.path is not None:
                _check_writable(self.path)
            self._former = signal.signal(signum, self._toggle)

    def _begin(self) -> None:
        with _lock:
            if _running:
                where = "" if _running[0].path is None else f", to {_running[0].path!r}"
                raise RuntimeError(f"a trace is being recorded already{where}: stop() that one first")
            if self._wants_spans is not None:
                from yibu.observing.spans import Spans

                self._spans = Spans(self._wants_spans)
            try:
                if self.path is not None:
                    program = self._program or _program()
                    self._recording = _Recording(self._next_path(self.path), self._buffer_size, program)
                    self._files[os.getpid()] += 1
                    background.add(self._recording)
            except BaseException:
                self._stop_spans()
                raise
            _running.append(self)

    def _stop_spans(self) -> None:
        spans, self._spans = self._spans, None
        if spans is not None:
            spans.stop()

    def _next_path(self, path: str) -> str:
        process = os.getpid()
        if process != self._process:
            # In a forked child: `path` is the parent's file.
            path = path_with_process(path)
        files = self._files[process]
        if not files:
            return path
        name, extension = os.path.splitext(path)
        return f"{name}-{files + 1}{extension}"

    def stop(self) -> None:
        """Complete the file. OSError if it could not be written. Doing it again changes nothing."""
        if self._signum is not None:
            former = signal.SIG_DFL if self._former is None else self._former
            signum, self._signum = self._signum, None
            if threading.current_thread() is threading.main_thread():
                signal.signal(signum, former)
        self._end()

    def _end(self) -> None:
        with _lock:
            if self in _running:
                _running.remove(self)
            self._stop_spans()
            recording, self._recording = self._recording, None
            if recording is None or recording.process != os.getpid():
                return
            recording.native.end()
            background.remove(recording)
        events, lost = recording.finish()
        self.events += events
        self.lost += lost
        if lost:
            logger.warning(
                "trace %s: %d events were lost, because they came faster than they could be written",
                recording.file.name,
                lost,
            )

    def _toggle(self, _signum: int, _frame: FrameType | None) -> None:
        # What a handler raises comes out of whatever the main thread does, and would end the service.
        try:
            if self in _running:
                self._end()
                return
            self._begin()
            name = "spans" if self._recording is None else self._recording.file.name
            print(f"yibu: recording a trace, until the signal comes again: {name}", file=sys.stderr)
        except Exception as error:
            logger.error("trace %s: %s", self.path, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "recording" if self in _running else "stopped"
        return f"<yibu.trace({self.path!r}) {state} lost={self.lost}>"
