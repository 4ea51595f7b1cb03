"""psycopg's asynchronous connections, which wait by `add_reader` and `add_writer`."""

import asyncio
import os
import sys

import psycopg


async def work(address):
    """Transactions, COPY in both directions, a server-side cursor, a pipeline."""
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        await connection.execute("CREATE TEMP TABLE numbers (n int PRIMARY KEY)")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO numbers VALUES (1)")
                await connection.execute("INSERT INTO numbers VALUES (1)")
        except psycopg.errors.UniqueViolation:
            pass
        async with connection.cursor() as cursor:
            async with cursor.copy("COPY numbers FROM STDIN") as copy:
                for number in range(20_000):
                    await copy.write_row((number,))
            async with cursor.copy("COPY (SELECT n FROM numbers ORDER BY n) TO STDOUT") as copy:
                copy.set_types(["int4"])
                assert [row[0] async for row in copy.rows()] == list(range(20_000))
        async with connection.transaction(), connection.cursor("server_side") as cursor:
            await cursor.execute("SELECT n FROM numbers ORDER BY n")
            assert await cursor.fetchmany(3) == [(0,), (1,), (2,)]
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int", (number,)) for number in range(50)]
        assert [(await cursor.fetchone())[0] for cursor in cursors] == list(range(50))


async def notifications(address):
    """The generator of notifications gets what another connection sends."""
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as listener:
        await listener.execute("LISTEN psycopg")
        async with await psycopg.AsyncConnection.connect(address, autocommit=True) as other:
            for number in range(5):
                await other.execute("SELECT pg_notify('psycopg', %s)", (str(number),))
        heard = [notice.payload async for notice in listener.notifies(stop_after=5, timeout=30)]
        assert heard == ["0", "1", "2", "3", "4"], heard


async def cancellation(address):
    """A cancelled task cancels its query at the server, and the connection does the next one."""
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
        query = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.05)
        query.cancel()
        try:
            await query
        except asyncio.CancelledError:
            pass
        else:
            raise AssertionError("the cancelled query has a result")
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    await asyncio.gather(*(work(address) for _ in range(3)), notifications(address), cancellation(address))


asyncio.run(main(sys.argv[1]))
