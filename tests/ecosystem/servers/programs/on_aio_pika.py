"""aio-pika: publish with confirms, consume, acknowledge, reject, reconnect."""

import asyncio
import contextlib
import logging
import os
import sys
from urllib.parse import urlsplit

import aio_pika

MESSAGES = 200
for name in "aio_pika", "aiormq":
    logging.getLogger(name).setLevel(logging.CRITICAL)  # they tell that the line was cut


class Line:
    """The way to the broker, which can be cut."""

    def __init__(self, address):
        self.host, self.port = urlsplit(address).hostname, urlsplit(address).port
        self.writers = set()

    async def carry(self, reader, writer):
        """Connect a client to the broker."""
        there = await asyncio.open_connection(self.host, self.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.copy(reader, there[1]))
            group.create_task(self.copy(there[0], writer))

    async def copy(self, reader, writer):
        """Pass on what comes from one side."""
        self.writers.add(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # it has been cut
        finally:
            self.writers.discard(writer)
            writer.close()

    def cut(self):
        """Break all connections."""
        for writer in self.writers:
            writer.transport.abort()


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    line = Line(address)
    way = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    port = way.sockets[0].getsockname()[1]
    connection = await aio_pika.connect_robust(
        f"amqp://guest:guest@127.0.0.1:{port}/", reconnect_interval=0.1
    )
    async with way, connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=20)
        exchange = await channel.declare_exchange("work", aio_pika.ExchangeType.DIRECT, auto_delete=True)
        queue = await channel.declare_queue("", exclusive=True)
        await queue.bind(exchange, "key")
        await asyncio.gather(*(publish(exchange, number) for number in range(MESSAGES)))
        assert await consume(queue, MESSAGES) == list(range(MESSAGES))

        # Not acknowledged but put back: it comes once more, marked so.
        await publish(exchange, 7)
        message = await queue.get(timeout=30)
        await message.reject(requeue=True)
        message = await queue.get(timeout=30)
        assert (message.body, message.redelivered) == (b"7", True)
        await message.ack()
        await publish(exchange, 0, bytes(2_000_000))
        assert len((await queue.get(timeout=30, no_ack=True)).body) == 2_000_000

        waiting = asyncio.create_task(consume(queue, 1))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await reconnect(line, connection, channel)


async def publish(exchange, number, body=None):
    """Publish, and wait until the broker has confirmed it."""
    await exchange.publish(aio_pika.Message(body or b"%d" % number), "key", timeout=30)


async def consume(queue, count):
    """Take and acknowledge messages; their numbers in order."""
    numbers = []
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                numbers.append(int(message.body))
            if len(numbers) == count:
                return sorted(numbers)
    return None


async def reconnect(line, connection, channel):
    """The connection breaks underneath; aio-pika makes another one, and the channel and its queue go on."""
    queue = await channel.declare_queue("after_reconnect", auto_delete=False)
    back = asyncio.Event()
    connection.reconnect_callbacks.add(lambda *_: back.set())
    line.cut()
    async with asyncio.timeout(30):
        await back.wait()
    await channel.default_exchange.publish(aio_pika.Message(b"again"), queue.name, timeout=30)
    message = await queue.get(timeout=30)
    assert message.body == b"again"
    await message.ack()
    await queue.delete()


asyncio.run(main(sys.argv[1]))
