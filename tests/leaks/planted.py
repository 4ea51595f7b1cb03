"""What the measurement has to find, and what it must not take for a leak."""

import itertools

PLANTED = {}


def planted(function):
    PLANTED[function.__name__] = function
    return function


operations = itertools.count(1_000_000)
kept = []
table = {}


@planted
async def planted_leak(place):
    """One block for every fourth operation."""
    if next(operations) % 4 == 0:
        kept.append(object())


@planted
async def planted_table(place):
    """Grows by two blocks in each operation until it is full."""
    if len(table) < 500:
        table[next(operations)] = object()
