"""asyncpg: transactions, COPY, LISTEN and NOTIFY, cancellation, a pool."""

import asyncio
import io
import os
import sys

import asyncpg


async def transactions(connection):
    """What a transaction wrote is there if it ended well, and is not if it did not."""
    await connection.execute("CREATE TEMP TABLE numbers (n int PRIMARY KEY, square int)")
    async with connection.transaction():
        await connection.executemany("INSERT INTO numbers VALUES ($1, $2)", [(n, n * n) for n in range(100)])
        try:
            async with connection.transaction():  # a savepoint
                await connection.execute("DELETE FROM numbers")
                await connection.execute("INSERT INTO numbers VALUES (1, 1), (1, 1)")
        except asyncpg.UniqueViolationError:
            pass
    assert await connection.fetchval("SELECT sum(square) FROM numbers") == 328350
    async with connection.transaction():
        cursor = connection.cursor("SELECT n FROM numbers ORDER BY n", prefetch=7)
        assert [record["n"] async for record in cursor] == list(range(100))


async def copying(connection):
    """COPY in both directions, more than a socket's buffer at once."""
    rows = [(n, n * n) for n in range(100, 30_000)]
    await connection.copy_records_to_table("numbers", records=rows)
    out = io.BytesIO()
    await connection.copy_from_query("SELECT * FROM numbers ORDER BY n", output=out, format="csv")
    assert out.getvalue().splitlines() == [b"%d,%d" % (n, n * n) for n in range(30_000)]
    size = await connection.fetchval("SELECT length($1::bytea)", bytes(3_000_000))
    assert size == 3_000_000
    assert len(await connection.fetchval("SELECT repeat('x', 3000000)")) == 3_000_000


async def notifications(connection, other):
    """NOTIFY of another connection reaches the listener while nothing else happens on its own."""
    heard = asyncio.Queue()
    await connection.add_listener("news", lambda *arguments: heard.put_nowait(arguments[2:]))
    for number in range(10):
        await other.execute("SELECT pg_notify('news', $1)", str(number))
    assert [await heard.get() for _ in range(10)] == [("news", str(number)) for number in range(10)]
    await connection.reset()


async def cancellation(pool):
    """A cancelled query is cancelled at the server, and its connection does the next one."""
    async with pool.acquire() as connection:
        pid = connection.get_server_pid()
        query = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        await until_seen(pool, pid)
        query.cancel()
        try:
            await query
        except asyncio.CancelledError:
            pass
        else:
            raise AssertionError("the cancelled query has a result")
        assert await connection.fetchval("SELECT 1") == 1
        assert connection.get_server_pid() == pid
        try:
            await connection.execute("SELECT pg_sleep(60)", timeout=0.05)
        except TimeoutError:
            pass
        else:
            raise AssertionError("a time limit that was over did nothing")
        assert await connection.fetchval("SELECT 2") == 2


async def until_seen(pool, pid):
    """Wait until the server runs the query of a connection."""
    async with asyncio.timeout(30):
        while not await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", pid
        ):
            await asyncio.sleep(0.01)


async def pooling(pool):
    """Many tasks share few connections; some of them are cancelled while they wait for one."""

    async def work(number):
        async with pool.acquire(timeout=30) as connection, connection.transaction():
            return await connection.fetchval("SELECT $1::int * 2", number)

    tasks = [asyncio.create_task(work(number)) for number in range(200)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for number, result in enumerate(results):
        if number % 3:
            assert result == number * 2
        else:
            assert isinstance(result, asyncio.CancelledError)
    assert pool.get_size() <= 4
    assert pool.get_idle_size() == pool.get_size()


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    async with asyncpg.create_pool(address, min_size=2, max_size=4) as pool:
        async with pool.acquire() as connection, pool.acquire() as other:
            await transactions(connection)
            await copying(connection)
            await notifications(connection, other)
        await cancellation(pool)
        await pooling(pool)


asyncio.run(main(sys.argv[1]))
