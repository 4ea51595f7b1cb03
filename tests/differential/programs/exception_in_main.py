"""An exception out of main: traceback, notes, cause, and exit code 1."""

import asyncio


async def inner(depth):
    if depth:
        await inner(depth - 1)
    error = ValueError("deep inside")
    error.add_note("a note")
    raise error


async def main():
    try:
        await asyncio.create_task(inner(2))
    except ValueError as error:
        raise RuntimeError("from main") from error


asyncio.run(main())
