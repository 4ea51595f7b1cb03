"""What one waiting task, sleeping task, future or timer takes, of a hundred thousand.

As a program, `python -m benchmarks.memory.objects NAME KIND COUNT` makes that many in a process of its own
and prints by how many bytes for each the process has grown. `single.py` starts it.
"""

import gc
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.contenders import Namespace, by_name
from benchmarks.processes import resident_bytes
from benchmarks.single import Single

LINES = [
    Single("memory", f"bytes of a {kind}", "bytes/object", __name__, kind, 100_000)
    for kind in ("waiting task", "sleeping task", "future", "timer")
]


def nothing() -> None:
    """What no timer gets to call."""


def makers(asyncio: Namespace) -> dict[str, Callable[[], Any]]:
    """How one of each kind is made."""
    loop = asyncio.get_running_loop()

    async def waits() -> None:
        await loop.create_future()

    return {
        "waiting task": lambda: asyncio.create_task(waits()),
        "sleeping task": lambda: asyncio.create_task(asyncio.sleep(3600)),
        "future": loop.create_future,
        "timer": lambda: loop.call_later(3600, nothing),
    }


async def growth(asyncio: Namespace, kind: str, count: int) -> int:
    """By how many bytes the process grows for each."""
    make = makers(asyncio)[kind]
    # The list and whatever is made once are there before the first look.
    kept: list[Any] = [None] * (count + 100)
    for place in range(100):
        kept[place] = make()
    await asyncio.sleep(0.01)
    gc.collect()
    before = resident_bytes()
    for place in range(100, count + 100):
        kept[place] = make()
    await asyncio.sleep(0.01)
    gc.collect()
    grown = resident_bytes() - before
    for each in kept:
        each.cancel()
    return grown // count


def main() -> None:
    """Do what the command line says and print the growth."""
    contender, kind, count = by_name(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    namespace = contender.import_namespace()
    with namespace.Runner(loop_factory=contender.loop_factory()) as runner:
        print("got", runner.run(growth(namespace, kind, count)), flush=True)


if __name__ == "__main__":
    main()
