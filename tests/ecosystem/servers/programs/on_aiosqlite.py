"""aiosqlite, whose connection is a thread that answers by `call_soon_threadsafe`."""

import asyncio
import os
import sys

import aiosqlite


async def main(path):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    async with aiosqlite.connect(path) as connection:
        await connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, square INTEGER)")
        await connection.executemany("INSERT INTO numbers VALUES (?, ?)", [(n, n * n) for n in range(1000)])
        await connection.commit()
        await connection.execute("DELETE FROM numbers")
        await connection.rollback()

        async def work(number):
            async with connection.execute("SELECT square FROM numbers WHERE n = ?", (number,)) as cursor:
                return (await cursor.fetchone())[0]

        assert await asyncio.gather(*map(work, range(300))) == [n * n for n in range(300)]
        async with connection.execute("SELECT n FROM numbers ORDER BY n") as cursor:
            assert [row[0] async for row in cursor] == list(range(1000))
        tasks = [asyncio.create_task(work(number)) for number in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1::2] == [n * n for n in range(1, 30, 2)]


asyncio.run(main(sys.argv[1]))
