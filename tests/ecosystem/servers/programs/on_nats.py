"""nats-py: publish and subscribe, queue groups, requests, cancellation."""

import asyncio
import contextlib
import os
import sys

import nats


async def wait_for_subscriptions(client):
    """Wait until the server knows the subscriptions; the first ping overtakes them in the client."""
    for _ in range(2):
        await client.flush()


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    client = await nats.connect(address)
    other = await nats.connect(address)
    subscription = await client.subscribe("numbers")
    await wait_for_subscriptions(client)
    for number in range(500):
        await other.publish("numbers", b"%d" % number)
    received = [int((await subscription.next_msg(timeout=30)).data) for _ in range(500)]
    assert received == list(range(500))

    shares = {0: 0, 1: 0}

    for worker in shares:

        async def answer(message, worker=worker):
            shares[worker] += 1
            await message.respond(b"%d" % (int(message.data) * 2))

        await client.subscribe("double", "workers", cb=answer)
    await wait_for_subscriptions(client)
    requests = (other.request("double", b"%d" % number, timeout=30) for number in range(200))
    assert [int(reply.data) for reply in await asyncio.gather(*requests)] == [2 * n for n in range(200)]
    assert sum(shares.values()) == 200 and all(shares.values())

    waiting = asyncio.create_task(subscription.next_msg(timeout=30))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    with contextlib.suppress(nats.errors.TimeoutError):
        await subscription.next_msg(timeout=0.02)
    await other.publish("numbers", b"last")
    assert (await subscription.next_msg(timeout=30)).data == b"last"
    await other.drain()
    await client.drain()


asyncio.run(main(sys.argv[1]))
