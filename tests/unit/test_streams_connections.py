"""asyncio.streams over TCP and Unix sockets: exchange, servers, backpressure, sockets of ones own."""

import asyncio
import contextlib
import gc
import random
import socket

import pytest

from tests.unit.protocols import LARGE
from tests.unit.streams import alone, closed, echo


class TestExchange:
    def test_both_ways(self, loop, run, net):
        async def main():
            async with await net.serve(echo) as server:
                reader, writer = await net.open(server)
                assert isinstance(reader, net.impl.StreamReader)
                assert isinstance(writer, net.impl.StreamWriter)
                writer.write(b"one\n")
                writer.writelines([b"tw", b"o\n"])
                assert await reader.readline() == b"one\n"
                assert await reader.readexactly(4) == b"two\n"
                assert writer.can_write_eof()
                writer.write_eof()
                assert await reader.read() == b""
                assert reader.at_eof()
                await closed(writer)

        run(main())

    @pytest.mark.parametrize("limit", [1, 1000, 2**16, 2**20])
    @pytest.mark.parametrize("size", [1, 50_000, 500_000])
    def test_of_any_size_with_any_limit(self, loop, run, net, limit, size):
        chance = random.Random(size)
        data = chance.randbytes(size)

        async def main():
            async with await net.serve(echo, limit=limit) as server:
                reader, writer = await net.open(server, limit=limit)

                async def send():
                    left = data
                    while left:
                        count = chance.randrange(1, 100_000)
                        writer.write(left[:count])
                        left = left[count:]
                        await writer.drain()
                    writer.write_eof()

                sending, got = asyncio.ensure_future(send()), b""
                while len(got) < size:
                    count = chance.randrange(1, min(size - len(got), 150_000) + 1)
                    got += await reader.readexactly(count)
                assert got == data
                assert await reader.read() == b""
                await sending
                await closed(writer)

        run(main())

    def test_lines_among_large_pieces(self, loop, run, net):
        chance = random.Random(7)
        lines = [b"x" * chance.choice([0, 10, 60_000]) + b"\n" for _ in range(200)]

        async def main():
            async with await net.serve(echo) as server:
                reader, writer = await net.open(server)
                writer.writelines(lines)
                writer.write_eof()
                assert [line async for line in reader] == lines
                await closed(writer)

        run(main())

    def test_many_at_once(self, loop, run, net):
        async def main():
            async with await net.serve(echo) as server:

                async def client(number):
                    reader, writer = await net.open(server)
                    for size in (1, 100_000, 10):
                        data = bytes([number]) * size
                        writer.write(data)
                        assert await reader.readexactly(size) == data
                    await closed(writer)

                await asyncio.gather(*map(client, range(20)))

        run(main())

    def test_a_large_piece_is_shown(self, loop, run, net):
        """Somebody looks at the buffer between large pieces."""

        async def main():
            async with await net.serve(echo) as server:
                reader, writer = await net.open(server)
                data, got = bytes(range(256)) * 1000, b""
                writer.write(data)
                while len(got) < len(data):
                    assert isinstance(reader._buffer, bytearray)
                    got += await reader.read(70_000)
                assert got == data
                await closed(writer)

        run(main())

    def test_a_reader_and_a_protocol_of_a_subclass(self, loop, run, net):
        impl = net.impl
        pieces = []

        class Reader(impl.StreamReader):
            def feed_data(self, data):
                pieces.append(len(data))
                super().feed_data(data)

        class Protocol(impl.StreamReaderProtocol):
            def eof_received(self):
                pieces.append("end")
                return super().eof_received()

        async def main():
            async with await net.serve(echo) as server:
                reader = Reader()
                protocol = Protocol(reader)
                address = net.path if net.is_unix else server.sockets[0].getsockname()
                transport, _ = await (
                    loop.create_unix_connection(lambda: protocol, address)
                    if net.is_unix
                    else loop.create_connection(lambda: protocol, *address)
                )
                writer = impl.StreamWriter(transport, protocol, reader, loop)
                data = b"x" * 300_000
                writer.write(data)
                writer.write_eof()
                assert await reader.read() == data
                await closed(writer)
                assert pieces.pop() == "end"
                assert sum(pieces) == len(data)

        run(main())


class TestServer:
    def test_a_plain_function(self, loop, run, net):
        async def main():
            tasks = []

            def connected(reader, writer):
                tasks.append(asyncio.ensure_future(echo(reader, writer)))

            async with await net.serve(connected) as server:
                reader, writer = await net.open(server)
                writer.write(b"x")
                assert await reader.read(1) == b"x"
                await closed(writer)
                await asyncio.gather(*tasks)

        run(main())

    def test_a_function_that_fails(self, loop, run, net, reports):
        async def connected(reader, writer):
            raise ZeroDivisionError("served")

        async def main():
            async with await net.serve(connected) as server:
                reader, writer = await net.open(server)
                assert await reader.read() == b""
                await closed(writer)

        run(main())
        (report,) = reports
        assert report["message"] == "Unhandled exception in client_connected_cb"
        assert str(report["exception"]) == "served"
        reports.clear()

    def test_the_reader_is_alive_without_the_function(self, loop, run, net):
        async def main():
            lines = asyncio.Queue()

            async def connected(reader, writer):
                await lines.put(await reader.readline())
                await closed(writer)

            async with await net.serve(connected) as server:
                _, writer = await net.open(server)
                for _ in range(3):
                    await asyncio.sleep(0)
                    gc.collect()
                writer.write(b"line\n")
                assert await lines.get() == b"line\n"
                await closed(writer)

        run(main())

    def test_the_limit_is_that_of_its_readers(self, loop, run, net):
        async def main():
            limits = asyncio.Queue()

            async def connected(reader, writer):
                limits.put_nowait(reader._limit)
                await closed(writer)

            async with await net.serve(connected, limit=123) as server:
                reader, writer = await net.open(server, limit=45)
                assert await limits.get() == 123
                assert reader._limit == 45
                await closed(writer)

        run(main())


class TestBackpressure:
    def test_a_reader_that_rests_bounds_the_memory(self, loop, run, net):
        async def main():
            ready = asyncio.Event()

            async def connected(reader, writer):
                with contextlib.suppress(ConnectionError):
                    while True:
                        writer.write(b"x" * 10_000)
                        if writer.transport.get_write_buffer_size():
                            ready.set()
                        await writer.drain()

            async with await net.serve(connected) as server:
                reader, writer = await net.open(server, limit=1000)
                await ready.wait()
                while not reader._paused:
                    await asyncio.sleep(0)
                # One receive more than twice the limit.
                size = len(reader._buffer)
                assert size <= 2000 + 256 * 1024
                for _ in range(20):
                    await asyncio.sleep(0)
                assert len(reader._buffer) == size
                assert await reader.readexactly(size + 1_000_000) == b"x" * (size + 1_000_000)
                writer.transport.abort()

        run(main())

    def test_drain_of_several_tasks(self, loop, run, net):
        async def main():
            go = asyncio.Event()

            async def connected(reader, writer):
                await go.wait()
                while await reader.read(2**16):
                    pass
                await closed(writer)

            async with await net.serve(connected) as server:
                _, writer = await net.open(server)
                writer.write(b"x" * LARGE)
                drains = [asyncio.ensure_future(writer.drain()) for _ in range(5)]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert not any(drain.done() for drain in drains)
                drains[2].cancel()
                go.set()
                results = await asyncio.gather(*drains, return_exceptions=True)
                assert [isinstance(result, asyncio.CancelledError) for result in results] == [
                    number == 2 for number in range(5)
                ]
                await closed(writer)

        run(main())

    def test_drain_raises_when_the_peer_is_gone(self, loop, run, net):
        async def main():
            async def connected(reader, writer):
                await reader.read(1)
                writer.transport.abort()

            async with await net.serve(connected) as server:
                _reader, writer = await net.open(server)
                with pytest.raises(ConnectionError):
                    while True:
                        writer.write(b"x" * 100_000)
                        await writer.drain()
                await closed(writer)

        run(main())


class TestSockets:
    def test_of_ones_own(self, loop, run, impl):
        async def main():
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            _reader, writer = await impl.open_connection(sock=ours)
            other_reader, other_writer = await impl.open_unix_connection(sock=theirs)
            writer.write(b"line\n")
            assert await other_reader.readline() == b"line\n"
            assert writer.get_extra_info("socket").fileno() == ours.fileno()
            await closed(writer)
            assert await other_reader.read() == b""
            await closed(other_writer)

        run(main())

    def test_of_a_server(self, loop, run, impl):
        async def main():
            sock = socket.create_server(("127.0.0.1", 0))
            async with await impl.start_server(echo, sock=sock) as server:
                reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
                assert writer.get_extra_info("peername") == sock.getsockname()
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                await closed(writer)
            await alone()

        run(main())

    def test_nobody_listens(self, loop, run, impl, tmp_path):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as sock:
                address = sock.getsockname()
            with pytest.raises(ConnectionRefusedError):
                await impl.open_connection(*address)
            with pytest.raises(FileNotFoundError):
                await impl.open_unix_connection(str(tmp_path / "nothing"))

        run(main())

    def test_arguments(self, impl):
        for wrong in (
            impl.start_server,
            impl.start_unix_server,
            lambda: impl.open_connection(1, 2, 3),
        ):
            with pytest.raises(TypeError):
                wrong()
