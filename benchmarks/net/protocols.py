"""The servers that every contender runs: the same few lines in each style asyncio offers."""

import asyncio as stock
import contextlib
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any, cast

from benchmarks.contenders import Namespace

#: Bytes in a message of the framed server.
FRAME_BYTES = 64
READ_BYTES = 64 * 1024
#: Bytes in the body of a request, as `echo/src/message.rs` makes them.
BODY_BYTES = 64
#: A key, and the certificate that it signed itself.
CERTIFICATE = Path(__file__).with_name("localhost.pem")


class Echo(stock.Protocol):
    """Sends back what has arrived, in one write."""

    transport: stock.Transport

    def connection_made(self, transport: stock.BaseTransport) -> None:
        """Keep the transport, as every protocol does."""
        self.transport = cast(stock.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(data)


class FramedEcho(stock.Protocol):
    """Sends back every message of `FRAME_BYTES` in a write of its own, as a pipelining server does."""

    transport: stock.Transport

    def connection_made(self, transport: stock.BaseTransport) -> None:
        """Keep the transport and begin with no part of a message."""
        self.transport = cast(stock.Transport, transport)
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer every message that is complete."""
        if self.rest:
            data = self.rest + data
        end = len(data) - len(data) % FRAME_BYTES
        for start in range(0, end, FRAME_BYTES):
            self.transport.write(data[start : start + FRAME_BYTES])
        self.rest = data[end:]


class BufferedEcho(stock.BufferedProtocol):
    """Sends back what has arrived, received into a buffer of the protocol's own."""

    transport: stock.Transport

    def connection_made(self, transport: stock.BaseTransport) -> None:
        """Keep the transport and make the buffer."""
        self.transport = cast(stock.Transport, transport)
        self.buffer = memoryview(bytearray(READ_BYTES))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer the whole buffer."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answer with a copy: the buffer is overwritten before a full socket takes it."""
        self.transport.write(bytes(self.buffer[:nbytes]))


class SocketServer:
    """Accepts and answers with the loop's `sock_*` methods, without transports."""

    def __init__(self, asyncio: Namespace, where: dict[str, Any]) -> None:
        listener = socket.create_server((where["host"], where["port"]), backlog=where["backlog"])
        listener.setblocking(False)
        self.asyncio = asyncio
        self.sockets = [listener]
        self.tasks = {asyncio.create_task(self._accept())}

    async def _accept(self) -> None:
        loop = self.asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self.sockets[0])
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self.asyncio.create_task(self._serve(connection))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        loop = self.asyncio.get_running_loop()
        with connection:
            while data := await loop.sock_recv(connection, READ_BYTES):
                await loop.sock_sendall(connection, data)


async def listen(asyncio: Namespace, style: str) -> Any:
    """Start the server of one style on a free port of the loopback interface."""
    where: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "backlog": 4096}
    if style.startswith("busy "):
        style = style.removeprefix("busy ")
        threading.Thread(target=compute, daemon=True).start()
    if style.startswith("unix "):
        return await _listen_on_unix(asyncio, style.removeprefix("unix "))
    if style.startswith("tls "):
        style = style.removeprefix("tls ")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE)
        where["ssl"] = context
    if connected := _STREAMS.get(style):
        return await asyncio.start_server(connected, **where)
    if style == "sockets":
        return SocketServer(asyncio, where)
    return await asyncio.get_running_loop().create_server(_PROTOCOLS[style], **where)


def compute() -> None:
    """Use the interpreter as long as it lets this thread have it."""
    number = 1
    while True:
        number = (number * 48_271) % 2_147_483_647


async def _listen_on_unix(asyncio: Namespace, style: str) -> Any:
    where: dict[str, Any] = {"path": unix_path(os.getpid()), "backlog": 4096}
    if connected := _STREAMS.get(style):
        return await asyncio.start_unix_server(connected, **where)
    return await asyncio.get_running_loop().create_unix_server(_PROTOCOLS[style], **where)


def unix_path(number: int) -> str:
    """The abstract address under which `benchmarks/echo` finds a server by a number."""
    return f"\0yibu-benchmark-{number}"


async def _stream_echo(reader: Any, writer: Any) -> None:
    while data := await reader.read(READ_BYTES):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _line_echo(reader: Any, writer: Any) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def _request_echo(reader: Any, writer: Any) -> None:
    with contextlib.suppress(stock.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(BODY_BYTES)
            writer.write(head + body)
            await writer.drain()
    writer.close()


_PROTOCOLS: dict[str, Any] = {"protocol": Echo, "framed": FramedEcho, "buffered": BufferedEcho}
_STREAMS = {"streams": _stream_echo, "line streams": _line_echo, "request streams": _request_echo}
