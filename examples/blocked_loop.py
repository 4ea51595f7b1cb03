"""Who blocks the loop? A service that answers late now and then, and the watchdog that names the lines.

    python examples/blocked_loop.py

A ticker is to tick twenty times a second. Three things keep it from that: a coroutine that sleeps with
`time.sleep`, one that computes, and a thread that keeps the interpreter for itself. `yibu.watch()` says of
each, while it happens, which line it is. Any program can be asked without changing it:

    python -m yibu --watch 0.1 program.py
"""

import asyncio
import itertools
import logging
import threading
import time

import yibu

THRESHOLD = 0.1


async def tick(times: list[float]) -> None:
    """The victim: notes when it ran."""
    while True:
        times.append(time.monotonic())
        await asyncio.sleep(0.05)


async def fetch_price() -> None:
    time.sleep(0.4)  # the mistake: `await asyncio.sleep(0.4)` was meant


async def handle_order() -> None:
    await fetch_price()


async def sum_up() -> None:
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        sum(range(1000))


def crunch() -> None:
    """Runs in a thread of its own, and yet nothing else runs: one long call keeps the interpreter."""
    time.sleep(0.1)
    for _ in range(2):
        sum(range(40_000_000))


async def main() -> None:
    times: list[float] = []
    ticker = asyncio.create_task(tick(times), name="ticker")
    await asyncio.sleep(0.2)
    await asyncio.create_task(handle_order(), name="order 1")
    await asyncio.sleep(0.2)
    await asyncio.create_task(sum_up(), name="statistics")
    await asyncio.sleep(0.2)
    thread = threading.Thread(target=crunch, name="crunch")
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.05)
    ticker.cancel()
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))
    print(f"the ticker ran {len(times)} times; once it waited for {longest:.2f} s")


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(message)s\n")
    with yibu.watch(THRESHOLD) as watch:
        yibu.run(main())
    print(f"{watch.count} blockages")
