"""A coroutine that nobody awaits is warned of, with and without the place where it was made."""

import asyncio
import sys
import warnings

warnings.simplefilter("always")


async def forgotten():
    """Nobody awaits this."""


async def main():
    forgotten()
    task = asyncio.create_task(forgotten())
    task.cancel()
    await asyncio.wait([task])
    print(task.cancelled())


asyncio.run(main())
asyncio.run(main(), debug=True)
sys.stderr.flush()
