"""A server that tells every connected browser the same, as it happens.

    python examples/websocket_broadcast.py [--port 8765] [--every 1.0]
    python -m websockets ws://localhost:8765          # in other terminals; what is typed is told to all

Shows a set of connections, one source for all of them, and a last message to whoever comes late. Needs
websockets.
"""

import argparse
import json
import signal

import yibu as asyncio
from websockets.asyncio.server import ServerConnection, broadcast, serve


class Channel:
    """Everybody who is connected, and what was said last."""

    def __init__(self) -> None:
        self.connections: set[ServerConnection] = set()
        self.latest = json.dumps({"ticks": 0})

    def tell(self, **news: object) -> None:
        """Send to all. `broadcast` waits for nobody; the library cuts off who does not answer its pings."""
        self.latest = json.dumps(news)
        broadcast(self.connections, self.latest)

    async def handle(self, connection: ServerConnection) -> None:
        """One connection, until it is closed."""
        await connection.send(self.latest)
        self.connections.add(connection)
        try:
            async for text in connection:
                self.tell(said=text)
        finally:
            self.connections.discard(connection)

    async def tick(self, every: float) -> None:
        """The news: how often this has been said."""
        count = 0
        while True:
            await asyncio.sleep(every)
            count += 1
            self.tell(ticks=count)


async def main(port: int, every: float) -> None:
    channel, stop = Channel(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signal.SIGINT, signal.SIGTERM:
        loop.add_signal_handler(number, stop.set)
    # Closing the server closes every connection with code 1001, "going away".
    async with serve(channel.handle, "127.0.0.1", port) as server:
        print("listening on", *next(iter(server.sockets)).getsockname(), flush=True)
        ticking = asyncio.create_task(channel.tick(every))
        await stop.wait()
        ticking.cancel()
    print("closed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Broadcast over WebSockets.")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two ticks")
    options = parser.parse_args()
    asyncio.run(main(options.port, options.every))
