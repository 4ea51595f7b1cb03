"""Unix stream sockets: create_unix_connection and create_unix_server, streams over them, their paths."""

import asyncio
import errno
import logging
import os
import pathlib
import socket
import sys

import pytest

from tests.unit.protocols import PEER_LIMIT, Recorder, receive
from tests.unit.tls import client_context, server_context

REMOVES_PATHS = sys.version_info >= (3, 13)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "socket")


def connect(path):
    """Connect a blocking socket of the test's own."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(PEER_LIMIT)
    try:
        peer.connect(path)
    except OSError:
        peer.close()
        raise
    return peer


class Server:
    """A protocol factory that keeps what it makes."""

    def __init__(self):
        self.protocols = []
        self.accepted = asyncio.Event()

    def __call__(self):
        self.protocols.append(Recorder())
        self.accepted.set()
        return self.protocols[-1]

    async def first(self):
        await self.accepted.wait()
        await self.protocols[0].until(lambda: self.protocols[0].transport)
        return self.protocols[0]


async def stop(server):
    server.close()
    await server.wait_closed()


class TestConnection:
    @pytest.mark.parametrize("kind", [str, os.fsencode, pathlib.Path])
    def test_both_sides(self, loop, run, path, kind):
        async def main():
            factory = Server()
            server = await loop.create_unix_server(factory, kind(path))
            transport, protocol = await loop.create_unix_connection(Recorder, kind(path))
            transport.write(b"hello")
            there = await factory.first()
            assert await there.received(5) == b"hello"
            there.transport.write(b"welcome")
            assert await protocol.received(7) == b"welcome"
            transport.close()
            assert await there.lost is None
            assert await protocol.lost is None
            await stop(server)
            return there.order, protocol.order

        closed = ("lost", None)
        assert run(main()) == (["made", "data", "eof", closed], ["made", "data", closed])

    def test_extra_info(self, loop, run, path):
        async def main():
            factory = Server()
            server = await loop.create_unix_server(factory, path)
            transport, _ = await loop.create_unix_connection(Recorder, path)
            there = await factory.first()
            assert transport.get_extra_info("peername") == path
            assert transport.get_extra_info("sockname") == ""
            assert there.transport.get_extra_info("peername") == ""
            assert there.transport.get_extra_info("sockname") == path
            for one in (transport, there.transport):
                sock = one.get_extra_info("socket")
                assert (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_STREAM)
                assert sock.fileno() >= 0
                assert one.get_extra_info("nothing", 7) == 7
            transport.close()
            await there.lost
            assert there.transport.get_extra_info("peername") == ""
            assert there.transport.get_extra_info("sockname") == path
            await stop(server)

        run(main())

    def test_named_client(self, loop, run, path):
        async def main():
            factory = Server()
            server = await loop.create_unix_server(factory, path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(path + ".client")
            sock.connect(path)
            transport, _ = await loop.create_unix_connection(Recorder, sock=sock)
            there = await factory.first()
            assert there.transport.get_extra_info("peername") == path + ".client"
            assert sock.gettimeout() == 0
            transport.close()
            await there.lost
            await stop(server)

        run(main())

    @pytest.mark.parametrize("name", ["\0yibu-%d", b"\0yibu-bytes-%d"])
    def test_abstract_name(self, loop, run, name):
        async def main():
            address = name % os.getpid()
            factory = Server()
            server = await loop.create_unix_server(factory, address)
            transport, _ = await loop.create_unix_connection(Recorder, address)
            there = await factory.first()
            expected = address.encode() if isinstance(address, str) else address
            assert transport.get_extra_info("peername") == expected
            transport.close()
            await there.lost
            await stop(server)

        run(main())

    def test_socketpair(self, loop, run):
        async def main():
            ours, peer = socket.socketpair()
            with peer:
                transport, protocol = await loop.create_unix_connection(Recorder, sock=ours)
                peer.sendall(b"abc")
                assert await protocol.received(3) == b"abc"
                transport.write_eof()
                assert peer.recv(1) == b""
                transport.close()
                await protocol.lost

        run(main())

    def test_nobody_listens(self, loop, run, path):
        async def main():
            with pytest.raises(FileNotFoundError):
                await loop.create_unix_connection(Recorder, path)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.bind(path)
                with pytest.raises(ConnectionRefusedError):
                    await loop.create_unix_connection(Recorder, path)

        run(main())

    def test_full_backlog(self, loop, run, path):
        """A Unix socket cannot wait for its turn: connecting says EAGAIN, and stock waits for room."""

        async def main():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                listener.bind(path)
                listener.listen(0)
                with connect(path):
                    connecting = asyncio.ensure_future(loop.create_unix_connection(Recorder, path))
                    await asyncio.sleep(0)
                    connecting.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await connecting

        run(main())

    def test_failing_factory(self, loop, run, path):
        def fail():
            raise LookupError("no protocol")

        async def main():
            server = await loop.create_unix_server(Server(), path)
            ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with ours:
                ours.connect(path)
                with pytest.raises(LookupError, match="no protocol"):
                    await loop.create_unix_connection(fail, sock=ours)
            await stop(server)

        run(main())

    def test_cancelled_before_it_is_made(self, loop, run, path):
        async def main():
            factory = Server()
            server = await loop.create_unix_server(factory, path)
            connecting = asyncio.ensure_future(loop.create_unix_connection(Recorder, path))
            await asyncio.sleep(0)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            assert await (await factory.first()).lost is None
            await stop(server)

        run(main())

    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({}, ValueError, "no path and sock were specified"),
            ({"path": "p", "sock": 1}, ValueError, "path and sock can not be specified at the same time"),
            ({"path": "p", "ssl": True}, ValueError, "you have to pass server_hostname when using ssl"),
            (
                {"path": "p", "server_hostname": ""},
                ValueError,
                "server_hostname is only meaningful with ssl",
            ),
            ({"path": "p", "server_hostname": b"h", "ssl": True}, AssertionError, ""),
            (
                {"path": "p", "ssl_handshake_timeout": 1},
                ValueError,
                "ssl_handshake_timeout is only meaningful with ssl",
            ),
            (
                {"path": "p", "ssl_shutdown_timeout": 1},
                ValueError,
                "ssl_shutdown_timeout is only meaningful with ssl",
            ),
            (
                {"path": 7},
                TypeError,
                "expected str, bytes or os.PathLike object, not int",
            ),
        ],
    )
    def test_refused(self, loop, run, options, error, text):
        with pytest.raises(error) as raised:
            run(loop.create_unix_connection(Recorder, **options))
        assert type(raised.value) is error
        assert str(raised.value) == text

    @pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
    def test_wrong_socket(self, loop, run, kind):
        family = socket.AF_INET if kind == socket.SOCK_STREAM else socket.AF_UNIX
        with socket.socket(family, kind) as sock:
            for method in (loop.create_unix_connection, loop.create_unix_server):
                with pytest.raises(ValueError) as raised:
                    run(method(Recorder, sock=sock))
                assert str(raised.value) == f"A UNIX Domain Stream Socket was expected, got {sock!r}"


class TestServer:
    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({}, ValueError, "path was not specified, and no sock specified"),
            ({"path": "p", "sock": 1}, ValueError, "path and sock can not be specified at the same time"),
            ({"path": "p", "ssl": True}, TypeError, "ssl argument must be an SSLContext or None"),
            ({"path": "p", "ssl": False}, TypeError, "ssl argument must be an SSLContext or None"),
            (
                {"path": "p", "ssl_handshake_timeout": 1},
                ValueError,
                "ssl_handshake_timeout is only meaningful with ssl",
            ),
            (
                {"path": "p", "ssl_shutdown_timeout": 1},
                ValueError,
                "ssl_shutdown_timeout is only meaningful with ssl",
            ),
            ({"path": 7}, TypeError, "expected str, bytes or os.PathLike object, not int"),
        ],
    )
    def test_refused(self, loop, run, options, error, text):
        with pytest.raises(error) as raised:
            run(loop.create_unix_server(Recorder, **options))
        assert str(raised.value) == text

    def test_path_too_long(self, loop, run, tmp_path):
        with pytest.raises(OSError, match="AF_UNIX path too long"):
            run(loop.create_unix_server(Recorder, str(tmp_path / ("x" * 200))))

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_empty_path(self, loop, run):
        with pytest.raises(IndexError, match="string index out of range"):
            run(loop.create_unix_server(Recorder, ""))

    def test_stale_socket_gives_way(self, loop, run, path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(path)
        inode = os.stat(path).st_ino
        keep = os.open(path, os.O_PATH)  # or the inode may be given to the next one

        async def main():
            server = await loop.create_unix_server(Server(), path)
            assert os.stat(path).st_ino != inode
            connect(path).close()
            await stop(server)

        run(main())
        os.close(keep)

    def test_no_socket_at_the_path(self, loop, run, path):
        pathlib.Path(path).write_text("precious")
        with pytest.raises(OSError) as raised:
            run(loop.create_unix_server(Recorder, path))
        assert raised.value.errno == errno.EADDRINUSE
        assert raised.value.strerror == f"Address {path!r} is already in use"
        assert raised.value.__suppress_context__
        assert isinstance(raised.value.__context__, OSError)
        assert pathlib.Path(path).read_text() == "precious"

    def test_directory_does_not_exist(self, loop, run, path):
        with pytest.raises(FileNotFoundError):
            run(loop.create_unix_server(Recorder, path + "/below"))

    def test_stale_socket_cannot_be_looked_at(self, loop, run, tmp_path, caplog):
        """What cannot be checked is logged, and binding says the rest."""
        (tmp_path / "file").write_text("")
        path = str(tmp_path / "file" / "socket")
        with pytest.raises(NotADirectoryError), caplog.at_level(logging.ERROR, "asyncio"):
            run(loop.create_unix_server(Recorder, path))
        (record,) = caplog.records
        assert record.getMessage().startswith(
            f"Unable to check or remove stale UNIX socket {path!r}: NotADirectoryError("
        )

    def test_given_socket(self, loop, run, path):
        async def main():
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(path)
            factory = Server()
            server = await loop.create_unix_server(factory, sock=sock)
            assert sock.gettimeout() == 0
            with connect(path) as peer:
                protocol = await factory.first()
                protocol.transport.write(b"there")
                assert receive(peer, 5) == b"there"
                protocol.transport.close()
                await protocol.lost
            await stop(server)
            assert sock.fileno() == -1

        run(main())
        assert os.path.exists(path) is not REMOVES_PATHS

    def test_not_serving_yet(self, loop, run, path):
        async def main():
            factory = Server()
            server = await loop.create_unix_server(factory, path, start_serving=False)
            assert not server.is_serving()
            with pytest.raises(ConnectionRefusedError):
                connect(path)
            await server.start_serving()
            with connect(path):
                (await factory.first()).transport.close()
                await factory.protocols[0].lost
            await stop(server)

        run(main())

    def test_server_is_like_others(self, loop, run, path):
        async def main():
            server = await loop.create_unix_server(Server(), path, backlog=3)
            assert isinstance(server, asyncio.AbstractServer)
            assert [sock.getsockname() for sock in server.sockets] == [path]
            assert server.get_loop() is loop
            assert server._backlog == 3
            await stop(server)
            assert server.sockets == ()

        run(main())


class TestPaths:
    def test_removed_when_the_server_stops(self, loop, run, path):
        async def main():
            await stop(await loop.create_unix_server(Recorder, path))
            assert os.path.exists(path) is not REMOVES_PATHS

        run(main())

    @pytest.mark.skipif(not REMOVES_PATHS, reason="paths stay before 3.13")
    def test_kept_on_demand(self, loop, run, path):
        async def main():
            server = await loop.create_unix_server(Recorder, path, cleanup_socket=False)
            assert len(loop._unix_server_sockets) == 0
            await stop(server)
            assert os.path.exists(path)

        run(main())

    @pytest.mark.skipif(not REMOVES_PATHS, reason="paths stay before 3.13")
    def test_of_somebody_else_by_now(self, loop, run, path):
        async def main():
            first = await loop.create_unix_server(Recorder, path)
            assert list(loop._unix_server_sockets.values()) == [os.stat(path).st_ino]
            second = await loop.create_unix_server(Recorder, path)
            inode = os.stat(path).st_ino
            await stop(first)
            assert os.stat(path).st_ino == inode
            await stop(second)
            assert not os.path.exists(path)
            assert len(loop._unix_server_sockets) == 0

        run(main())

    @pytest.mark.skipif(not REMOVES_PATHS, reason="paths stay before 3.13")
    def test_gone_already(self, loop, run, path, caplog):
        async def main():
            server = await loop.create_unix_server(Recorder, path)
            os.unlink(path)
            await stop(server)

        with caplog.at_level(logging.ERROR, "asyncio"):
            run(main())
        assert caplog.records == []

    @pytest.mark.skipif(not REMOVES_PATHS, reason="paths stay before 3.13")
    def test_cannot_be_removed(self, loop, run, tmp_path, monkeypatch, caplog):
        path = str(tmp_path / "socket")

        def refuse(path):
            raise PermissionError(errno.EPERM, "not yours", path)

        async def main():
            server = await loop.create_unix_server(Recorder, path)
            monkeypatch.setattr(os, "unlink", refuse)
            await stop(server)
            monkeypatch.undo()

        with caplog.at_level(logging.ERROR, "asyncio"):
            run(main())
        (record,) = caplog.records
        error = PermissionError(errno.EPERM, "not yours", path)
        assert record.getMessage() == f"Unable to clean up listening UNIX socket {path!r}: {error!r}"

    @pytest.mark.skipif(not REMOVES_PATHS, reason="paths stay before 3.13")
    def test_cannot_be_removed_of_a_server_that_never_served(self, loop, run, path):
        async def main():
            server = await loop.create_unix_server(Recorder, path, start_serving=False)
            await stop(server)
            assert not os.path.exists(path)

        run(main())


class TestStreams:
    @pytest.mark.parametrize("over_tls", [False, True])
    def test_echo(self, impl, run, path, over_tls):
        served = asyncio.Semaphore(0)

        async def echo(reader, writer):
            async for line in reader:
                writer.write(line.upper())
                await writer.drain()
            writer.close()
            await writer.wait_closed()
            served.release()

        async def main():
            tls = {"ssl": client_context(), "server_hostname": "localhost"} if over_tls else {}
            server = await impl.start_unix_server(echo, path, ssl=server_context() if over_tls else None)
            for number in range(3):
                reader, writer = await impl.open_unix_connection(path, **tls)
                assert (writer.get_extra_info("ssl_object") is not None) is over_tls
                writer.write(b"line %d\n" % number)
                assert await reader.readline() == b"LINE %d\n" % number
                writer.close()
                await writer.wait_closed()
                await served.acquire()
            await stop(server)

        run(main())

    def test_start_tls(self, impl, run, path):
        async def upgrade(reader, writer):
            await reader.readline()
            writer.write(b"go\n")
            await writer.start_tls(server_context())
            writer.write(await reader.readline())
            writer.close()
            await writer.wait_closed()
            served.set()

        served = asyncio.Event()

        async def main():
            server = await impl.start_unix_server(upgrade, path)
            reader, writer = await impl.open_unix_connection(path)
            writer.write(b"tls?\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(client_context(), server_hostname="localhost")
            writer.write(b"secret\n")
            assert await reader.readline() == b"secret\n"
            writer.close()
            await writer.wait_closed()
            await served.wait()
            await stop(server)

        run(main())

    def test_tls_failure_is_the_caller_s(self, impl, run, path, reports):
        import ssl

        async def main():
            server = await impl.start_unix_server(lambda *_: None, path, ssl=server_context())
            with pytest.raises(ssl.SSLCertVerificationError):
                await impl.open_unix_connection(path, ssl=client_context(), server_hostname="elsewhere")
            await stop(server)

        run(main())

    def test_limit(self, impl, run, path):
        async def serve(_, writer):
            writer.write(b"x" * 100 + b"\n")
            writer.close()

        async def main():
            server = await impl.start_unix_server(serve, path)
            reader, writer = await impl.open_unix_connection(path, limit=10)
            with pytest.raises(ValueError, match="limit"):
                await reader.readline()
            writer.close()
            await writer.wait_closed()
            await stop(server)

        run(main())


class TestOverrides:
    def test_replaced_sock_connect(self, loop, run, path):
        """Connecting is done by the loop's own method, which a program may have replaced."""
        connected = []
        connect = loop.sock_connect

        async def spy(sock, address):
            connected.append(address)
            await connect(sock, address)

        async def main():
            server = await loop.create_unix_server(Recorder, path)
            transport, protocol = await loop.create_unix_connection(Recorder, path)
            transport.abort()
            await protocol.lost
            await stop(server)

        loop.sock_connect = spy
        run(main())
        assert connected == [path]
