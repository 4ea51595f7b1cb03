"""Row "streams": open_connection, start_server, StreamReader and StreamWriter."""

import contextlib

import pytest

from tests.seeds.handlers import Handlers


def talk(aio, handler, client, **options):
    """Run `client(reader, writer)` against a server with `handler`; return what the client returns."""

    async def main():
        handlers = Handlers(handler)
        async with await aio.start_server(handlers, "127.0.0.1", 0, **options) as server:
            reader, writer = await aio.open_connection(*server.sockets[0].getsockname(), **options)
            try:
                return await client(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                await handlers.ended()

    return aio.run(main())


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()


def answering(data):
    """Return a handler that sends `data` and closes."""

    async def handler(reader, writer):
        writer.write(data)
        await writer.drain()

    return handler


def test_echo(aio):
    async def client(reader, writer):
        writer.write(b"hello")
        await writer.drain()
        assert writer.get_extra_info("peername")[0] == "127.0.0.1"
        return await reader.readexactly(5)

    assert talk(aio, echo, client) == b"hello"


def test_reading(aio):
    async def client(reader, writer):
        return [
            await reader.readline(),
            await reader.readexactly(3),
            await reader.readuntil(b";"),
            await reader.read(2),
            await reader.read(),
            await reader.read(),
            reader.at_eof(),
        ]

    results = talk(aio, answering(b"line\nabcupto;xyrest of it"), client)
    assert results == [b"line\n", b"abc", b"upto;", b"xy", b"rest of it", b"", True]


def test_async_for_over_lines(aio):
    async def client(reader, writer):
        return [line async for line in reader]

    assert talk(aio, answering(b"one\ntwo\nthree"), client) == [b"one\n", b"two\n", b"three"]


def test_incomplete_read(aio):
    async def client(reader, writer):
        with pytest.raises(aio.IncompleteReadError) as caught:
            await reader.readexactly(100)
        return caught.value.partial, caught.value.expected

    assert talk(aio, answering(b"short"), client) == (b"short", 100)


def test_limit_overrun(aio):
    async def client(reader, writer):
        with pytest.raises(aio.LimitOverrunError):
            await reader.readuntil(b"\n")
        with pytest.raises(ValueError):
            await reader.readline()

    talk(aio, answering(b"x" * 1000), client, limit=100)


def test_writelines_and_write_eof(aio):
    async def upper(reader, writer):
        writer.write((await reader.read()).upper())

    async def client(reader, writer):
        writer.writelines([b"a", b"b", b"c"])
        assert writer.can_write_eof()
        writer.write_eof()
        return await reader.read()

    assert talk(aio, upper, client) == b"ABC"


def test_drain_waits_for_a_slow_reader(aio):
    size = 4_000_000

    async def client(reader, writer):
        writer.write(bytes(size))
        draining = aio.create_task(writer.drain())
        await aio.sleep(0)
        waited = not draining.done()
        received = 0
        while received < size:
            received += len(await reader.read(1 << 16))
        await draining
        return waited, received

    assert talk(aio, echo, client) == (True, size)


def test_many_streams(aio):
    async def main():
        handlers = Handlers(echo)
        server = await aio.start_server(handlers, "127.0.0.1", 0, backlog=128)
        address = server.sockets[0].getsockname()

        async def client(number):
            reader, writer = await aio.open_connection(*address)
            for step in range(5):
                writer.write(b"%d-%d\n" % (number, step))
                assert await reader.readline() == b"%d-%d\n" % (number, step)
            writer.close()
            await writer.wait_closed()
            return number

        async with server:
            results = await aio.gather(*[client(number) for number in range(100)])
            await handlers.ended()
        return results

    assert aio.run(main()) == list(range(100))


def test_connection_lost_while_reading(aio):
    async def handler(reader, writer):
        writer.transport.abort()

    async def client(reader, writer):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""

    assert talk(aio, handler, client) == b""


def test_a_failing_handler_is_reported(aio):
    async def main():
        reports = []
        aio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

        async def fail(reader, writer):
            writer.close()
            raise ZeroDivisionError

        async with await aio.start_server(fail, "127.0.0.1", 0) as server:
            reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
            await reader.read()
            while not reports:
                await aio.sleep(0)
            writer.close()
            await writer.wait_closed()
        return reports[0]["message"], type(reports[0]["exception"])

    message, kind = aio.run(main())
    assert message.startswith("Unhandled exception in client_connected_cb")
    assert kind is ZeroDivisionError
