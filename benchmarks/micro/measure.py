"""Rounds of the benchmarks inside one process.

A round starts one worker per contender; for every benchmark the workers take turns, so that each is measured
within a second of its rivals, and who is first changes from round to round. While one works the others wait
for input. The sample of a round is the best of its repetitions. Called by `run.py`.
"""

import json
from collections.abc import Sequence

from benchmarks.contenders import Contender
from benchmarks.micro.catalogue import Benchmark
from benchmarks.plan import Plan, rotated
from benchmarks.processes import ChildError, LineProcess
from benchmarks.results import Measurement

REPEATS = 3


def measure(plan: Plan, selected: Sequence[Benchmark]) -> list[Measurement]:
    """Run the selected benchmarks on all contenders."""
    lines = {each.key: Measurement(each.topic, each.name, "ns/operation") for each in selected}
    for number in range(plan.rounds):
        workers = [Worker(plan.python, contender) for contender in plan.contenders]
        try:
            for turn, benchmark in enumerate(selected):
                plan.announce(number, benchmark.key)
                for worker in rotated(workers, number + turn):
                    worker.sample(benchmark, plan.scaled(benchmark.count), lines[benchmark.key])
        finally:
            for worker in workers:
                worker.end()
    return list(lines.values())


class Worker:
    """One contender's process, started again after it was lost."""

    def __init__(self, python: str, contender: Contender) -> None:
        self._contender = contender
        self._command = [python, "-m", "benchmarks.micro.worker", contender.name]
        self._process: LineProcess | None = None

    def sample(self, benchmark: Benchmark, count: int, line: Measurement) -> None:
        """Add this round's sample to a line, or say there why it cannot be had."""
        if self._contender.name in line.failures:
            return
        try:
            nanoseconds = self._ask(benchmark.key, count)
        except ChildError as error:
            line.fail(self._contender.name, str(error))
            self.end()
        else:
            line.add(self._contender.name, min(nanoseconds) / count)

    def end(self) -> None:
        """End the process, if it runs."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def _ask(self, key: str, count: int) -> list[int]:
        if self._process is None:
            self._process = LineProcess(self._command, self._contender.environment)
            self._process.expect("ready")
        self._process.send(json.dumps({"key": key, "count": count, "repeats": REPEATS}))
        nanoseconds: list[int] = json.loads(self._process.expect("ns"))
        return nanoseconds
