"""Paths through transports and protocols: what a protocol may do with its transport, and how that may fail.

`programs` has the paths that most programs take.
"""

import asyncio
import contextlib
import io
import os
import socket
import subprocess
import sys

from tests.leaks.programs import cancelled, path, say


class Told(asyncio.Protocol):
    """Answers to `connection_lost`; `action` is called with the transport at each piece of data."""

    def __init__(self, action=None):
        self.action = action
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.action is not None:
            self.action(self.transport)

    def connection_lost(self, error):
        self.lost.set_result(None)


class Buffered(asyncio.BufferedProtocol):
    def __init__(self):
        self.buffer = bytearray(100)
        self.received = asyncio.get_running_loop().create_future()

    def get_buffer(self, size):
        return self.buffer

    def buffer_updated(self, count):
        if not self.received.done():
            self.received.set_result(count)


def failing_factory():
    raise ZeroDivisionError


def fail(transport):
    raise ZeroDivisionError


@contextlib.contextmanager
def pair(kind=socket.SOCK_STREAM):
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    for end in (near, far):
        end.setblocking(False)
    with near, far:
        yield near, far


async def connected(near, protocol):
    return await asyncio.get_running_loop().create_connection(protocol, sock=near)


@path
async def protocols_that_end_it(place):
    for action in (lambda transport: transport.close(), lambda transport: transport.abort(), fail):
        with pair() as (near, far):
            _, protocol = await connected(near, lambda action=action: Told(action))
            far.send(b"x")
            await protocol.lost


@path
async def buffered_protocols(place):
    loop = asyncio.get_running_loop()
    for arguments in ({}, {"ssl": place.client_context, "server_hostname": "localhost"}):
        port = place.tls_port if arguments else place.port
        transport, protocol = await loop.create_connection(Buffered, "127.0.0.1", port, **arguments)
        transport.write(b"x" * 50)
        await protocol.received
        transport.abort()


@path
async def factories_that_fail(place):
    loop = asyncio.get_running_loop()
    for start in (
        loop.create_connection(failing_factory, "127.0.0.1", place.port),
        loop.create_unix_connection(failing_factory, place.unix),
        loop.create_datagram_endpoint(failing_factory, local_addr=("127.0.0.1", 0)),
    ):
        with contextlib.suppress(ZeroDivisionError):
            await start


@path
async def what_a_slow_peer_leaves(place):
    with pair() as (near, _):
        transport, protocol = await connected(near, Told)
        transport.write(b"x" * 1_000_000)
        transport.writelines([b"y" * 1000] * 20)
        transport.pause_reading()
        transport.resume_reading()
        transport.abort()
        await protocol.lost


@path
async def ends_of_a_direction(place):
    with pair() as (near, far):
        transport, protocol = await connected(near, Told)
        transport.write_eof()
        far.close()
        await protocol.lost


@path
async def resets(place):
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, protocol = await loop.create_connection(Told, *listener.getsockname())
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        peer.close()
        await protocol.lost


@path
async def accepted_sockets(place):
    loop = asyncio.get_running_loop()
    with pair() as (near, _):
        transport, protocol = await loop.connect_accepted_socket(Told, near)
        transport.set_protocol(transport.get_protocol())
        transport.close()
        await protocol.lost


@path
async def datagrams_of_unix_sockets(place):
    loop = asyncio.get_running_loop()
    with pair(socket.SOCK_DGRAM) as (near, far):
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=near)
        transport.sendto(b"x")
        far.send(b"y")
        far.recv(1)
        far.close()
        transport.sendto(b"x")
        await asyncio.sleep(0)
        transport.abort()
        await asyncio.sleep(0)


@path
async def datagram_sockets(place):
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as near:
        near.setblocking(False)
        near.bind(("127.0.0.1", 0))
        await loop.sock_sendto(near, b"x", near.getsockname())
        await loop.sock_recvfrom(near, 9)
        await loop.sock_sendto(near, b"x", near.getsockname())
        await loop.sock_recvfrom_into(near, bytearray(9))
        await cancelled(loop.sock_recvfrom(near, 9))


@path
async def socket_methods(place):
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        await cancelled(loop.sock_accept(listener))
        with socket.create_connection(listener.getsockname()) as near:
            near.setblocking(False)
            far, _ = await loop.sock_accept(listener)
            with far:
                await loop.sock_sendall(near, b"x")
                await loop.sock_recv_into(far, bytearray(9))
                await loop.sock_sendfile(near, io.BytesIO(b"xyz"), fallback=True)
                with place.file.open("rb") as file:
                    await loop.sock_sendfile(near, file, 10, 100)
                near.shutdown(socket.SHUT_WR)
                await cancelled(loop.sock_sendall(far, bytes(10_000_000)))


@path
async def watched_descriptors(place):
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        readable = loop.create_future()
        loop.add_writer(near, int)
        loop.add_reader(near, lambda: readable.done() or readable.set_result(None))
        far.send(b"x")
        await readable
        loop.remove_reader(near)
        loop.remove_writer(near)


@path
async def files_by_copying(place):
    for arguments in ({}, {"ssl": place.client_context, "server_hostname": "localhost"}):
        port = place.tls_port if arguments else place.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **arguments)
        with place.file.open("rb") as file:
            await asyncio.get_running_loop().sendfile(writer.transport, file, 5, 50_000)
        await asyncio.get_running_loop().sendfile(writer.transport, io.BytesIO(b"x" * 1000))
        assert len(await reader.readexactly(51_000)) == 51_000
        await say(reader, writer)


@path
async def streams(place):
    reader, writer = await asyncio.open_unix_connection(place.unix, limit=20)
    writer.writelines([b"line\n", b"a longer line than fits there\n"])
    await writer.drain()
    await reader.readline()
    with contextlib.suppress(ValueError):
        await reader.readline()
    await cancelled(reader.readexactly(1000))
    writer.close()
    await writer.wait_closed()
    with contextlib.suppress(asyncio.IncompleteReadError):
        await reader.readuntil(b"?")


@path
async def handshakes_that_fail(place):
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        far.send(b"no record of TLS")
        with contextlib.suppress(OSError):
            await loop.create_connection(
                asyncio.Protocol, sock=near, ssl=place.client_context, server_hostname="localhost"
            )
    for turns in range(4):
        start = asyncio.ensure_future(
            asyncio.open_connection("localhost", place.tls_port, ssl=place.client_context)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait([start])


@path
async def aborted_tls(place):
    _, writer = await asyncio.open_connection("localhost", place.tls_port, ssl=place.client_context)
    writer.write(b"x" * 100_000)
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@path
async def pipes_that_break(place):
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    os.close(reading)
    transport, protocol = await loop.connect_write_pipe(Told, os.fdopen(writing, "wb", 0))
    transport.write(b"x")
    await protocol.lost


@path
async def child_processes(place):
    process = await asyncio.create_subprocess_exec(
        "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert await process.communicate(b"x") == (b"x", None)
    shell = await asyncio.create_subprocess_shell("exit 3")
    assert await shell.wait() == 3
    with contextlib.suppress(FileNotFoundError):
        await asyncio.create_subprocess_exec(f"{sys.prefix}/no/such/program")


@path
async def child_processes_that_are_killed(place):
    process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    await cancelled(process.communicate())
    process.kill()
    await process.wait()
    await cancelled(asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE))
