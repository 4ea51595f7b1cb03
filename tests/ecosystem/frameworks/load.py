"""Clients of all kinds: those that behave, hang up, send slowly or are cancelled. Used by `test_load.py`.

They run on stock asyncio, in the process of the tests, and ask the service in `applications/`.
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
import time
from collections import Counter

import aiohttp

CLIENTS = 12
REQUEST = "GET /{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"


class Load:
    """Clients of a server on a port, for some seconds; `done` counts what each kind did."""

    def __init__(self, port, loop):
        self.port = port
        self.loop = loop
        self.done = Counter()
        self.chance = random.Random(port)
        self.kinds = [self.asks, self.asks, self.hangs_up_at_once, self.hangs_up_in_a_request]
        self.kinds += [self.hangs_up_before_the_answer, self.sends_slowly, self.is_cancelled]

    def run(self, seconds):
        """Let the clients come and go."""
        asyncio.run(asyncio.wait_for(self.clients(seconds), seconds + 60))

    async def clients(self, seconds):
        """All clients; every kind has had its turn at the end."""
        end = time.monotonic() + seconds
        connector = aiohttp.TCPConnector(limit=CLIENTS)
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{self.port}", connector=connector
        ) as self.session:
            async with asyncio.TaskGroup() as group:
                for number in range(CLIENTS):
                    group.create_task(self.client(number, end))

    async def client(self, number, end):
        """One client after the other, each of another kind."""
        while time.monotonic() < end or len(self.done) < len(set(self.kinds)):
            kind = self.kinds[number % len(self.kinds)]
            await kind()
            self.done[kind.__name__] += 1
            number += 1

    async def asks(self):
        """Ask three times on connections that are kept."""
        for _ in range(3):
            number = self.chance.randrange(1, 9)
            async with self.session.get(f"/{number}") as answer:
                assert answer.status == 200, answer
                self.check(number, json.loads(await answer.read()))

    def check(self, number, answer):
        """The answer is the one to this question, from the loop that was to be tested."""
        assert answer == {"loop": self.loop, "twice": 2 * number}

    @contextlib.asynccontextmanager
    async def connection(self):
        """A connection that ends with a reset."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def hangs_up_at_once(self):
        """Connect and leave."""
        async with self.connection():
            pass

    async def hangs_up_in_a_request(self):
        """Leave before the request is complete."""
        async with self.connection() as (_reader, writer):
            request = REQUEST.format(number=3).encode()
            writer.write(request[: self.chance.randrange(1, len(request) - 1)])
            await asyncio.sleep(self.chance.choice((0, 0.005)))

    async def hangs_up_before_the_answer(self):
        """Leave while the server works on the request."""
        async with self.connection() as (_reader, writer):
            writer.write(REQUEST.format(number=3).encode())
            await asyncio.sleep(self.chance.choice((0, 0.001, 0.003)))

    async def sends_slowly(self):
        """Send a request in pieces, and read the answer."""
        async with self.connection() as (reader, writer):
            request = REQUEST.format(number=4).encode()
            for start in range(0, len(request), 20):
                writer.write(request[start : start + 20])
                await asyncio.sleep(0.005)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert b" 200 " in head.partition(b"\r\n")[0], head
            self.check(4, json.loads(await asyncio.wait_for(self.body(reader, head), 30)))

    async def body(self, reader, head):
        """The body of an answer, of a known length or in chunks."""
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        if b"content-length" in headers:
            return await reader.readexactly(int(headers[b"content-length"]))
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:size]
        return body

    async def is_cancelled(self):
        """Ask, and be cancelled while the answer is awaited."""
        question = asyncio.create_task(self.session.get("/5").__aenter__())
        await asyncio.sleep(self.chance.choice((0, 0.001, 0.003)))
        question.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await question).close()


class Question:
    """A request that is in flight until the server is released."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=40)
        self.connection.sendall(REQUEST.format(number=0).encode())

    def answer(self):
        """The first line of the answer; empty if there is none."""
        with self.connection, self.connection.makefile("rb") as file:
            try:
                return file.readline().split(b" ")[1:2]
            except ConnectionError:
                return []
