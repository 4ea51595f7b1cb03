"""asyncio.streams over TCP and Unix sockets: how connections end, go on with TLS, and what is left."""

import asyncio
import contextlib
import gc
import socket
import weakref

import pytest

from tests.unit.programs import assert_no_growth
from tests.unit.protocols import LARGE
from tests.unit.streams import alone, closed, echo
from tests.unit.tls import client_context, server_context


class TestClosing:
    def test_write_after_close(self, loop, run, net):
        async def main():
            async with await net.serve(echo) as server:
                reader, writer = await net.open(server)
                writer.write(b"before")
                writer.close()
                assert writer.is_closing()
                writer.write(b"after")
                await writer.wait_closed()
                assert await reader.read() == b""
                with pytest.raises(ConnectionResetError, match=r"^Connection lost$"):
                    await writer.drain()
                writer.close()
                await writer.wait_closed()

        run(main())

    def test_write_after_the_end(self, loop, run, net):
        async def main():
            async with await net.serve(echo) as server:
                _, writer = await net.open(server)
                writer.write_eof()
                with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
                    writer.write(b"x")
                await closed(writer)

        run(main())

    @pytest.mark.parametrize("order", ["wait, close", "close, wait", "peer, wait", "abort, wait"])
    def test_wait_closed(self, loop, run, net, order):
        async def main():
            served = asyncio.Event()

            async def connected(reader, writer):
                if order == "peer, wait":
                    await closed(writer)
                else:
                    await echo(reader, writer)
                served.set()

            async with await net.serve(connected) as server:
                reader, writer = await net.open(server)
                if order == "wait, close":
                    waiting = asyncio.ensure_future(writer.wait_closed())
                    await asyncio.sleep(0)
                    assert not waiting.done()
                    writer.close()
                    await waiting
                elif order == "close, wait":
                    writer.close()
                    await writer.wait_closed()
                elif order == "peer, wait":
                    assert await reader.read() == b""
                    assert not writer.is_closing()
                    writer.close()
                    await writer.wait_closed()
                else:
                    writer.transport.abort()
                    await writer.wait_closed()
                await served.wait()

        run(main())

    def test_what_was_written_is_sent(self, loop, run, net):
        async def main():
            got = asyncio.get_running_loop().create_future()

            async def connected(reader, writer):
                got.set_result(len(await reader.read()))
                await closed(writer)

            async with await net.serve(connected) as server:
                _, writer = await net.open(server)
                writer.write(b"x" * LARGE)
                writer.close()
                assert await got == LARGE

        run(main())


class TestStartTls:
    def test_on_both_sides(self, loop, run, net):
        async def main():
            served = asyncio.Event()

            async def connected(reader, writer):
                assert await reader.readline() == b"STARTTLS\n"
                writer.write(b"go\n")
                await writer.start_tls(server_context())
                assert writer.get_extra_info("sslcontext") is not None
                assert not writer.can_write_eof()
                while line := await reader.readline():
                    writer.write(line.upper())
                    await writer.drain()
                await closed(writer)
                served.set()

            async with await net.serve(connected) as server:
                reader, writer = await net.open(server)
                plain = writer.transport
                writer.write(b"STARTTLS\n")
                assert await reader.readline() == b"go\n"
                await writer.start_tls(client_context(), server_hostname="localhost")
                assert writer.transport is not plain
                for line in (b"secret\n", b"x" * 60_000 + b"\n"):
                    writer.write(line)
                    await writer.drain()
                    assert await reader.readline() == line.upper()
                await closed(writer)
                await served.wait()

        run(main())

    def test_a_name_that_does_not_match(self, loop, run, net, reports):
        async def main():
            async def connected(reader, writer):
                with contextlib.suppress(OSError):
                    await writer.start_tls(server_context())
                writer.close()

            async with await net.serve(connected) as server:
                _, writer = await net.open(server)
                with pytest.raises(Exception, match="certificate verify failed"):
                    await writer.start_tls(client_context(), server_hostname="elsewhere")
                writer.close()

        run(main())


class TestWhatIsLeft:
    def test_nothing_of_a_connection(self, loop, run, net):
        dead = []

        async def connected(reader, writer):
            dead.extend(map(weakref.ref, (reader, writer, writer._protocol, writer.transport)))
            await echo(reader, writer)

        async def client(server):
            reader, writer = await net.open(server)
            dead.extend(map(weakref.ref, (reader, writer, writer._protocol, writer.transport)))
            writer.write(b"x" * 100_000)
            await reader.readexactly(100_000)
            await closed(writer)

        async def main():
            async with await net.serve(connected) as server:
                for _ in range(3):
                    await client(server)
            await alone()

        run(main())
        gc.collect()
        assert len(dead) == 24
        assert [each() for each in dead] == [None] * 24

    def test_a_writer_that_is_dropped_closes(self, loop, run, net):
        async def main():
            ended = asyncio.Event()

            async def connected(reader, writer):
                assert await reader.read() == b""
                await closed(writer)
                ended.set()

            async with await net.serve(connected) as server:
                reader, writer = await net.open(server)
                with pytest.warns(ResourceWarning, match="unclosed <StreamWriter"):
                    del writer
                    gc.collect()
                await ended.wait()
                assert reader.at_eof()

        run(main())

    def test_no_growth(self, loop, net, impl):
        async def rounds(count):
            ours, theirs = socket.socketpair()
            reader, writer = await impl.open_connection(sock=ours)
            other_reader, other_writer = await impl.open_connection(sock=theirs)
            for _ in range(count):
                writer.write(b"line\n")
                other_writer.write(await other_reader.readline())
                assert await reader.readexactly(5) == b"line\n"
                await writer.drain()
            for each in (writer, other_writer):
                await closed(each)

        assert_no_growth(loop, rounds)
