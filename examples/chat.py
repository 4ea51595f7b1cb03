"""A chat server: lines of text, one room, as many people as there are descriptors.

    python examples/chat.py [--port 8888]
    nc localhost 8888                          # in two other terminals

Shows streams, a task for each connection, and what to do about somebody who does not read.
"""

import argparse

import yibu as asyncio

LONGEST_LINE = 1000
PATIENCE = 5.0
"""Seconds that one person may keep all the others waiting before being shown out."""


class Room:
    """Who is there. Every method runs in the loop's thread, so there is nothing to lock."""

    def __init__(self) -> None:
        self.people: dict[str, asyncio.StreamWriter] = {}

    async def say(self, text: str, sender: str | None = None) -> None:
        """Send a line to everybody but the sender, at the same time."""
        listeners = [(name, writer) for name, writer in self.people.items() if name != sender]
        async with asyncio.TaskGroup() as group:
            for name, writer in listeners:
                group.create_task(self.tell(name, writer, text))

    async def tell(self, name: str, writer: asyncio.StreamWriter, text: str) -> None:
        """Send one person a line. Who does not read for too long loses the connection."""
        try:
            writer.write(text.encode() + b"\n")
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
        except (TimeoutError, ConnectionError):
            self.people.pop(name, None)
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from the name to the end."""
        name = None
        try:
            writer.write(b"your name?\n")
            wanted = (await reader.readline()).decode(errors="replace").strip()
            if not wanted or wanted in self.people:
                writer.write(b"that name will not do\n")
                return
            name = wanted
            await self.say(f"* {name} is here")
            self.people[name] = writer
            async for line in reader:
                if text := line.decode(errors="replace").strip():
                    await self.say(f"{name}: {text}", sender=name)
        except (ValueError, ConnectionError):
            pass  # a line that is too long, or a connection that broke: the same as leaving
        finally:
            if self.people.pop(name or "", None):
                await self.say(f"* {name} has left")
            writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(Room().serve, "127.0.0.1", port, limit=LONGEST_LINE)
    print("listening on", *server.sockets[0].getsockname(), flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat server.")
    parser.add_argument("--port", type=int, default=8888)
    try:
        asyncio.run(main(parser.parse_args().port))
    except KeyboardInterrupt:
        print("closed")
