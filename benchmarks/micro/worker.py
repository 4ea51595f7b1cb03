"""The process that runs one contender's benchmarks: `python -m benchmarks.micro.worker NAME`.

Reads one request a line, runs that benchmark, answers with the CPU time of each repetition. Started and asked
by `measure.py`, which keeps one such process per contender and lets them take turns.
"""

import gc
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from benchmarks.contenders import Contender, by_name
from benchmarks.micro.catalogue import Benchmark, benchmarks


def main() -> None:
    """Answer requests until the input ends."""
    contender = by_name(sys.argv[1])
    known = {benchmark.key: benchmark for benchmark in benchmarks()}
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = repeat(known[request["key"]], contender, request["count"], request["repeats"])
            print("ns", json.dumps(answer), flush=True)
        except Exception as error:
            traceback.print_exc()
            print("failed", repr(error), flush=True)


def repeat(benchmark: Benchmark, contender: Contender, count: int, repeats: int) -> list[int]:
    """Run a benchmark once to warm up and then `repeats` times, and return the CPU time of each."""
    run = in_loop if benchmark.runs_in_loop else on_its_own
    return run(benchmark, contender, count, repeats)


def in_loop(benchmark: Benchmark, contender: Contender, count: int, repeats: int) -> list[int]:
    """Run a coroutine function in a loop of the contender."""
    namespace = contender.import_namespace()

    async def timed(operations: int) -> int:
        gc.collect()
        started = time.process_time_ns()
        await benchmark.function(namespace, operations)
        return time.process_time_ns() - started

    with namespace.Runner(loop_factory=contender.loop_factory()) as runner:
        runner.run(timed(warm_up(count)))
        return [runner.run(timed(count)) for _ in range(repeats)]


def on_its_own(benchmark: Benchmark, contender: Contender, count: int, repeats: int) -> list[int]:
    """Run a function that makes its own loops."""
    arguments: tuple[Any, Callable[[], Any]]
    arguments = contender.import_namespace(), contender.loop_factory()

    def timed(operations: int) -> int:
        gc.collect()
        started = time.process_time_ns()
        benchmark.function(arguments[0], operations, arguments[1])
        return time.process_time_ns() - started

    timed(warm_up(count))
    return [timed(count) for _ in range(repeats)]


def warm_up(count: int) -> int:
    """How many operations make caches, freelists and thread pools warm."""
    return max(count // 5, 1)


if __name__ == "__main__":
    main()
