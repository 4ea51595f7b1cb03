"""What doing something again and again leaves behind.

Blocks are those of `sys.getallocatedblocks()`, references those of `sys.gettotalrefcount()` where the
interpreter counts them (a debug build), descriptors and resident memory the kernel's.

A leak grows in every measurement. What grows in some of them is a table that still fills: free lists become
as long as the most objects that were ever alive at once, and how many those are depends on how fast the other
end of a connection was. So a path is measured until it has not grown at all, and what has grown every time is
a leak, however slowly.
"""

import asyncio
import gc
import os
import sys
from typing import NamedTuple

MEASUREMENTS = 25
"""So many times something has to grow before it is called a leak."""


class State(NamedTuple):
    blocks: int
    references: int
    descriptors: int
    resident: int

    def since(self, before):
        return State(*(new - old for new, old in zip(self, before, strict=True)))

    def has_grown(self):
        return any(grown > stray for grown, stray in zip(self, STRAY, strict=True))


STRAY = State(blocks=0, references=0, descriptors=0, resident=4 << 20)
"""What allocators may keep, however many the rounds."""

clear_type_cache = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


def state():
    # The cache of attributes of types keeps their names, whatever else these were made for.
    clear_type_cache()
    for _ in range(3):
        gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    references = getattr(sys, "gettotalrefcount", int)()
    return State(sys.getallocatedblocks(), references, len(os.listdir("/proc/self/fd")), resident)


async def repeat(function, place, rounds):
    for _ in range(rounds):
        await function(place)
    # What is closed at the other end of a connection takes some turns more.
    for _ in range(20):
        await asyncio.sleep(0.001)
    return state()


async def measure(function, place, rounds):
    """How much the first measurement grew that did not grow, or else the one that grew least."""
    # Twice: from then on a state is there while the next one is taken.
    before = await repeat(function, place, rounds)
    before = await repeat(function, place, rounds)
    least = None
    for _ in range(MEASUREMENTS):
        after = await repeat(function, place, rounds)
        growth, before = after.since(before), after
        if not growth.has_grown():
            return growth
        least = growth if least is None else min(least, growth)
    return least
