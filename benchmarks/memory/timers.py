"""A million timers, cancelled: the memory that they leave behind.

As a program, `python -m benchmarks.memory.timers NAME WHEN COUNT` schedules and cancels them in a process of
its own and prints by how many bytes the process has grown. `measure` starts it; `run.py` calls that.
"""

import asyncio as stock
import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contenders import Contender, Namespace, by_name
from benchmarks.plan import Plan, rotated
from benchmarks.processes import ChildError, LineProcess, resident_bytes
from benchmarks.results import Measurement

UNIT = "KiB left behind"
TIMERS = 1_000_000


@dataclass(frozen=True)
class Habit:
    """One line of the table: when a program cancels its timers."""

    name: str
    when: str

    @property
    def key(self) -> str:
        """How the benchmark is called on the command line."""
        return f"memory/{self.name}"


HABITS = [
    Habit("timers, each cancelled at once", "at-once"),
    Habit("timers, all cancelled together", "together"),
]


def measure(plan: Plan, selected: Sequence[Habit]) -> list[Measurement]:
    """Run the selected habits on all contenders."""
    lines = {habit.key: Measurement("memory", habit.name, UNIT) for habit in selected}
    for number in range(plan.rounds):
        for turn, habit in enumerate(selected):
            plan.announce(number, habit.key)
            for contender in rotated(plan.contenders, number + turn):
                sample(plan.python, contender, habit, lines[habit.key], plan.scaled(TIMERS))
    return list(lines.values())


def sample(python: str, contender: Contender, habit: Habit, line: Measurement, count: int) -> None:
    """Add one contender's sample of this round to a line, or say there why it cannot be had."""
    if contender.name in line.failures:
        return
    command = [python, "-m", "benchmarks.memory.timers", contender.name, habit.when, str(count)]
    try:
        with LineProcess(command, contender.environment) as child:
            line.add(contender.name, int(child.expect("left")) / 1024)
    except ChildError as error:
        line.fail(contender.name, str(error))


def nothing() -> None:
    """What no timer gets to call."""


async def left_behind(asyncio: Namespace, when: str, count: int) -> int:
    """By how many bytes the process has grown once the loop had the chance to clean up."""
    loop = asyncio.get_running_loop()
    await schedule_and_cancel(loop, when, 1_000)
    await turn_over(asyncio)
    before = resident_bytes()
    await schedule_and_cancel(loop, when, count)
    await turn_over(asyncio)
    return resident_bytes() - before


async def schedule_and_cancel(loop: stock.AbstractEventLoop, when: str, count: int) -> None:
    """Make `count` timers and cancel them, one by one or all in the end."""
    if when == "at-once":
        for _ in range(count):
            loop.call_later(3600, nothing).cancel()
    else:
        for handle in [loop.call_later(3600, nothing) for _ in range(count)]:
            handle.cancel()


async def turn_over(asyncio: Namespace) -> None:
    """Give the loop a few turns, one of them parked, and the collector its own."""
    for delay in (0, 0.01, 0):
        await asyncio.sleep(delay)
    gc.collect()


def main() -> None:
    """Do what the command line says and print the growth."""
    contender, when, count = by_name(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    namespace = contender.import_namespace()
    with namespace.Runner(loop_factory=contender.loop_factory()) as runner:
        print("left", runner.run(left_behind(namespace, when, count)), flush=True)


if __name__ == "__main__":
    main()
