"""`LoopMetrics`: what a loop has counted, at one moment. `EventLoop.metrics()` returns it.

What nobody could count, because nobody observed the loop (`yibu.observe()`) or because the program has a
selector of its own, is None and not 0. Made from what `_yibu.EventLoop._metrics` gives.
"""

from dataclasses import dataclass
from types import CodeType
from typing import Any

from yibu import _yibu


@dataclass(frozen=True)
class Times:
    """Times of the last one or two minutes, in seconds. The quantiles are too long by an eighth at most."""

    count: int
    sum: float
    mean: float
    p50: float
    p99: float
    max: float
    buckets: tuple[tuple[float, int], ...]
    """Pairs of a limit and of how many times do not exceed it, for exporters."""


@dataclass(frozen=True)
class FunctionMetrics:
    """What the tasks of one coroutine function have used since the observation began. Times are seconds."""

    name: str
    """The qualified name; `others` where there are thousands of functions."""
    file: str
    line: int
    count: int
    """Tasks that were seen."""
    polls: int
    """Steps that their coroutines made."""
    busy: float
    """Time that the steps took."""
    scheduled: float
    """Time that the tasks were ready to run and had to wait for the loop."""
    idle: float
    """Time that the tasks waited for something."""
    slow_polls: int
    """Steps that took as long as `yibu.observe(slow=...)` says."""


@dataclass(frozen=True)
class LoopMetrics:
    """What a loop has counted since it was made. Times are seconds."""

    turns: int
    """Rounds of the loop."""
    steps: int
    """Callbacks and steps of tasks that were run."""
    parks: int
    """How often the loop had nothing to do and waited in the kernel."""
    ready: int
    """Callbacks and tasks that are ready to run now."""
    timers: int
    """Timers that are not due yet."""
    tasks_made: int
    tasks_alive: int
    running_seconds: float | None
    """How long the loop ran."""
    idle_seconds: float | None
    """How much of that it waited in the kernel."""
    received_bytes: int | None
    receives: int | None
    """System calls that have received."""
    sent_bytes: int | None
    sends: int | None
    accepted: int | None
    """Connections that servers have accepted."""
    executor_queue: int | None
    """Jobs that wait for a thread of the default executor; None if that is the program's own."""
    executor_threads: int | None
    observed_seconds: float | None
    """For how long the loop has been observed. Without an observer this and all that follows is None."""
    tasks_finished: int | None
    tasks_failed: int | None
    tasks_cancelled: int | None
    lag: Times | None
    """How late timers and ready callbacks ran."""
    executor_waits: Times | None
    """How long jobs of the default executor waited for a thread."""
    callbacks: int | None
    """Steps of anything but tasks."""
    callback_seconds: float | None
    functions: tuple[FunctionMetrics, ...] | None
    """Coroutine functions, those that were busy longest first."""

    @property
    def busy_seconds(self) -> float | None:
        """How long the loop ran and did not wait in the kernel."""
        if self.running_seconds is None or self.idle_seconds is None:
            return None
        return max(self.running_seconds - self.idle_seconds, 0.0)

    @property
    def utilisation(self) -> float | None:
        """The busy part of the time that the loop ran, from 0 to 1."""
        if self.busy_seconds is None or not self.running_seconds:
            return None
        return min(self.busy_seconds / self.running_seconds, 1.0)

    def utilisation_since(self, earlier: "LoopMetrics") -> float | None:
        """The same for the time since `earlier`, which are metrics of the same loop."""
        if None in (busy := (self.busy_seconds, earlier.busy_seconds)):
            return None
        spent = (self.running_seconds or 0.0) - (earlier.running_seconds or 0.0)
        return min(((busy[0] or 0.0) - (busy[1] or 0.0)) / spent, 1.0) if spent > 0 else None


def metrics_of(loop: _yibu.EventLoop) -> LoopMetrics:
    """The metrics of a loop now. May be called from any thread."""
    counted = loop._metrics()
    ran, idle = counted["times"] or (None, None)
    received_bytes, receives, sent_bytes, sends, accepted = counted["traffic"] or (None,) * 5
    load = counted["executor"]
    if load is None:
        load = (None, None) if counted["has_executor"] else (0, 0)
    seen = counted["observation"]
    finished, failed, cancelled = seen["endings"] if seen else (None,) * 3
    callbacks, callback_seconds = seen["callbacks"] if seen else (None,) * 2
    return LoopMetrics(
        turns=counted["turns"],
        steps=counted["steps"],
        parks=counted["parks"],
        ready=counted["ready"],
        timers=counted["timers"],
        tasks_made=counted["tasks_made"],
        tasks_alive=counted["tasks_alive"],
        running_seconds=ran,
        idle_seconds=idle,
        received_bytes=received_bytes,
        receives=receives,
        sent_bytes=sent_bytes,
        sends=sends,
        accepted=accepted,
        executor_queue=load[0],
        executor_threads=load[1],
        observed_seconds=seen["seconds"] if seen else None,
        tasks_finished=finished,
        tasks_failed=failed,
        tasks_cancelled=cancelled,
        lag=_times(seen["lag"]) if seen else None,
        executor_waits=_times(seen["job_waits"]) if seen else None,
        callbacks=callbacks,
        callback_seconds=callback_seconds,
        functions=_functions(seen["functions"]) if seen else None,
    )


def _times(summary: tuple[Any, ...]) -> Times:
    count, total, mean, p50, p99, longest, buckets = summary
    return Times(count, total, mean, p50, p99, longest, tuple(buckets))


def _functions(rows: list[tuple[Any, ...]]) -> tuple[FunctionMetrics, ...]:
    found = []
    for key, count, polls, busy, scheduled, idle, slow_polls in rows:
        name, file, line = _describe(key)
        found.append(FunctionMetrics(name, file, line, count, polls, busy, scheduled, idle, slow_polls))
    return tuple(sorted(found, key=lambda function: (-function.busy, -function.polls)))


def _describe(key: object) -> tuple[str, str, int]:
    if isinstance(key, CodeType):
        return key.co_qualname, key.co_filename, key.co_firstlineno
    return (key.__qualname__ if isinstance(key, type) else "others"), "", 0
