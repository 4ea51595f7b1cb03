"""SystemExit in a task ends the program with its code, after what `asyncio.run` still does."""

import asyncio
import sys


async def other():
    try:
        await asyncio.sleep(1000)
    finally:
        print("other ends")


async def main():
    asyncio.create_task(other())
    await asyncio.sleep(0)
    sys.exit(7)


try:
    asyncio.run(main())
finally:
    print("finally")
