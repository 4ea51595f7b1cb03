"""One coroutine for each path through the API. Doing it once more must leave nothing behind.

Each gets a `Place`: servers to talk to, and addresses where nobody answers.
"""

import asyncio
import contextlib
import contextvars
import os
import signal
import socket
import ssl
import tempfile
from pathlib import Path

CERTIFICATE = Path(__file__).parents[1] / "unit" / "localhost.pem"

PATHS = {}


def path(function):
    PATHS[function.__name__] = function
    return function


async def echo(reader, writer):
    try:
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Place:
    """What the paths need, made once."""

    async def __aenter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "file"
        self.file.write_bytes(b"x" * 100_000)
        self.unix = str(Path(self.folder.name) / "echo")
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(CERTIFICATE)
        self.client_context = ssl.create_default_context(cafile=CERTIFICATE)
        self.stranger_context = ssl.create_default_context()
        self.servers = [
            await asyncio.start_server(echo, "127.0.0.1", 0),
            await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context),
            await asyncio.start_unix_server(echo, self.unix),
        ]
        self.port, self.tls_port = (server.sockets[0].getsockname()[1] for server in self.servers[:2])
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.dead_port = unused.getsockname()[1]
        return self

    async def __aexit__(self, *_):
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        self.folder.cleanup()


async def say(reader, writer):
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def cancelled(awaitable):
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def failing():
    await asyncio.sleep(0)
    raise ValueError


@path
async def servers_by_address(place):
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    server.close()
    await server.wait_closed()


@path
async def servers_by_name(place):
    server = await asyncio.start_server(echo, "localhost", 0)
    server.close()
    await server.wait_closed()


@path
async def servers_that_serve(place):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    await cancelled(server.serve_forever())


@path
async def connections(place):
    await say(*await asyncio.open_connection("127.0.0.1", place.port))


@path
async def connections_from_an_address(place):
    await say(*await asyncio.open_connection("127.0.0.1", place.port, local_addr=("127.0.0.1", 0)))


@path
async def connections_with_delay(place):
    await say(*await asyncio.open_connection("localhost", place.port, happy_eyeballs_delay=0.1))


@path
async def connections_refused(place):
    with contextlib.suppress(OSError):
        await asyncio.open_connection("127.0.0.1", place.dead_port)


@path
async def connections_cancelled(place):
    await cancelled(asyncio.open_connection("127.0.0.1", place.port))


@path
async def connections_over_unix(place):
    await say(*await asyncio.open_unix_connection(place.unix))


@path
async def connections_over_tls(place):
    context = place.client_context
    await say(*await asyncio.open_connection("localhost", place.tls_port, ssl=context))


@path
async def handshakes_refused(place):
    with contextlib.suppress(OSError):
        await asyncio.open_connection("127.0.0.1", place.tls_port, ssl=place.stranger_context)


@path
async def upgrades(place):
    reader, writer = await asyncio.open_connection("localhost", place.tls_port)
    if hasattr(writer, "start_tls"):
        await writer.start_tls(place.client_context, server_hostname="localhost")
        await say(reader, writer)
    else:
        writer.close()


@path
async def datagrams(place):
    loop = asyncio.get_running_loop()
    here, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    address = here.get_extra_info("sockname")
    there, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
    there.sendto(b"x")
    await asyncio.sleep(0)
    here.close()
    there.close()
    await asyncio.sleep(0)


@path
async def sockets(place):
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", place.port))
        await loop.sock_sendall(connection, b"x")
        await loop.sock_recv(connection, 1)
        await cancelled(loop.sock_recv(connection, 1))


@path
async def names(place):
    loop = asyncio.get_running_loop()
    await loop.getaddrinfo("localhost", 80)
    await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)


@path
async def pipes(place):
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    reader, _ = await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb", 0))
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
    writer.write(b"x")
    writer.close()
    reader.close()
    await asyncio.sleep(0)


@path
async def files(place):
    reader, writer = await asyncio.open_unix_connection(place.unix)
    with place.file.open("rb") as file:
        await asyncio.get_running_loop().sendfile(writer.transport, file)
    await say(reader, writer)


@path
async def threads(place):
    await asyncio.to_thread(int)
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon_threadsafe(future.set_result, 1)
    await future


@path
async def calls(place):
    loop = asyncio.get_running_loop()
    loop.call_soon(int, context=contextvars.copy_context())
    loop.call_later(0, int)
    loop.call_later(9, int).cancel()
    await asyncio.sleep(0)


@path
async def tasks(place):
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0))])
    for awaitable in asyncio.as_completed([asyncio.sleep(0), asyncio.sleep(0)]):
        await awaitable
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
    await cancelled(asyncio.shield(asyncio.sleep(0)))


@path
async def failures(place):
    await asyncio.gather(failing(), failing(), return_exceptions=True)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
    except ExceptionGroup:
        pass


@path
async def time_limits(place):
    for limited in (asyncio.wait_for(asyncio.sleep(9), 0), asyncio.wait_for(asyncio.sleep(9), 0.001)):
        with contextlib.suppress(TimeoutError):
            await limited
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(9)
    except TimeoutError:
        pass


@path
async def primitives(place):
    lock, condition, event, barrier = asyncio.Lock(), asyncio.Condition(), asyncio.Event(), asyncio.Barrier(1)
    async with lock, condition, asyncio.Semaphore():
        await barrier.wait()
        await cancelled(lock.acquire())
        await cancelled(event.wait())
    event.set()
    await event.wait()


@path
async def queues(place):
    queue = asyncio.PriorityQueue(1)
    await cancelled(queue.get())
    queue.put_nowait(1)
    await cancelled(queue.put(2))
    await queue.get()


@path
async def signals(place):
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, int)
    loop.remove_signal_handler(signal.SIGUSR1)


@path
async def generators(place):
    async def numbers():
        yield 1
        yield 2

    async for _ in numbers():
        break
    await asyncio.sleep(0)


@path
async def texts(place):
    loop = asyncio.get_running_loop()
    for thing in (loop, loop.create_future(), asyncio.Queue(), asyncio.current_task(), *place.servers):
        repr(thing)
