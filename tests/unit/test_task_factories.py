"""The tasks that the loop makes itself, as a task factory or a replaced `create_task` sees them."""

import asyncio
import socket
import sys

import pytest

from tests.unit import tls

HOST = "127.0.0.1"
ACCEPTED = "BaseSelectorEventLoop._accept_connection2"
RESOLVED = "BaseEventLoop._create_server_getaddrinfo"


@pytest.fixture
def seen(impl, loop):
    """Let a factory make the tasks of the loop, and give the names of their coroutines."""
    names = []

    def factory(loop, coroutine, **options):
        names.append(coroutine.__qualname__)
        return impl.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(factory)
    yield names
    loop.set_task_factory(None)


class Echo(asyncio.Protocol):
    """Sends back what it gets, and tells in which task it was made."""

    made_in = None

    def __init__(self):
        type(self).made_in = asyncio.current_task()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def talk(impl, server, **options):
    """Connect to a server and give what comes back."""
    reader, writer = await impl.open_connection(*server.sockets[0].getsockname()[:2], **options)
    writer.write(b"hello")
    data = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return data


def test_connections_that_are_accepted(impl, loop, run, seen):
    async def main():
        async with await loop.create_server(Echo, HOST, 0) as server:
            assert await talk(impl, server) == b"hello"
            assert await talk(impl, server) == b"hello"

    run(main())
    assert seen.count(ACCEPTED) == 2
    assert seen.count(RESOLVED) == 1


def test_the_protocol_is_made_in_the_task(impl, loop, run, seen):
    async def main():
        async with await loop.create_server(Echo, HOST, 0) as server:
            await talk(impl, server)

    run(main())
    assert Echo.made_in.get_coro().__qualname__ == ACCEPTED


def test_a_handshake_is_waited_for_in_the_same_task(impl, loop, run, seen):
    server_side, client_side = tls.server_context(), tls.client_context()

    async def main():
        async with await loop.create_server(Echo, HOST, 0, ssl=server_side) as server:
            assert await talk(impl, server, ssl=client_side, server_hostname="localhost") == b"hello"

    run(main())
    assert seen.count(ACCEPTED) == 1


def test_each_host_of_a_server(loop, run, seen):
    async def main():
        (await loop.create_server(Echo, [HOST, "127.0.0.2", "127.0.0.3"], 0)).close()

    run(main())
    assert seen.count(RESOLVED) == 3


def test_a_host_that_is_not_found(loop, run, seen):
    async def main():
        with pytest.raises(OSError):
            await loop.create_server(Echo, "does-not-exist.invalid", 0)

    run(main())


# asyncio leaves the connection open.
@pytest.mark.yibu_only
def test_a_protocol_that_cannot_be_made(impl, loop, run, seen):
    reports = []
    loop.set_exception_handler(lambda _loop, report: reports.append(report["message"]))
    loop.set_debug(True)

    async def main():
        async with await loop.create_server(lambda: 1 / 0, HOST, 0) as server:
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()

    run(main())
    assert reports == ["Error on transport creation for incoming connection"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_eager_tasks(impl, loop, run):
    loop.set_task_factory(impl.eager_task_factory)

    async def main():
        async with await loop.create_server(Echo, HOST, 0) as server:
            assert await talk(impl, server) == b"hello"

    run(main())
    loop.set_task_factory(None)


def test_create_task_replaced_on_the_base_of_loops(impl, loop, run, monkeypatch):
    names, original = [], asyncio.BaseEventLoop.create_task

    def create_task(self, coroutine, **options):
        names.append(coroutine.__qualname__)
        return original(self, coroutine, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_task", create_task)

    async def main():
        async with await loop.create_server(Echo, HOST, 0) as server:
            assert await talk(impl, server) == b"hello"

    run(main())
    assert names.count(ACCEPTED) == 1


def test_connections_of_a_socket_class_of_the_program(impl, loop, run, seen):
    class Counted(socket.socket):
        accepted = 0

        def accept(self):
            accepted = super().accept()
            Counted.accepted += 1
            return accepted

    async def main():
        with Counted(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.bind((HOST, 0))
            async with await loop.create_server(Echo, sock=listening) as server:
                assert await talk(impl, server) == b"hello"

    run(main())
    assert Counted.accepted == seen.count(ACCEPTED) == 1


# asyncio leaves the connection open.
@pytest.mark.yibu_only
def test_a_factory_that_fails(impl, loop, run):
    """The server lives on."""
    reports = []
    loop.set_exception_handler(lambda _loop, report: reports.append(report["exception"]))

    def factory(loop, coroutine, **options):
        if coroutine.__qualname__ == ACCEPTED and not reports:
            coroutine.close()
            raise ZeroDivisionError
        return impl.Task(coroutine, loop=loop, **options)

    async def main():
        async with await loop.create_server(Echo, HOST, 0) as server:
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()
            assert await talk(impl, server) == b"hello"

    loop.set_task_factory(factory)
    run(main())
    loop.set_task_factory(None)
    assert [type(error) for error in reports] == [ZeroDivisionError]
