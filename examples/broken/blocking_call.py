"""Broken: a callback calls what blocks, and the whole service stands still.

    python -m yibu --inspect examples/broken/blocking_call.py
    python -m yibu ps PID

The command says in which line the loop's thread is. The cure: `await asyncio.create_subprocess_exec(...)`.
"""

import asyncio
import subprocess
import sys


def make_thumbnail() -> None:
    # Takes a minute, and nothing else runs meanwhile.
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=False)


async def serve() -> None:
    while True:
        await asyncio.sleep(0.01)


async def main() -> None:
    asyncio.get_running_loop().call_later(0.2, make_thumbnail)
    await asyncio.create_task(serve(), name="serve")


asyncio.run(main())
