"""An exception group out of main, as the traceback module prints it."""

import asyncio


async def fail(number):
    raise (ValueError, KeyError)[number % 2](number)


async def main():
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(fail(number))


asyncio.run(main())
