"""A server that ends well: it accepts nobody new, finishes what it has begun, and gives up after a while.

    python examples/graceful_shutdown.py [--port 8080] [--grace 10]
    kill -TERM PID            # or Ctrl-C; once more ends it at once

A request is a line with a number of seconds, the answer comes after that time. Shows signals, what is under
way as a set of tasks, a limit for the end, and a health check that says "no" while the process is ending.
"""

import argparse
import signal
from typing import Any

import yibu as asyncio


class Service:
    def __init__(self) -> None:
        self.requests: set[asyncio.Task[Any]] = set()
        self.connections: set[asyncio.StreamWriter] = set()
        self.ending = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: requests one after the other, until it is closed or the service ends."""
        self.connections.add(writer)
        try:
            while not self.ending.is_set() and (line := await reader.readline()):
                request = asyncio.create_task(self.answer(line.decode().strip()))
                self.requests.add(request)
                request.add_done_callback(self.requests.discard)
                writer.write(f"{await request}\n".encode())
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the client is gone, or has sent no number
        finally:
            self.connections.discard(writer)
            writer.close()

    async def answer(self, text: str) -> str:
        if text == "health":
            return "ending" if self.ending.is_set() else "ok"
        await asyncio.sleep(float(text))
        return f"waited {text} s"

    async def finish(self, grace: float) -> int:
        """Wait for the requests under way, then cancel the rest. Return how many these were."""
        if self.requests:
            await asyncio.wait(self.requests, timeout=grace)
        rest = list(self.requests)
        for request in rest:
            request.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0)  # answers that are done are written in the next turn
        for writer in list(self.connections):
            writer.close()  # sends what is buffered first; connections without a request just end
        return len(rest)


async def main(port: int, grace: float) -> None:
    service, loop = Service(), asyncio.get_running_loop()
    for number in signal.SIGINT, signal.SIGTERM:
        loop.add_signal_handler(number, service.ending.set)
    server = await asyncio.start_server(service.serve, "127.0.0.1", port)
    print("listening on", *server.sockets[0].getsockname(), flush=True)
    await service.ending.wait()
    for number in signal.SIGINT, signal.SIGTERM:
        loop.remove_signal_handler(number)  # the second signal does what signals do
    server.close()
    print("ending,", len(service.requests), "requests under way", flush=True)
    print("ended,", await service.finish(grace), "requests cancelled", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A server that ends well.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--grace", type=float, default=10, help="seconds for what is under way")
    options = parser.parse_args()
    asyncio.run(main(options.port, options.grace))
