"""Measures what each path of `programs` leaves behind: `python -m tests.leaks [--rounds N] [PATH ...]`.

Blocks are those of `sys.getallocatedblocks()`, references those of `sys.gettotalrefcount()` where the
interpreter counts them (a debug build), descriptors and resident memory the kernel's.  What every second
operation leaves behind, in each of three measurements after a warm-up, is a leak; less than that, once in a
while, is a worker thread that was started or a table that has grown.
"""

import argparse
import asyncio
import gc
import os
import sys
import warnings

import yibu

from tests.leaks.programs import PATHS, Place

MEASUREMENTS = 3

STRAY_RESIDENT = 4 << 20
"""Bytes that the allocators may keep."""


def state():
    for _ in range(3):
        gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    references = getattr(sys, "gettotalrefcount", int)()
    return sys.getallocatedblocks(), references, len(os.listdir("/proc/self/fd")), resident


async def repeat(function, place, rounds):
    for _ in range(rounds):
        await function(place)
    # What is closed at the other end of a connection takes some turns more.
    for _ in range(20):
        await asyncio.sleep(0.001)
    return state()


async def measure(name, place, rounds):
    """Growth in the best of the measurements: a leak is there every time."""
    function = PATHS[name]
    await repeat(function, place, rounds)
    before = await repeat(function, place, rounds)
    growths = []
    for _ in range(MEASUREMENTS):
        after = await repeat(function, place, rounds)
        growths.append([new - old for new, old in zip(after, before, strict=True)])
        before = after
    return [min(each) for each in zip(*growths, strict=True)]


async def run(names, rounds):
    leaking = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with Place() as place:
        for name in names:
            blocks, references, descriptors, resident = await measure(name, place, rounds)
            leaks = max(blocks, references) >= rounds // 2 or descriptors > 0 or resident > STRAY_RESIDENT
            if leaks:
                leaking.append(name)
            print(
                f"{name:32}{blocks:8} blocks {references:8} references {descriptors:4} descriptors "
                f"{resident >> 10:8} KiB{'   LEAK' if leaks else ''}",
                flush=True,
            )
    return leaking


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.leaks", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="operations in each measurement")
    parser.add_argument(
        "names", nargs="*", metavar="PATH", choices=[*PATHS, []], help="which ones; all by default"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    yibu.install()
    leaking = asyncio.run(run(options.names or PATHS, options.rounds))
    print(f"{len(leaking)} paths leak" if leaking else "nothing leaks")
    return bool(leaking)


if __name__ == "__main__":
    sys.exit(main())
