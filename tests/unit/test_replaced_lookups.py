"""What the loop passes to methods and functions that a program replaces: the enumerations of `socket`."""

import asyncio
import socket

import pytest


def kinds(values):
    return {name: type(value).__name__ for name, value in values.items()}


STREAM = {"type": "SocketKind", "proto": "int", "flags": "int", "family": "int"}


@pytest.fixture
def asked(loop):
    """Have `getaddrinfo` of the loop note the types of its arguments."""
    seen = []
    original = loop.getaddrinfo

    async def getaddrinfo(host, port, **keywords):
        seen.append(kinds(keywords))
        return await original(host, port, **keywords)

    loop.getaddrinfo = getaddrinfo
    return seen


class TestGetaddrinfo:
    def test_of_a_server(self, loop, run, asked):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "localhost", 0)
            server.close()
            await server.wait_closed()

        run(main())
        assert asked == [{**STREAM, "family": "AddressFamily", "flags": "AddressInfo"}]

    def test_of_what_was_given(self, loop, run, asked):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "localhost", 0, family=2, flags=0)
            server.close()
            await server.wait_closed()

        run(main())
        assert asked == [STREAM]

    def test_of_connections(self, loop, run, asked):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, "localhost", port, family=socket.AF_INET, local_addr=("localhost", 0)
                )
                transport.close()

        run(main())
        assert asked == [{**STREAM, "family": "AddressFamily"}] * 2

    def test_of_datagrams(self, loop, run, asked):
        async def main():
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, ("localhost", 0), family=socket.AF_INET
            )
            transport.close()

        run(main())
        assert asked == [{**STREAM, "family": "AddressFamily"}]


class TestEnsureResolved:
    def test_what_sock_connect_asks(self, loop, run):
        seen = []
        original = loop._ensure_resolved

        async def ensure_resolved(address, **keywords):
            seen.append(kinds(keywords))
            return await original(address, **keywords)

        async def main():
            with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as ours:
                ours.setblocking(False)
                loop._ensure_resolved = ensure_resolved
                await loop.sock_connect(ours, server.getsockname())

        run(main())
        (keywords,) = seen
        assert {name: keywords[name] for name in ("family", "type", "proto")} == {
            "family": "AddressFamily",
            "type": "SocketKind",
            "proto": "int",
        }
        assert set(keywords) == {"family", "type", "proto", "loop"}


class TestSockets:
    @pytest.fixture
    def made(self, monkeypatch):
        """Put a class into `socket` that notes what its methods get."""
        seen = []

        class Socket(socket.socket):
            def __init__(self, *args, **keywords):
                if "fileno" not in keywords and len(args) < 4:
                    seen.append(("made", [*map(type, args), *map(type, keywords.values())]))
                super().__init__(*args, **keywords)

            def setsockopt(self, *args):
                seen.append(("set", args[-1]))
                return super().setsockopt(*args)

        monkeypatch.setattr(socket, "socket", Socket)
        return seen

    def test_of_a_server(self, loop, run, made):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, reuse_port=True)
            server.close()
            await server.wait_closed()

        run(main())
        assert made == [("made", [socket.AddressFamily, socket.SocketKind, int]), ("set", True), ("set", 1)]
        assert [type(value) for what, value in made if what == "set"] == [bool, int]

    def test_of_unix_sockets(self, loop, run, made, tmp_path):
        path = str(tmp_path / "socket")

        async def main():
            server = await loop.create_unix_server(asyncio.Protocol, path)
            server.close()
            await server.wait_closed()
            (tmp_path / "socket").unlink(missing_ok=True)

        async def connect():
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(path)
                listening.listen()
                made.clear()
                transport, _ = await loop.create_unix_connection(asyncio.Protocol, path)
                transport.close()

        family = [socket.AddressFamily, socket.SocketKind]
        run(main())
        assert [what for what in made if what[0] == "made"] == [("made", family)]
        run(connect())
        assert made == [("made", [*family, int])]

    def test_numeric_addresses_are_read_with_them(self, loop, run, monkeypatch):
        seen, original = [], socket.inet_pton
        monkeypatch.setattr(socket, "inet_pton", lambda *args: (seen.append(args), original(*args))[1])

        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            server.close()
            await server.wait_closed()

        run(main())
        assert seen == [(socket.AF_INET, "127.0.0.1")]
        assert type(seen[0][0]) is socket.AddressFamily


class TestFuturesOfSocketMethods:
    def test_create_future_is_asked(self, loop, run):
        made = []
        original = loop.create_future

        def create_future():
            made.append(original())
            return made[-1]

        async def main():
            ours, peer = socket.socketpair()
            with ours, peer:
                ours.setblocking(False)
                loop.create_future = create_future
                loop.call_soon(peer.send, b"x")
                assert await loop.sock_recv(ours, 1) == b"x"

        run(main())
        assert len(made) == 1

    def test_futures_of_another_class(self, loop, run):
        class Future(asyncio.Future):
            pass

        async def main():
            ours, peer = socket.socketpair()
            with ours, peer:
                ours.setblocking(False)
                loop.create_future = lambda: Future(loop=loop)
                task = asyncio.ensure_future(loop.sock_recv(ours, 1))
                await asyncio.sleep(0)
                assert type(task._fut_waiter) is Future
                peer.send(b"x")
                assert await task == b"x"

        run(main())
