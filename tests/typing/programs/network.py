"""Streams, servers, protocols, datagrams and child processes."""

import ssl
from typing import assert_type

import yibu as asyncio


class Echo(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        print(exc)


class Datagrams(asyncio.DatagramProtocol):
    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        print(data, addr)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line: bytes = await reader.readline()
    writer.write(line)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def servers(context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    server: asyncio.Server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=context)
    streams: asyncio.Server = await asyncio.start_server(serve, "127.0.0.1", 0)
    abstract: asyncio.AbstractServer = server
    async with server, streams:
        host, port = server.sockets[0].getsockname()[:2]
        transport, protocol = await loop.create_connection(Echo, host, port)
        assert_type(protocol, Echo)
        transport.close()
        reader, writer = await asyncio.open_connection(host, port)
        assert_type(await reader.readexactly(3), bytes)
        writer.close()
    endpoint, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    endpoint.sendto(b"x")
    print(abstract)


async def yibus_own_loop(loop: asyncio.EventLoop) -> None:
    server: asyncio.Server = await loop.create_server(Echo, "127.0.0.1", 0)
    transport, echo = await loop.create_connection(Echo, "127.0.0.1", 1)
    upgraded: asyncio.Transport | None = await loop.start_tls(
        transport, echo, ssl.create_default_context(), server_hostname="localhost"
    )
    print(server, upgraded)


async def children() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    named: asyncio.subprocess.Process = process
    out, err = await process.communicate(b"x")
    assert_type((out, err), tuple[bytes, bytes])
    print(await named.wait())
