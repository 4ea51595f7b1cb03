"""aiomqtt, which watches paho's socket by `add_reader` and `add_writer`: subscribe, publish."""

import asyncio
import contextlib
import os
import sys
from urllib.parse import urlsplit

import aiomqtt


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    parts = urlsplit(address)
    where = {"hostname": parts.hostname, "port": parts.port}
    topic = f"numbers/{os.getpid()}"
    async with aiomqtt.Client(**where) as listener, aiomqtt.Client(**where) as sender, asyncio.timeout(40):
        await listener.subscribe(f"{topic}/#", qos=2)
        for number in range(90):
            await sender.publish(f"{topic}/{number}", number, qos=number % 3)
        received = []
        async for message in listener.messages:
            received.append(int(message.payload))
            if len(received) == 90:
                break
        assert sorted(received) == list(range(90))
        waiting = asyncio.create_task(anext(aiter(listener.messages)))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await sender.publish(f"{topic}/large", bytes(1_000_000), qos=1)
        message = await anext(aiter(listener.messages))
        assert len(message.payload) == 1_000_000


asyncio.run(main(sys.argv[1]))
