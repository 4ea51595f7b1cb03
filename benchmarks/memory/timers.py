"""A million timers, cancelled: the memory that they leave behind.

As a program, `python -m benchmarks.memory.timers NAME WHEN COUNT` schedules and cancels them in a process of
its own and prints by how many bytes the process has grown. `single.py` starts it.
"""

import asyncio as stock
import gc
import sys

from benchmarks.contenders import Namespace, by_name
from benchmarks.processes import resident_bytes
from benchmarks.single import Single

LINES = [
    Single("memory", name, "KiB left behind", __name__, when, 1_000_000, 1024)
    for name, when in (
        ("timers, each cancelled at once", "at-once"),
        ("timers, all cancelled together", "together"),
    )
]


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
        print("got", runner.run(left_behind(namespace, when, count)), flush=True)


if __name__ == "__main__":
    main()
