"""Both ends of a connection in one loop, on a socket pair: messages by protocols, streams and TLS."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from benchmarks.contenders import Namespace
from benchmarks.micro.catalogue import benchmark

MESSAGE = b"x" * 64
CERTIFICATE = Path(__file__).parent.parent / "net" / "localhost.pem"


@contextlib.asynccontextmanager
async def _connected(
    asyncio: Namespace, served: Callable[[], Any], client: Callable[[], Any], *, tls: bool = False
) -> AsyncIterator[Any]:
    """Connect the two protocols, and close what connects them afterwards."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    there: dict[str, Any] = {}
    here: dict[str, Any] = {}
    if tls:
        there["ssl"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        there["ssl"].load_cert_chain(CERTIFICATE)
        here["ssl"] = ssl.create_default_context(cafile=str(CERTIFICATE))
        here["server_hostname"] = "localhost"
    accepting = asyncio.ensure_future(loop.connect_accepted_socket(served, left, **there))
    transport, protocol = await loop.create_connection(client, sock=right, **here)
    other, _ = await accepting
    try:
        yield protocol
    finally:
        transport.close()
        other.close()
        await asyncio.sleep(0.001)


def _echoing(asyncio: Namespace) -> type:
    class Echo(asyncio.Protocol):
        """Sends back what it gets."""

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    return Echo


def _asking(asyncio: Namespace, count: int) -> type:
    class Client(asyncio.Protocol):
        """Sends a message and, when it is back, the next one."""

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.done = asyncio.get_running_loop().create_future()
            self.remaining = count

        def start(self) -> None:
            self.transport.write(MESSAGE)

        def data_received(self, data: bytes) -> None:
            self.remaining -= 1
            if self.remaining:
                self.transport.write(data)
            else:
                self.done.set_result(None)

    return Client


@benchmark("protocols, 64 B there and back", count=3_000)
async def protocols(asyncio: Namespace, count: int) -> None:
    """`data_received` and `write` on both ends."""
    async with _connected(asyncio, _echoing(asyncio), _asking(asyncio, count)) as client:
        client.start()
        await client.done


@benchmark("protocols with TLS, 64 B there and back", count=1_000)
async def protocols_with_tls(asyncio: Namespace, count: int) -> None:
    """The same, encrypted; the handshake is in the figure once."""
    async with _connected(asyncio, _echoing(asyncio), _asking(asyncio, count), tls=True) as client:
        client.start()
        await client.done


@benchmark("streams, 64 B there and back", count=2_000)
async def streams(asyncio: Namespace, count: int) -> None:
    """`readexactly`, `write` and `drain` on both ends."""
    left, right = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=left)
    other_reader, other_writer = await asyncio.open_connection(sock=right)

    async def answers() -> None:
        for _ in range(count):
            other_writer.write(await other_reader.readexactly(len(MESSAGE)))
            await other_writer.drain()

    other = asyncio.ensure_future(answers())
    for _ in range(count):
        writer.write(MESSAGE)
        await writer.drain()
        await reader.readexactly(len(MESSAGE))
    await other
    for each in (writer, other_writer):
        each.close()
        await each.wait_closed()
