"""aioodbc, which calls the ODBC driver in threads: a pool, transactions, many queries at a time."""

import asyncio
import os
import sys

import aioodbc


async def transactions(pool):
    """Committed rows are there, rolled back ones are not."""
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE numbers_by_odbc (n INTEGER PRIMARY KEY, square INTEGER)")
        await connection.commit()
        for number in range(50):
            await cursor.execute("INSERT INTO numbers_by_odbc VALUES (?, ?)", number, number * number)
        await connection.commit()
        await cursor.execute("DELETE FROM numbers_by_odbc")
        await connection.rollback()
        await cursor.execute("SELECT count(*) FROM numbers_by_odbc")
        assert (await cursor.fetchone())[0] == 50


async def pooling(pool):
    """Many tasks share few connections."""

    async def work(number):
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT square FROM numbers_by_odbc WHERE n = ?", number)
            return (await cursor.fetchone())[0]

    assert await asyncio.gather(*map(work, range(50))) == [number * number for number in range(50)]
    assert pool.size <= 3


async def main(dsn):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    async with aioodbc.create_pool(dsn=dsn, minsize=1, maxsize=3) as pool:
        await transactions(pool)
        await pooling(pool)
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("DROP TABLE numbers_by_odbc")
            await connection.commit()


asyncio.run(main(sys.argv[1]))
