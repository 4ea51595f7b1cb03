"""What the measurement has to find, and what it must not take for a leak."""

PLANTED = {}


def planted(function):
    PLANTED[function.__name__] = function
    return function


kept = []
table = {}
count = 0


@planted
async def planted_leak(place):
    """One block for every fourth operation."""
    global count
    count += 1
    if count % 4 == 0:
        kept.append(object())


@planted
async def planted_table(place):
    """Grows by two blocks in each operation until it is full."""
    global count
    count += 1
    if len(table) < 500:
        table[count + 1_000_000] = object()
