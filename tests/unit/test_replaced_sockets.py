"""Sockets whose class or methods are a program's own: guards, meters, fault injectors. None is bypassed."""

import asyncio
import errno
import os
import socket
import ssl

import pytest

from tests.unit.protocols import Recorder
from tests.unit.tls import client_context, server_context

HOST = "127.0.0.1"


class Forbidden(RuntimeError):
    """There is no network in these tests."""


class Metered(socket.socket):
    """Counts its traffic."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)
        self.calls = []

    def recv(self, *args):
        data = super().recv(*args)
        self.calls.append(("recv", len(data)))
        return data

    def recv_into(self, *args):
        count = super().recv_into(*args)
        self.calls.append(("recv_into", count))
        return count

    def send(self, *args):
        count = super().send(*args)
        self.calls.append(("send", count))
        return count

    def sendmsg(self, *args):
        count = super().sendmsg(*args)
        self.calls.append(("sendmsg", count))
        return count

    def shutdown(self, how):
        self.calls.append(("shutdown", how))
        super().shutdown(how)

    def close(self):
        self.calls.append(("close",))
        super().close()

    def traffic(self, *names):
        return sum(call[1] for call in self.calls if call[0] in names)


@pytest.fixture
def metered():
    """A metered socket that is connected, and its blocking peer."""
    listening = socket.create_server((HOST, 0))
    ours = Metered(socket.AF_INET, socket.SOCK_STREAM)
    ours.connect(listening.getsockname())
    peer, _ = listening.accept()
    listening.close()
    ours.setblocking(False)
    peer.settimeout(10)
    yield ours, peer
    ours.close()
    peer.close()


def receive(peer, count):
    """`count` bytes, read in the loop's default executor so that the loop goes on."""

    def read():
        data = b""
        while len(data) < count:
            piece = peer.recv(65536)
            if not piece:
                break
            data += piece
        return data

    return asyncio.get_running_loop().run_in_executor(None, read)


class TestSubclass:
    def test_a_connection_uses_its_methods(self, impl, run, metered):
        ours, peer = metered

        async def main():
            reader, writer = await impl.open_connection(sock=ours)
            writer.write(b"hello")
            assert await receive(peer, 5) == b"hello"
            peer.sendall(b"answer")
            assert await reader.readexactly(6) == b"answer"
            writer.write_eof()
            assert await receive(peer, 1) == b""
            writer.close()
            await writer.wait_closed()

        run(main())
        assert ours.traffic("send", "sendmsg") == 5
        assert ours.traffic("recv") == 6
        assert ("shutdown", socket.SHUT_WR) in ours.calls
        assert ours.calls[-1] == ("close",)

    def test_what_the_socket_does_not_take_at_once(self, impl, run, metered):
        ours, peer = metered
        data = bytes(range(256)) * 20_000

        async def main():
            _, writer = await impl.open_connection(sock=ours)
            writer.write(data)
            writer.writelines([data, b"end"])
            received = receive(peer, 2 * len(data) + 3)
            await writer.drain()
            assert await received == data + data + b"end"
            writer.write_eof()
            writer.close()
            await writer.wait_closed()

        run(main())
        assert ours.traffic("send", "sendmsg") == 2 * len(data) + 3

    def test_a_protocol_with_a_buffer(self, loop, run, metered):
        ours, peer = metered

        class Buffered(asyncio.BufferedProtocol):
            def __init__(self):
                self.buffer = bytearray(100)
                self.got = asyncio.Queue()

            def get_buffer(self, _hint):
                return self.buffer

            def buffer_updated(self, count):
                self.got.put_nowait(bytes(self.buffer[:count]))

        async def main():
            transport, protocol = await loop.create_connection(Buffered, sock=ours)
            peer.sendall(b"data")
            assert await protocol.got.get() == b"data"
            transport.close()

        run(main())
        assert ours.traffic("recv_into") == 4
        assert ours.traffic("recv") == 0

    def test_methods_of_the_loop(self, loop, run, metered):
        ours, peer = metered

        async def main():
            await loop.sock_sendall(ours, b"hello")
            assert await receive(peer, 5) == b"hello"
            peer.sendall(b"answer")
            assert await loop.sock_recv(ours, 3) == b"ans"
            assert await loop.sock_recv_into(ours, bytearray(9)) == 3

        run(main())
        assert ours.calls == [("send", 5), ("recv", 3), ("recv_into", 3)]

    @pytest.mark.parametrize(
        "error", [OSError(errno.ECONNRESET, "cut"), Forbidden("no more")], ids=["OSError", "other"]
    )
    @pytest.mark.parametrize("method", ["send", "recv"])
    def test_what_its_methods_raise_ends_the_connection(self, loop, run, reports, method, error):
        class Faulty(socket.socket):
            def send(self, *args):
                raise error if method == "send" else AssertionError

            def recv(self, *args):
                raise error if method == "recv" else AssertionError

        async def main():
            ours, peer = socket.socketpair()
            faulty = Faulty(fileno=ours.detach())
            lost = loop.create_future()

            class Protocol(asyncio.Protocol):
                def connection_lost(self, exc):
                    lost.set_result(exc)

            transport, _ = await loop.create_connection(Protocol, sock=faulty)
            if method == "send":
                transport.write(b"something")
            else:
                peer.send(b"something")
            assert await lost is error
            peer.close()

        run(main())
        expected = "write" if method == "send" else "read"
        if isinstance(error, OSError):
            assert reports == []
        else:
            [report] = reports
            assert report["message"] == f"Fatal {expected} error on socket transport"
            assert report["exception"] is error
        reports.clear()

    def test_listening(self, impl, run):
        accepted = []

        class Listening(socket.socket):
            def accept(self):
                pair = super().accept()
                accepted.append(pair)
                return pair

        listening = Listening(socket.AF_INET, socket.SOCK_STREAM)
        listening.bind((HOST, 0))

        async def serve(reader, writer):
            writer.write(await reader.read())
            writer.close()

        async def main():
            server = await impl.start_server(serve, sock=listening)
            for _ in range(3):
                reader, writer = await impl.open_connection(*listening.getsockname())
                writer.write(b"x")
                writer.write_eof()
                assert await reader.read() == b"x"
                writer.close()
            server.close()
            await server.wait_closed()

        run(main())
        assert len(accepted) == 3

    def test_datagrams(self, loop, run):
        class Counting(socket.socket):
            sent = received = 0

            def sendto(self, *args):
                type(self).sent += 1
                return super().sendto(*args)

            def recvfrom(self, *args):
                pair = super().recvfrom(*args)
                type(self).received += 1
                return pair

        class Protocol(asyncio.DatagramProtocol):
            def __init__(self):
                self.got = asyncio.Queue()

            def datagram_received(self, data, addr):
                self.got.put_nowait(data)

        async def main():
            sock = Counting(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((HOST, 0))
            transport, protocol = await loop.create_datagram_endpoint(Protocol, sock=sock)
            transport.sendto(b"to myself", sock.getsockname())
            assert await protocol.got.get() == b"to myself"
            transport.close()

        run(main())
        assert (Counting.sent, Counting.received) == (1, 1)


class TestGuards:
    """What a test puts in the place of `socket.socket`, or of its methods, to forbid the network."""

    def acts(self, impl, loop, port):
        return {
            "open_connection": lambda: impl.open_connection(HOST, port),
            "create_connection": lambda: loop.create_connection(asyncio.Protocol, HOST, port),
            "start_server": lambda: impl.start_server(print, HOST, 0),
            "create_server": lambda: loop.create_server(asyncio.Protocol, HOST, 0),
            "create_datagram_endpoint": lambda: loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=(HOST, 0)
            ),
        }

    @pytest.mark.parametrize(
        "name",
        ["open_connection", "create_connection", "start_server", "create_server", "create_datagram_endpoint"],
    )
    def test_a_class_that_refuses(self, impl, loop, run, monkeypatch, name):
        class Guarded(socket.socket):
            def __new__(cls, family=-1, *args, **keywords):
                if family in (socket.AF_INET, socket.AF_INET6):
                    raise Forbidden
                return super().__new__(cls, family, *args, **keywords)

        monkeypatch.setattr(socket, "socket", Guarded)
        with pytest.raises(Forbidden):
            run(self.acts(impl, loop, 1)[name]())

    @pytest.mark.parametrize("name", ["create_unix_connection", "create_unix_server"])
    def test_a_class_that_refuses_unix_sockets(self, loop, run, monkeypatch, tmp_path, name):
        def guarded(*args, **keywords):
            raise Forbidden

        monkeypatch.setattr(socket, "socket", guarded)
        with pytest.raises(Forbidden):
            run(getattr(loop, name)(asyncio.Protocol, str(tmp_path / "socket")))

    @pytest.mark.parametrize("method", ["connect", "bind"])
    def test_methods_that_refuse(self, impl, loop, run, monkeypatch, method):
        def refuse(*args):
            raise Forbidden

        monkeypatch.setattr(socket.socket, method, refuse)
        name = "open_connection" if method == "connect" else "start_server"
        with pytest.raises(Forbidden):
            run(self.acts(impl, loop, 1)[name]())

    def test_resolving(self, loop, run, monkeypatch):
        def refuse(*args, **keywords):
            raise Forbidden

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        with pytest.raises(Forbidden):
            run(loop.create_connection(asyncio.Protocol, "localhost", 1))

    def test_what_tells_addresses_from_names(self, impl, run, monkeypatch):
        """Libraries that mock the network take every name for an address, and have nobody resolve it."""
        connected = []

        class Mocked(socket.socket):
            def connect(self, address):
                connected.append(address)
                raise ConnectionRefusedError

        monkeypatch.setattr(socket, "inet_pton", lambda family, host: b"\x7f\0\0\1")
        monkeypatch.setattr(socket, "socket", Mocked)
        with pytest.raises(ConnectionRefusedError):
            run(impl.open_connection("name.invalid", 80))
        assert connected == [("name.invalid", 80)]

    def test_the_function_that_tells_addresses_from_names(self, impl, run, monkeypatch):
        given = []

        def ipaddr_info(*args):
            given.append(args)
            raise Forbidden

        monkeypatch.setattr(asyncio.base_events, "_ipaddr_info", ipaddr_info)
        with pytest.raises(Forbidden):
            run(impl.open_connection("127.0.0.1", 80))
        assert given == [("127.0.0.1", 80, 0, socket.SOCK_STREAM, 0)]

    def test_accepting(self, impl, loop, run, monkeypatch, reports):
        """A class put in place while a server listens makes the sockets of new connections."""
        made = []

        class Guarded(socket.socket):
            def __init__(self, *args, **keywords):
                made.append(self)
                super().__init__(*args, **keywords)

        async def main():
            served = asyncio.Queue()
            server = await impl.start_server(lambda r, w: served.put_nowait(w), HOST, 0)
            peer = socket.create_connection(server.sockets[0].getsockname())
            monkeypatch.setattr(socket, "socket", Guarded)
            writer = await served.get()
            sock = writer.get_extra_info("socket")
            peer.close()
            writer.close()
            server.close()
            return sock.fileno()

        run(main())
        assert len(made) == 1
        assert reports == []

    def test_a_connection_that_was_there_before(self, loop, run, monkeypatch):
        """Methods replaced on the class are used by older connections, as long as they are replaced."""
        seen = []
        original = socket.socket.send

        def send(self, data, *args):
            seen.append(bytes(data))
            return original(self, data, *args)

        async def main():
            ours, peer = socket.socketpair()
            ours.setblocking(False)
            transport, _ = await loop.create_connection(Recorder, sock=ours)
            transport.write(b"before")
            with monkeypatch.context() as patch:
                patch.setattr(socket.socket, "send", send)
                transport.write(b"while")
                await asyncio.sleep(0)
            transport.write(b"after")
            assert await receive(peer, 16) == b"beforewhileafter"
            transport.close()
            peer.close()

        run(main())
        assert seen == [b"while"]


class TestFiles:
    def test_sendfile(self, impl, run, monkeypatch, tmp_path):
        calls = []
        sendfile = os.sendfile

        def counted(*args):
            calls.append(args[3])
            return sendfile(*args)

        monkeypatch.setattr(os, "sendfile", counted)
        path = tmp_path / "file"
        path.write_bytes(b"x" * 100)
        ours, peer = socket.socketpair()
        ours.setblocking(False)

        async def main():
            with path.open("rb") as file:
                return await asyncio.get_running_loop().sock_sendfile(ours, file)

        with ours, peer:
            assert run(main()) == 100
            assert peer.recv(200) == b"x" * 100
        assert calls[0] == 100


class TestTls:
    def test_reading_and_writing(self, impl, run, monkeypatch):
        """The methods of `ssl.SSLObject` may be replaced while a connection is in use."""
        seen = []

        def watch(name):
            method = getattr(ssl.SSLObject, name)

            def watched(self, *args):
                seen.append(name)
                return method(self, *args)

            monkeypatch.setattr(ssl.SSLObject, name, watched)

        async def echo(reader, writer):
            while data := await reader.readline():
                writer.write(data)
            writer.close()

        async def main():
            server = await impl.start_server(echo, HOST, 0, ssl=server_context())
            reader, writer = await impl.open_connection(
                *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
            )
            writer.write(b"before\n")
            assert await reader.readline() == b"before\n"
            watch("read")
            watch("write")
            writer.write(b"after\n")
            assert await reader.readline() == b"after\n"
            assert {"read", "write"} <= set(seen)
            writer.close()
            await writer.wait_closed()
            server.close()

        run(main())
