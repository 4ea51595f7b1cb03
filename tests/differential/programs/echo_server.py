"""A TCP server and clients with streams and with protocols: the order of what each side is told."""

import asyncio

log = []


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        log.append("server made")

    def data_received(self, data):
        log.append(f"server data {data!r}")
        self.transport.write(data.upper())

    def eof_received(self):
        log.append("server eof")
        self.transport.write(b"BYE")

    def connection_lost(self, error):
        log.append(f"server lost {error!r}")
        lost.set()


class Client(asyncio.Protocol):
    def __init__(self):
        self.data = b""
        self.changed = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        log.append("client made")

    def data_received(self, data):
        self.data += data
        self.changed.set()

    def connection_lost(self, error):
        self.lost.set_result(error)

    async def until(self, data):
        while self.data != data:
            self.changed.clear()
            await self.changed.wait()
        log.append(f"client data {data!r}")


async def main():
    global lost  # noqa: PLW0603
    lost = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, client = await loop.create_connection(Client, "127.0.0.1", port)
    transport.write(b"one")
    await client.until(b"ONE")
    transport.writelines([b"two", b"three"])
    await client.until(b"ONETWOTHREE")
    transport.write_eof()
    await client.until(b"ONETWOTHREEBYE")
    log.append(f"client lost {await client.lost!r}")
    await lost.wait()
    server.close()
    await server.wait_closed()
    log.append(f"{transport.is_closing()} {server.is_serving()} {server.sockets}")

    async def serve(reader, writer):
        async for line in reader:
            writer.write(b"> " + line)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        log.append("stream server done")

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"first\nsecond\n")
        log.append(await reader.readline())
        log.append(await reader.readexactly(5))
        writer.write(b"third")
        writer.write_eof()
        log.append(await reader.readuntil(b"\n"))
        log.append(await reader.read())
        log.append(reader.at_eof())
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0)


asyncio.run(main())
print(*log, sep="\n")
