"""websockets: an echo server and its clients, pings, a broadcast, large messages, closing from both sides."""

import asyncio
import os

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve


async def main():
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    everybody = set()

    async def echo(connection):
        if connection.request.path == "/news":
            everybody.add(connection)
            await connection.wait_closed()
            return
        async for message in connection:
            if message == "leave":
                await connection.close(4000, "as asked")
                return
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        async def talk(name):
            async with connect(address, max_size=None) as connection:
                for number in range(50):
                    await connection.send(f"{name} {number}")
                    assert await connection.recv() == f"{name} {number}"
                await (await connection.ping())
                large = bytes(range(256)) * 10_000
                await connection.send(large)
                assert await connection.recv() == large
                await connection.send(["a", "b", "c"])  # in fragments
                assert await connection.recv() == "abc"
                await connection.send("leave")
                try:
                    await connection.recv()
                except websockets.ConnectionClosedError as error:
                    assert error.rcvd.code == 4000
                else:
                    raise AssertionError("the server has not left")

        await asyncio.gather(*map(talk, range(10)))

        async with connect(f"{address}/news") as first, connect(f"{address}/news") as second:
            async with asyncio.timeout(30):
                while len(everybody) < 2:
                    await asyncio.sleep(0.001)
            waiting = asyncio.create_task(first.recv())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            for number in range(20):
                broadcast(everybody, str(number))
            for connection in first, second:
                assert [await connection.recv() for _ in range(20)] == [str(n) for n in range(20)]


asyncio.run(main())
