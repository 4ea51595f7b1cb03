"""motor, which runs PyMongo in threads, against the small server of `documents.py`."""

import asyncio
import os
import sys

import motor.motor_asyncio


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    client = motor.motor_asyncio.AsyncIOMotorClient(address, maxPoolSize=4, serverSelectionTimeoutMS=20_000)
    try:
        numbers = client.test[f"numbers_{os.getpid()}"]
        await numbers.insert_many([{"_id": n, "square": n * n} for n in range(1000)])
        found = [document["square"] async for document in numbers.find({}, batch_size=100)]
        assert found == [n * n for n in range(1000)]

        async def work(number):
            return (await numbers.find_one({"_id": number}))["square"]

        assert await asyncio.gather(*map(work, range(100))) == [n * n for n in range(100)]
        command = asyncio.ensure_future(client.admin.command("sleep", 0.2))
        await asyncio.sleep(0.02)
        command.cancel()
        assert (await client.admin.command("ping"))["ok"] == 1
    finally:
        client.close()


asyncio.run(main(sys.argv[1]))
