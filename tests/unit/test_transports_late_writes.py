"""Writes to transports whose connection is lost: counted, and logged from the fifth on."""

import asyncio
import logging
import os
import socket
import sys
from io import FileIO

import pytest

from tests.unit.protocols import Recorder
from tests.unit.tls import client_context, server_context


class Closing(Recorder):
    """A protocol that says when its connection is lost."""

    def __init__(self):
        super().__init__()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, error):
        super().connection_lost(error)
        if not self.lost.done():
            self.lost.set_result(None)


@pytest.fixture
def warnings_of(caplog):
    """Count the warnings about late writes that some writes give."""
    caplog.set_level(logging.WARNING, "asyncio")

    def warnings_of(write, times):
        caplog.clear()
        for _ in range(times):
            write()
        texts = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return texts

    return warnings_of


def texts(text, count):
    return [text] * count


SOCKET = "socket.send() raised exception."
PIPE = "pipe closed by peer or os.write(pipe, data) raised exception."


class TestStreams:
    @pytest.mark.parametrize("how", ["close", "abort"])
    def test_sockets(self, loop, run, warnings_of, how):
        async def main():
            ours, peer = socket.socketpair()
            transport, protocol = await loop.create_connection(Closing, sock=ours)
            getattr(transport, how)()
            before = warnings_of(lambda: transport.write(b"x"), 6)
            await protocol.lost
            after = warnings_of(lambda: transport.write(b"x"), 6)
            assert (before, after) == (texts(SOCKET, 2), texts(SOCKET, 6))
            assert transport._conn_lost == 13
            assert warnings_of(lambda: transport.write(b""), 1) == []
            with pytest.raises(TypeError):
                transport.write("text")
            peer.close()

        run(main())

    def test_after_the_end_of_writing_is_an_error(self, loop, run):
        async def main():
            ours, peer = socket.socketpair()
            transport, protocol = await loop.create_connection(Closing, sock=ours)
            transport.write_eof()
            transport.close()
            await protocol.lost
            with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
                transport.write(b"x")
            peer.close()

        run(main())

    def test_tls(self, loop, run, warnings_of):
        async def main():
            server = await loop.create_server(Closing, "127.0.0.1", 0, ssl=server_context())
            transport, protocol = await loop.create_connection(
                Closing, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
            )
            transport.abort()
            await protocol.lost
            logged = warnings_of(lambda: transport.write(b"x"), 8)
            server.close()
            await server.wait_closed()
            return logged

        assert run(main()) == texts("SSL connection is closed", 4)

    def test_a_stream_writer(self, loop, run, impl, warnings_of):
        async def main():
            ours, peer = socket.socketpair()
            _, writer = await impl.open_connection(sock=ours)
            writer.close()
            await writer.wait_closed()
            logged = warnings_of(lambda: writer.write(b"x"), 7)
            peer.close()
            return logged

        assert run(main()) == texts(SOCKET, 3)


class TestOthers:
    def test_pipes(self, loop, run, warnings_of):
        async def main():
            read, write = os.pipe()
            transport, protocol = await loop.connect_write_pipe(Closing, os.fdopen(write, "wb", 0))
            transport.abort()
            before = warnings_of(lambda: transport.write(b"x"), 6)
            await protocol.lost
            after = warnings_of(lambda: transport.write(b"x"), 6)
            os.close(read)
            return before, after

        assert run(main()) == (texts(PIPE, 1), texts(PIPE, 6))

    def test_connected_datagrams(self, loop, run, warnings_of):
        async def main():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(("127.0.0.1", 0))
                transport, protocol = await loop.create_datagram_endpoint(
                    Closing, remote_addr=peer.getsockname()
                )
                transport.abort()
                before = warnings_of(lambda: transport.sendto(b"x"), 6)
                await protocol.lost
                return before, warnings_of(lambda: transport.sendto(b"x"), 6)

        assert run(main()) == (texts(SOCKET, 2), texts(SOCKET, 6))


NOT_CONTIGUOUS = memoryview(b"abcdef")[::2]


async def no_error_after(transport, protocol, peer, end, write):
    """End a transport, write to it, and see that the write changes nothing."""
    getattr(transport, end)()
    for _ in range(3):
        write(NOT_CONTIGUOUS)
    assert await protocol.lost is None
    write(NOT_CONTIGUOUS)
    peer.close()


@pytest.mark.parametrize("end", ["close", "abort"])
class TestWhatIsNotContiguous:
    """It would be an error of the connection, but a late write is dropped without a look at it."""

    def test_sockets(self, loop, run, end):
        async def main():
            ours, peer = socket.socketpair()
            transport, protocol = await loop.create_connection(Recorder, sock=ours)
            await no_error_after(transport, protocol, peer, end, transport.write)

        run(main())

    @pytest.mark.skipif(
        sys.version_info < (3, 14), reason="before 3.14 asyncio stumbles over its lost socket"
    )
    def test_writelines(self, loop, run, end):
        async def main():
            ours, peer = socket.socketpair()
            transport, protocol = await loop.create_connection(Recorder, sock=ours)
            lines = [NOT_CONTIGUOUS, "text", None]
            await no_error_after(transport, protocol, peer, end, lambda data: transport.writelines(lines))

        run(main())

    def test_pipes(self, loop, run, end):
        async def main():
            reading, writing = os.pipe()
            transport, protocol = await loop.connect_write_pipe(Recorder, FileIO(writing, "w"))
            await no_error_after(transport, protocol, FileIO(reading), end, transport.write)

        run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 joins the pieces, which copies them")
def test_lines_that_are_not_contiguous_are_an_error_of_the_connection(loop, run, reports):
    async def main():
        ours, peer = socket.socketpair()
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        transport.writelines([b"abc", NOT_CONTIGUOUS])
        error = await protocol.lost
        assert isinstance(error, BufferError)
        [report] = reports
        assert report["message"] == "Fatal write error on socket transport"
        assert report["exception"] is error
        peer.close()

    run(main())
