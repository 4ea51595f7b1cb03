"""The default executors of native loops: threads, queue, and what they run. Called by `observed.py`."""

import os
import sys
from collections import Counter
from types import FrameType
from typing import Any

from yibu import _yibu
from yibu.inspection import endpoints
from yibu.inspection.descriptions import Frame, Problem
from yibu.inspection.parts import ExecutorDescription, JobDescription, WorkerDescription
from yibu.inspection.wording import counted

_SHOWN = 100
"""So many functions and threads of each executor are named."""

_OF_THE_POOL = tuple(
    os.path.dirname(os.__file__) + os.sep + name for name in ("threading.py", os.path.join("concurrent", ""))
)


def take() -> tuple[ExecutorDescription, ...]:
    """Those that loops have by now."""
    running: dict[int, Counter[str]] = {}
    queued: dict[int, Counter[str]] = {}
    for future, function, runs in _yibu._executor_jobs():
        loop = future.get_loop() if hasattr(future, "get_loop") else None
        counts = (running if runs else queued).setdefault(id(loop), Counter())
        counts[endpoints.function_name(function)] += 1
    frames = sys._current_frames()
    found = []
    for loop, _thread, _look in _yibu._native_loops():
        executor: Any = getattr(loop, "_default_executor", None)
        if executor is not None:
            key = id(loop)
            jobs = _jobs(running.get(key, Counter()), queued.get(key, Counter()))
            found.append(_described(loop, executor, jobs, frames))
    return tuple(found)


def problems(
    before: tuple[ExecutorDescription, ...], after: tuple[ExecutorDescription, ...]
) -> list[Problem]:
    """Executors whose threads are all at the same lines as a moment ago, while jobs wait for a thread."""
    found = []
    earlier = {executor.loop: executor for executor in before}
    for executor in after:
        first = earlier.get(executor.loop)
        if first is None or not first.queued or not executor.queued or first.workers != executor.workers:
            continue
        if executor.queued < first.queued:  # the threads have taken jobs
            continue
        if not executor.workers or any(worker.frame is None for worker in executor.workers):
            continue
        places = Counter(str(worker.frame) for worker in executor.workers).most_common(3)
        wait = "waits" if executor.queued == 1 else "wait"
        words = (
            f"{counted(executor.queued, 'job')} of the default executor {wait}, and all "
            f"{counted(len(executor.workers), 'thread')} of it stay where they are: "
            + ", ".join(f"{count} at {place}" for place, count in places)
        )
        found.append(Problem("full executor", words, certain=False))
    return found


def _jobs(running: Counter[str], queued: Counter[str]) -> tuple[JobDescription, ...]:
    jobs = [JobDescription(name, running[name], queued[name]) for name in {**running, **queued}]
    return tuple(sorted(jobs, key=lambda job: (-job.running, -job.queued, job.function))[:_SHOWN])


def _described(
    loop: Any, executor: Any, jobs: tuple[JobDescription, ...], frames: dict[int, FrameType]
) -> ExecutorDescription:
    kind = f"{type(executor).__module__.partition('.')[0]}.{type(executor).__name__}"
    try:
        queue = executor._work_queue.qsize()
        threads = sorted(executor._threads, key=lambda thread: str(thread.name))
        workers = [WorkerDescription(thread.name, _place(frames.get(thread.ident))) for thread in threads]
    except Exception:  # not a pool of threads, or one of the program's own
        return ExecutorDescription(id(loop), kind, None, None, jobs)
    return ExecutorDescription(id(loop), kind, len(workers), queue, jobs, tuple(workers[:_SHOWN]))


def _place(frame: FrameType | None) -> Frame | None:
    """The innermost frame that is not of the pool; None for a thread without a job.

    A job in C has none: the frame of the pool that runs it stands there, by the name of the function.
    """
    job = None
    while frame is not None and frame.f_code.co_filename.startswith(_OF_THE_POOL):
        if frame.f_code.co_qualname == "_WorkItem.run":
            job = frame
        frame = frame.f_back
    if frame is not None:
        return Frame(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno or 0)
    return None if job is None else Frame(_name_of(job), job.f_code.co_filename, job.f_lineno or 0)


def _name_of(job: FrameType) -> str:
    """The function that a `_WorkItem.run` runs. From 3.14 on it is within another object."""
    item: Any = job.f_locals.get("self")
    task = getattr(item, "task", None)
    function = task[0] if isinstance(task, tuple) and task else getattr(item, "fn", None)
    return job.f_code.co_qualname if function is None else endpoints.function_name(function)
