"""The register of the benchmarks inside one process."""

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: The files of benchmarks, in the order of the table.
TOPICS = [
    "callbacks",
    "timers",
    "tasks",
    "futures",
    "gathering",
    "timeouts",
    "locks",
    "queues",
    "streams",
    "threads",
    "files",
    "descriptors",
    "transports",
    "pipes",
    "subprocesses",
    "loops",
]

Function = Callable[..., Any]


@dataclass(frozen=True)
class Benchmark:
    """One function and how many operations it does when asked for `count`."""

    topic: str
    name: str
    count: int
    #: `async def function(asyncio, count)`, run in the loop that is measured; or
    #: `def function(asyncio, count, new_event_loop)`, which makes its own loops.
    function: Function
    python: tuple[int, int]

    @property
    def key(self) -> str:
        """How the benchmark is called on the command line."""
        return f"{self.topic}/{self.name}"

    @property
    def runs_in_loop(self) -> bool:
        """Whether it is a coroutine function."""
        return inspect.iscoroutinefunction(self.function)


_registered: list[Benchmark] = []


def benchmark(name: str, *, count: int, python: tuple[int, int] = (3, 11)) -> Callable[[Function], Function]:
    """Register a function that does `count` operations, on interpreters no older than `python`."""

    def register(function: Function) -> Function:
        topic = function.__module__.rpartition(".")[2]
        _registered.append(Benchmark(topic, name, count, function, python))
        return function

    return register


def benchmarks(version: tuple[int, int] = sys.version_info[:2]) -> list[Benchmark]:
    """All benchmarks that an interpreter can run, in the order of the table."""
    for topic in TOPICS:
        importlib.import_module(f"benchmarks.micro.{topic}")
    return [benchmark for benchmark in _registered if benchmark.python <= version]
