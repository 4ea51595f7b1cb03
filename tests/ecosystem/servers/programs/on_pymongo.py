"""PyMongo's asynchronous client, with the server of `documents.py`: a pool, cursors, cancellation."""

import asyncio
import os
import sys

import pymongo


async def cancellation(client):
    """A cancelled command closes its connection; others go on."""
    command = asyncio.create_task(client.admin.command("sleep", 60))
    await asyncio.sleep(0.05)
    command.cancel()
    try:
        await command
    except asyncio.CancelledError:
        pass
    else:
        raise AssertionError("the cancelled command has a result")
    assert (await client.admin.command("ping"))["ok"] == 1
    with pymongo.timeout(0.05):
        try:
            await client.admin.command("sleep", 60)
        except pymongo.errors.PyMongoError as error:
            assert error.timeout
        else:
            raise AssertionError("a time limit that was over did nothing")
    assert (await client.admin.command("ping"))["ok"] == 1


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    async with pymongo.AsyncMongoClient(address, maxPoolSize=4, serverSelectionTimeoutMS=20_000) as client:
        numbers = client.test[f"numbers_{os.getpid()}"]
        inserted = await numbers.insert_many([{"_id": n, "square": n * n} for n in range(5000)])
        assert len(inserted.inserted_ids) == 5000
        found = [document["square"] async for document in numbers.find({}, batch_size=100)]
        assert found == [n * n for n in range(5000)]

        async def work(number):
            return (await numbers.find_one({"_id": number}))["square"]

        assert await asyncio.gather(*map(work, range(200))) == [n * n for n in range(200)]
        await cancellation(client)


asyncio.run(main(sys.argv[1]))
