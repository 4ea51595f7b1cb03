"""Ctrl-C while main waits: main is cancelled, cleans up, and the program dies of the signal."""

import asyncio
import os
import signal


async def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        print("cancelled", asyncio.current_task().cancelling(), flush=True)
        await asyncio.sleep(0)
        raise
    finally:
        print("cleaned up", flush=True)


asyncio.run(main())
