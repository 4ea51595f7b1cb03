"""Stream handlers that a test can wait for."""

import asyncio
import contextlib


class Handlers:
    """A server's handler that knows its running calls, so that a test can end after them."""

    def __init__(self, handler):
        self.handler = handler
        self.running = set()

    async def __call__(self, reader, writer):
        task = asyncio.current_task()
        self.running.add(task)
        try:
            await self.handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.running.discard(task)

    async def ended(self):
        while self.running:
            await asyncio.sleep(0)
