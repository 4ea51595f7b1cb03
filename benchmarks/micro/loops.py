"""The life of a loop."""

from collections.abc import Callable
from typing import Any

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark
from benchmarks.micro.tasks import nothing


@benchmark("new loop + run + close", count=200)
def create_run_close(asyncio: Namespace, count: int, new_event_loop: Callable[[], Any]) -> None:
    """What `run` costs before and after the program."""
    for _ in range(count):
        loop = new_event_loop()
        loop.run_until_complete(nothing())
        loop.close()


@benchmark("Runner with one coroutine", count=200)
def runner(asyncio: Namespace, count: int, new_event_loop: Callable[[], Any]) -> None:
    """The same with the shutdown that `run` does."""
    for _ in range(count):
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(nothing())


@benchmark("run_until_complete", count=5_000)
def run_until_complete(asyncio: Namespace, count: int, new_event_loop: Callable[[], Any]) -> None:
    """Entering and leaving one loop."""
    loop = new_event_loop()
    for _ in range(count):
        loop.run_until_complete(nothing())
    loop.close()
