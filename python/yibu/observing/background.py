"""Threads that look at loops: they are stopped while the process forks, and end with the interpreter.

A fork beside a running thread is what the interpreter warns of, and the child has no thread but its own.
Called by `watchdog.py` and `observation.py`.
"""

import atexit
import os
import threading
from typing import Protocol


class Worker(Protocol):
    """What runs in a thread of its own."""

    @property
    def thread(self) -> threading.Thread | None:
        """That thread, if it is one of Python's."""

    def begin(self) -> None:
        """Start a thread."""

    def end(self) -> None:
        """Stop the thread."""


_workers: list[Worker] = []
_paused: list[Worker] = []
_registered = threading.Event()

# How long a worker waits for its thread to end.
PATIENCE = 1.0


def add(worker: Worker) -> None:
    """Start the thread of a worker."""
    if not _registered.is_set():
        _registered.set()
        atexit.register(_end_all)
        os.register_at_fork(before=_pause, after_in_parent=_go_on, after_in_child=_go_on)
    worker.begin()
    _workers.append(worker)


def remove(worker: Worker) -> None:
    """Stop the thread of a worker. May be called again."""
    if worker in _workers:
        _workers.remove(worker)
    worker.end()


def runs(worker: Worker) -> bool:
    """Tell whether a worker was added and not removed."""
    return worker in _workers


def join(thread: threading.Thread) -> None:
    """Wait for a thread that was told to end, unless it is the caller."""
    if thread is not threading.current_thread():
        thread.join(PATIENCE)


def _end_all() -> None:
    for worker in list(_workers):
        remove(worker)


def _pause() -> None:
    _paused[:] = [worker for worker in _workers if worker.thread is not threading.current_thread()]
    for worker in _paused:
        worker.end()


def _go_on() -> None:
    while _paused:
        _paused.pop().begin()
