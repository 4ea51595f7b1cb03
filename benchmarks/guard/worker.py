"""The program that runs under callgrind: `python -m benchmarks.guard.worker KEY...`.

Every row runs three times in one loop of yibu: to warm caches, freelists and the interpreter's specialised
code up, then with the count of operations, then with twice as many. `os.getppid` before and after each
counted run is where callgrind writes down what it has counted: nothing else in the process calls it.
Started by `callgrind.py`.
"""

import gc
import os
import sys
from typing import Any

from benchmarks.contenders import YIBU
from benchmarks.guard.rows import ROWS
from benchmarks.micro.catalogue import Benchmark, benchmarks


def main() -> None:
    """Run the rows named on the command line."""
    known = {benchmark.key: benchmark for benchmark in benchmarks()}
    namespace, factory = YIBU.import_namespace(), YIBU.loop_factory()
    wanted = set(sys.argv[1:])
    # A collection of the garbage falls into one run or the next, wherever its threshold is reached.
    gc.disable()
    for row in ROWS:
        if row.key in wanted:
            count(known[row.key], row.count, namespace, factory)


def count(benchmark: Benchmark, operations: int, namespace: Any, factory: Any) -> None:
    """Run one row between marks."""

    async def marked(number: int) -> None:
        gc.collect()
        os.getppid()
        await benchmark.function(namespace, number)
        os.getppid()

    with namespace.Runner(loop_factory=factory) as runner:
        runner.run(benchmark.function(namespace, 2 * operations))
        for number in (operations, 2 * operations):
            runner.run(marked(number))


if __name__ == "__main__":
    main()
