"""What the unit tests run: small coroutines, one turn of a loop, and rounds that may leave nothing behind."""

import asyncio
import gc
import sys
import threading

ROUNDS = 2000


async def nothing():
    """Ends at once."""


async def value(result):
    await asyncio.sleep(0)
    return result


async def failing(error):
    await asyncio.sleep(0)
    raise error


async def forever():
    """Waits until it is cancelled."""
    await asyncio.get_running_loop().create_future()


def join_threads():
    """Wait for the threads that wait for child processes, where there are any."""
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid-"):
            thread.join()


def turn(loop):
    """Run one turn of the loop."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def assert_no_growth(loop, rounds):
    """`rounds(n)` is a coroutine that does the same n times."""
    loop.run_until_complete(rounds(ROUNDS))
    gc.collect()
    before = sys.getallocatedblocks()
    loop.run_until_complete(rounds(ROUNDS))
    gc.collect()
    assert sys.getallocatedblocks() - before < ROUNDS / 2
