"""What exporters tell of loops: a list of instruments, from which each exporter makes what its system wants.

The names follow the semantic conventions of OpenTelemetry for the event loops of other runtimes
(`nodejs.eventloop.time`, `.utilization`, `.delay`), with `asyncio` in place of the runtime. Called by
`prometheus.py` and `opentelemetry.py`.
"""

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from yibu import _yibu
from yibu.observing.metrics import FunctionMetrics, LoopMetrics, metrics_of

Sample = tuple[dict[str, str], float]


@dataclass(frozen=True)
class Instrument:
    """One figure of every loop."""

    name: str
    kind: str
    """`counter`, or `gauge`."""
    unit: str
    """As OpenTelemetry writes it: `s`, `By`, `1`, or `{task}`."""
    description: str
    read: Callable[[LoopMetrics], Iterable[tuple[dict[str, str], float | None]]]

    def samples(self, loops: "list[tuple[str, LoopMetrics]]") -> Iterator[Sample]:
        """The figures that are known, with what tells them apart."""
        for name, metrics in loops:
            for labels, value in self.read(metrics):
                if value is not None:
                    yield {"asyncio.eventloop.name": name} | labels, value


def _one(read: Callable[[LoopMetrics], float | None]) -> Any:
    return lambda metrics: [({}, read(metrics))]


def _of(times: str, figure: str) -> Any:
    return lambda metrics: [({}, getattr(getattr(metrics, times), figure, None))]


def _several(label: str, read: Callable[[LoopMetrics], dict[str, float | None]]) -> Any:
    return lambda metrics: [({label: name}, value) for name, value in read(metrics).items()]


def _functions(read: Callable[[FunctionMetrics], float]) -> Any:
    def samples(metrics: LoopMetrics) -> list[tuple[dict[str, str], float]]:
        # Functions of one name in one file, as those that another function makes, are one.
        sums: dict[tuple[str, str], float] = {}
        for function in metrics.functions or ():
            place = function.name, function.file
            sums[place] = sums.get(place, 0.0) + read(function)
        return [
            ({"code.function.name": name, "code.file.path": file}, value)
            for (name, file), value in sums.items()
        ]

    return samples


_E = "asyncio.eventloop"
INSTRUMENTS = (
    Instrument(
        f"{_E}.time", "counter", "s", "Time that the event loop was in a state.",
        _several(f"{_E}.state", lambda m: {"active": m.busy_seconds, "idle": m.idle_seconds}),
    ),
    Instrument(f"{_E}.utilization", "gauge", "1", "Active part of the time.", _one(lambda m: m.utilisation)),
    Instrument(f"{_E}.delay.mean", "gauge", "s", "Mean lag.", _of("lag", "mean")),
    Instrument(f"{_E}.delay.p50", "gauge", "s", "Median lag.", _of("lag", "p50")),
    Instrument(f"{_E}.delay.p99", "gauge", "s", "99th percentile of lag.", _of("lag", "p99")),
    Instrument(f"{_E}.delay.max", "gauge", "s", "Longest lag.", _of("lag", "max")),
    Instrument(f"{_E}.turns", "counter", "{turn}", "Turns of the loop.", _one(lambda m: m.turns)),
    Instrument(f"{_E}.steps", "counter", "{step}", "Callbacks and steps of tasks.", _one(lambda m: m.steps)),
    Instrument(f"{_E}.parks", "counter", "{park}", "Waits in the kernel.", _one(lambda m: m.parks)),
    Instrument(f"{_E}.ready", "gauge", "{callback}", "Callbacks that are ready.", _one(lambda m: m.ready)),
    Instrument(f"{_E}.timers", "gauge", "{timer}", "Timers that are not due.", _one(lambda m: m.timers)),
    Instrument("asyncio.tasks.created", "counter", "{task}", "Tasks made.", _one(lambda m: m.tasks_made)),
    Instrument("asyncio.tasks.active", "gauge", "{task}", "Tasks not done.", _one(lambda m: m.tasks_alive)),
    Instrument(
        "asyncio.tasks.ended", "counter", "{task}", "Tasks that have ended.",
        _several("asyncio.task.outcome", lambda m: {
            "finished": m.tasks_finished, "failed": m.tasks_failed, "cancelled": m.tasks_cancelled,
        }),
    ),
    Instrument(
        "asyncio.network.io", "counter", "By", "Bytes that sockets and pipes have moved.",
        _several("network.io.direction", lambda m: {
            "receive": m.received_bytes, "transmit": m.sent_bytes,
        }),
    ),
    Instrument(
        "asyncio.network.calls", "counter", "{call}", "System calls that have moved bytes.",
        _several("network.io.direction", lambda m: {"receive": m.receives, "transmit": m.sends}),
    ),
    Instrument(
        "asyncio.network.accepted", "counter", "{connection}", "Connections that were accepted.",
        _one(lambda m: m.accepted),
    ),
    Instrument(
        "asyncio.executor.queue", "gauge", "{job}", "Jobs that wait for a thread.",
        _one(lambda m: m.executor_queue),
    ),
    Instrument(
        "asyncio.executor.threads", "gauge", "{thread}", "Threads of the default executor.",
        _one(lambda m: m.executor_threads),
    ),
    Instrument(
        "asyncio.executor.wait.mean", "gauge", "s", "Mean time that jobs waited for a thread.",
        _of("executor_waits", "mean"),
    ),
    Instrument(
        "asyncio.coroutine.polls", "counter", "{step}", "Steps of tasks.", _functions(lambda f: f.polls)
    ),
    Instrument(
        "asyncio.coroutine.slow_polls", "counter", "{step}", "Slow steps.", _functions(lambda f: f.slow_polls)
    ),
    Instrument("asyncio.coroutine.busy", "counter", "s", "Time in steps.", _functions(lambda f: f.busy)),
    Instrument(
        "asyncio.coroutine.scheduled", "counter", "s", "Time that tasks were ready and waited for the loop.",
        _functions(lambda f: f.scheduled),
    ),
)  # fmt: skip

_numbers = count(1)
_names: "weakref.WeakKeyDictionary[_yibu.EventLoop, str]" = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def loops() -> list[tuple[str, LoopMetrics]]:
    """The loops that are not closed, each by a name of its own, with their metrics."""
    found = []
    for loop, _thread, _look in _yibu._native_loops():
        if loop.is_closed():
            continue
        with _lock:
            name = _names.get(loop) or _names.setdefault(loop, f"loop-{next(_numbers)}")
        found.append((name, metrics_of(loop)))
    return found
