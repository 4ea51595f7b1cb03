"""aiomysql: transactions, a pool, an unbuffered cursor, cancellation."""

import asyncio
import os
import sys
from urllib.parse import urlsplit

import aiomysql


async def transactions(pool):
    """Committed rows are there, rolled back ones are not; a large row comes whole."""
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE numbers (n INT PRIMARY KEY, square INT) ENGINE=InnoDB")
        await connection.begin()
        await cursor.executemany(
            "INSERT INTO numbers VALUES (%s, %s)", [(number, number * number) for number in range(2000)]
        )
        await connection.commit()
        await connection.begin()
        await cursor.execute("DELETE FROM numbers")
        await connection.rollback()
        await cursor.execute("SELECT count(*), sum(square) FROM numbers")
        assert await cursor.fetchone() == (2000, sum(number * number for number in range(2000)))
        await cursor.execute("SELECT repeat('x', 3000000)")
        assert len((await cursor.fetchone())[0]) == 3_000_000
    async with pool.acquire() as connection, connection.cursor(aiomysql.SSCursor) as cursor:
        await cursor.execute("SELECT n FROM numbers ORDER BY n")
        assert [row[0] async for row in cursor] == list(range(2000))


async def pooling(pool):
    """Many tasks share few connections."""

    async def work(number):
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT square FROM numbers WHERE n = %s", (number,))
            return (await cursor.fetchone())[0]

    assert await asyncio.gather(*map(work, range(200))) == [number * number for number in range(200)]
    assert pool.size <= 4


async def cancellation(pool):
    """A cancelled query closes its connection; the pool makes another one."""
    async with pool.acquire() as connection, connection.cursor() as cursor:
        query = asyncio.create_task(cursor.execute("SELECT sleep(60)"))
        await asyncio.sleep(0.05)
        query.cancel()
        try:
            await query
        except asyncio.CancelledError:
            pass
        else:
            raise AssertionError("the cancelled query has a result")
        await connection.ensure_closed()
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT 1")
        assert await cursor.fetchone() == (1,)


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    parts = urlsplit(address)
    async with aiomysql.create_pool(
        host=parts.hostname,
        port=parts.port,
        user="tester",
        password="",
        db="test",
        autocommit=True,
        maxsize=4,
    ) as pool:
        await transactions(pool)
        await pooling(pool)
        await cancellation(pool)
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("DROP TABLE numbers")


asyncio.run(main(sys.argv[1]))
