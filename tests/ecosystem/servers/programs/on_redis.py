"""redis-py's asyncio: pipelines, publish and subscribe, blocking pops with cancellation, locks."""

import asyncio
import os
import sys

import redis.asyncio as redis


async def pipelines(client):
    """Many commands at once, and a transaction that another client disturbs."""
    async with client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"key:{number}", number)
        assert all(await pipe.execute())
    assert await client.mget([f"key:{number}" for number in range(1000)]) == [b"%d" % n for n in range(1000)]
    await client.set("watched", 1)
    async with client.pipeline() as pipe:
        await pipe.watch("watched")
        await client.incr("watched")
        pipe.multi()
        pipe.set("watched", "lost")
        try:
            await pipe.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("the disturbed transaction went through")
    assert await client.get("watched") == b"2"
    await client.set("large", bytes(3_000_000))
    assert await client.get("large") == bytes(3_000_000)


async def publishing(client):
    """Subscribers get every message in its order."""

    async def listen(ready):
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            messages = []
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    ready.set()
                elif message["data"] == b"end":
                    return messages
                else:
                    messages.append(int(message["data"]))
        return None

    events = [asyncio.Event() for _ in range(5)]
    listeners = [asyncio.create_task(listen(event)) for event in events]
    await asyncio.gather(*(event.wait() for event in events))
    for number in range(100):
        assert await client.publish("news", number) == 5
    await client.publish("news", "end")
    assert await asyncio.gather(*listeners) == [list(range(100))] * 5


async def blocking(client):
    """A pop that waits gets what comes, and a cancelled one leaves its connection in order."""
    waiting = asyncio.create_task(client.blpop("queue", timeout=30))
    await until_waiting(client, 1)
    await client.rpush("queue", "first")
    assert tuple(await waiting) == (b"queue", b"first")
    for _ in range(10):
        waiting = asyncio.create_task(client.blpop("queue", timeout=30))
        await until_waiting(client, 1)
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            pass
        else:
            raise AssertionError("the cancelled pop has a result")
        assert await client.echo("hello") == b"hello"
        await until_waiting(client, 0)
    try:
        async with asyncio.timeout(0.02):
            await client.blpop("queue", timeout=30)
    except TimeoutError:
        pass
    else:
        raise AssertionError("a time limit that was over did nothing")


async def until_waiting(client, count):
    """Wait until so many clients wait at the server."""
    async with asyncio.timeout(30):
        while (await client.info("clients"))["blocked_clients"] != count:
            await asyncio.sleep(0.001)


async def locking(client):
    """A distributed lock keeps tasks apart."""
    inside = 0

    async def work():
        nonlocal inside
        async with client.lock("lock", timeout=30, sleep=0.001):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    async with redis.from_url(address) as client:
        await client.flushdb()
        await pipelines(client)
        await publishing(client)
        await blocking(client)
        await locking(client)


asyncio.run(main(sys.argv[1]))
