"""TLS on connections of a loop: `start_tls`, servers and clients."""

import asyncio
import contextlib
import gc
import ssl
import weakref

import pytest

from tests.unit.protocols import tcp_pair
from tests.unit.tls import KIB, App, client_context, protocol_class, server_context


class Collector(App):
    """An application on a real loop, which waits for what is recorded."""

    def __init__(self):
        super().__init__()
        self.changed = asyncio.Event()

    def connection_made(self, transport):
        super().connection_made(transport)
        self.changed.set()

    def data_received(self, data):
        super().data_received(data)
        self.changed.set()

    def connection_lost(self, error):
        super().connection_lost(error)
        self.changed.set()

    async def until(self, condition):
        while not condition():
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
def plain(loop):
    """Make two connected transports of the loop, without TLS."""
    made = []

    async def plain():
        for sock in tcp_pair():
            sock.setblocking(False)
            made.append(await loop.create_connection(Collector, sock=sock))
        return made[-2:]

    yield plain
    for transport, _ in made:
        transport.abort()
    if not loop.is_closed():
        loop.run_until_complete(asyncio.sleep(0))


class TestStartTls:
    def test_both_ends(self, loop, plain, run):
        async def main():
            (below, server), (above, client) = await plain()
            secured = await asyncio.gather(
                loop.start_tls(below, server, server_context(), server_side=True),
                loop.start_tls(above, client, client_context(), server_hostname="localhost"),
            )
            # connection_made() was called before, and is not called again.
            assert server.events == client.events == ["made"]
            secured[1].write(b"secret" * 50_000)
            await server.until(lambda: len(server.data) == 300_000)
            assert server.data == b"secret" * 50_000
            secured[1].close()
            for app in (server, client):
                await app.until(lambda app=app: app.events[-1] == ("lost", None))

        run(main())

    def test_memory_that_a_program_makes(self, loop, plain, run, monkeypatch):
        made, original = [], ssl.MemoryBIO

        def memory():
            made.append(original())
            return made[-1]

        async def main():
            monkeypatch.setattr(ssl, "MemoryBIO", memory)
            (below, server), (above, client) = await plain()
            secured = await asyncio.gather(
                loop.start_tls(below, server, server_context(), server_side=True),
                loop.start_tls(above, client, client_context(), server_hostname="localhost"),
            )
            assert len(made) == 4
            secured[1].write(b"secret")
            await server.until(lambda: server.data == b"secret")
            secured[1].close()
            for app in (server, client):
                await app.until(lambda app=app: app.events[-1] == ("lost", None))

        run(main())

    def test_tls_in_tls(self, loop, plain, run):
        async def main():
            ends = await plain()
            for _ in range(2):
                (below, server), (above, client) = ends
                secured = await asyncio.gather(
                    loop.start_tls(below, server, server_context(), server_side=True),
                    loop.start_tls(above, client, client_context(), server_hostname="localhost"),
                )
                ends = list(zip(secured, (server, client), strict=True))
            secured[0].write(b"deep" * 50_000)
            await client.until(lambda: len(client.data) == 200_000)
            assert client.data == b"deep" * 50_000
            secured[0].close()
            for app in (server, client):
                await app.until(lambda app=app: app.events[-1] == ("lost", None))

        run(main())

    @pytest.mark.yibu_only
    def test_a_transport_that_waits_for_its_peer(self, loop, plain, run):
        """The protocol was told to pause, and is told to go on, although TLS is in its place meanwhile."""

        class Paused(Collector):
            def pause_writing(self):
                self.events.append("pause")

            def resume_writing(self):
                self.events.append("resume")
                self.changed.set()

        async def main():
            (below, _server), (above, client) = await plain()
            paused = Paused()
            below.set_protocol(paused)
            above.pause_reading()
            below.write(b"-" * 20_000_000)
            assert paused.events == ["pause"]
            upgrading = asyncio.ensure_future(
                loop.start_tls(below, paused, server_context(), server_side=True)
            )
            await asyncio.sleep(0)
            above.resume_reading()
            await client.until(lambda: len(client.data) == 20_000_000)
            secured = await loop.start_tls(above, client, client_context(), server_hostname="localhost")
            transport = await upgrading
            await paused.until(lambda: "resume" in paused.events)
            assert paused.events == ["pause", "resume"]
            transport.write(b"secret")
            await client.until(lambda: client.data.endswith(b"secret"))
            secured.abort()
            transport.abort()

        run(main())

    @pytest.mark.parametrize("left", [0, 10])
    def test_what_becomes_shorter_while_it_waits(self, loop, plain, run, left):
        async def main():
            (below, server), (above, client) = await plain()
            data = bytearray(b"-" * 100_000)

            upgrading = asyncio.ensure_future(
                loop.start_tls(below, server, server_context(), server_side=True)
            )
            for _ in range(3):
                await asyncio.sleep(0)
            protocol = below.get_protocol()
            protocol._app_transport.write(data)
            protocol._app_transport.write(b"the rest")
            del data[left:]
            secured = await loop.start_tls(above, client, client_context(), server_hostname="localhost")
            transport = await upgrading
            await client.until(lambda: client.data.endswith(b"the rest"))
            assert client.data == b"-" * left + b"the rest"
            secured.abort()
            transport.abort()

        run(main())

    def test_garbage(self, loop, plain, run):
        async def main():
            (below, server), (above, client) = await plain()
            above.write(b"this is no handshake, but it is long enough to tell")
            with pytest.raises(ssl.SSLError):
                await loop.start_tls(below, server, server_context(), server_side=True)
            await client.until(lambda: client.events[-1] == ("lost", None))
            assert below.is_closing()

        run(main())

    def test_the_peer_closes(self, loop, plain, run):
        async def main():
            (below, server), (above, _) = await plain()
            above.close()
            with pytest.raises(ConnectionResetError):
                await loop.start_tls(below, server, server_context(), server_side=True)

        run(main())

    @pytest.mark.parametrize("turns", range(4))
    def test_cancelled(self, loop, plain, run, turns):
        async def main():
            (below, server), (_, client) = await plain()
            starting = asyncio.ensure_future(
                loop.start_tls(below, server, server_context(), server_side=True)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            if turns == 0:  # it never ran
                assert not below.is_closing()
                return
            assert below.is_closing()
            await client.until(lambda: isinstance(client.events[-1], tuple))

        run(main())

    def test_takes_too_long(self, loop, plain, run):
        async def main():
            (below, server), _ = await plain()
            with pytest.raises(ConnectionAbortedError, match="SSL handshake is taking longer than"):
                await loop.start_tls(
                    below, server, server_context(), server_side=True, ssl_handshake_timeout=0.01
                )

        run(main())

    def test_wrong_arguments(self, loop, plain, run):
        async def main():
            (below, server), _ = await plain()
            with pytest.raises(
                TypeError, match=r"^sslcontext is expected to be an instance of ssl\.SSLContext, got True$"
            ):
                await loop.start_tls(below, server, True)
            with pytest.raises(TypeError, match=r"^transport <.*> is not supported by start_tls\(\)$"):
                await loop.start_tls(asyncio.Transport(), server, server_context())
            with pytest.raises(ValueError, match="ssl_handshake_timeout should be a positive number, got 0"):
                await loop.start_tls(below, server, server_context(), ssl_handshake_timeout=0)

        run(main())

    def test_never_awaited_does_nothing(self, loop, plain, run):
        async def main():
            (below, server), _ = await plain()
            with pytest.warns(RuntimeWarning, match="start_tls' was never awaited"):
                loop.start_tls(below, server, server_context())
            assert below.get_protocol() is server

        run(main())

    def test_on_a_transport_of_somebody_else(self, impl, make_loop):
        """The protocol under test on a stock loop and its transport."""
        kind = protocol_class(impl)
        loop = make_loop(asyncio.SelectorEventLoop)

        async def main():
            ends = []
            for number, sock in enumerate(tcp_pair()):
                sock.setblocking(False)
                context = client_context() if number else server_context()
                name = "localhost" if number else None
                app, waiter = Collector(), loop.create_future()
                tls = kind(loop, app, context, waiter, not number, name)
                await loop.create_connection(lambda tls=tls: tls, sock=sock)
                ends.append((app, waiter))
            (server, first), (client, second) = ends
            await asyncio.gather(first, second)
            client.transport.write(b"abroad" * 50_000)
            await server.until(lambda: len(server.data) == 300_000)
            assert server.data == b"abroad" * 50_000
            client.transport.close()
            for app in (server, client):
                await app.until(lambda app=app: app.events[-1] == ("lost", None))

        loop.run_until_complete(main())


class TestConnections:
    """Over sockets, with servers and clients of the loop."""

    @pytest.fixture
    def serve(self, loop):
        """Start a TLS server; return it with the applications that it makes."""

        async def serve(**options):
            apps = []

            def factory():
                apps.append(Collector())
                return apps[-1]

            server = await loop.create_server(factory, "127.0.0.1", 0, ssl=server_context(), **options)
            return server, apps

        return serve

    async def connect(self, loop, server, **options):
        options = {"ssl": client_context(), "server_hostname": "localhost", **options}
        return await loop.create_connection(Collector, *server.sockets[0].getsockname(), **options)

    def test_a_large_transfer_against_a_slow_reader(self, loop, serve, run):
        async def main():
            server, apps = await serve()
            async with server:
                transport, client = await self.connect(loop, server)
                transport.pause_reading()
                (app,) = apps
                await app.until(lambda: app.events)
                size = sent = 0
                while "pause" not in app.events:
                    app.transport.write(bytes([sent % 256]) * 50_000)
                    sent += 1
                    size = max(size, app.transport.get_write_buffer_size())
                    await asyncio.sleep(0)
                assert size < 512 * KIB + 60_000
                transport.resume_reading()
                await client.until(lambda: len(client.data) == sent * 50_000)
                assert client.data == b"".join(bytes([n % 256]) * 50_000 for n in range(sent))
                transport.close()
                await app.until(lambda: app.events[-1] == ("lost", None))

        run(main())

    def test_a_client_that_says_nothing_is_dropped(self, loop, serve, run):
        async def main():
            server, apps = await serve(ssl_handshake_timeout=0.01)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()
                assert apps[0].events == []

        run(main())

    def test_a_client_that_knows_no_tls(self, loop, serve, run):
        async def main():
            server, apps = await serve()
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
                writer.close()
                assert apps[0].events == []

        run(main())

    def test_many_and_nothing_is_left(self, loop, serve, run):
        async def main():
            server, apps = await serve()
            contexts = []
            async with server:
                for _ in range(20):
                    context = client_context()
                    contexts.append(weakref.ref(context))
                    transport, client = await self.connect(loop, server, ssl=context)
                    transport.write(b"x")
                    await apps[-1].until(lambda: apps[-1].data)
                    transport.close()
                    await client.until(lambda client=client: client.events[-1] == ("lost", None))
                    del transport, client, context
                for app in apps:
                    await app.until(lambda app=app: app.events[-1] == ("lost", None))
            return contexts

        contexts = run(main())
        gc.collect()
        assert [context for context in contexts if context() is not None] == []

    def test_extra_info_of_the_socket(self, loop, serve, run):
        async def main():
            server, apps = await serve()
            async with server:
                transport, client = await self.connect(loop, server)
                await apps[0].until(lambda: apps[0].events)
                assert transport.get_extra_info("peername") == server.sockets[0].getsockname()
                assert apps[0].transport.get_extra_info("peername") == transport.get_extra_info("sockname")
                assert transport.get_extra_info("socket").fileno() > 0
                transport.close()
                await client.until(lambda: client.events[-1] == ("lost", None))
                await apps[0].until(lambda: apps[0].events[-1] == ("lost", None))

        run(main())


@pytest.mark.yibu_only(before=(3, 14, 1))  # stock loses them
def test_a_stream_s_early_bytes_are_part_of_the_handshake(impl, run):
    """A client that begins before the server asks: what its stream has read already is not lost."""
    served = asyncio.Event()

    async def handle(reader, writer):
        await reader.readexactly(1)
        while not reader._buffer:
            await asyncio.sleep(0)
        await writer.start_tls(server_context())
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        served.set()

    async def main():
        server = await impl.start_server(handle, "127.0.0.1", 0)
        async with server:
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            writer.write(b"!")
            await writer.start_tls(client_context(), server_hostname="localhost")
            writer.write(b"echo\n")
            assert await reader.readline() == b"echo\n"
            writer.close()
            await served.wait()

    run(main())


@pytest.mark.yibu_only(before=(3, 14, 1))  # stock loses them
def test_a_stream_protocol_s_early_bytes_are_part_of_the_handshake(impl, run):
    """The same by way of the loop's method, for a stream that has paused its transport."""

    async def handle(reader, writer):
        assert await reader.readline() == b"PROXY TCP4\n"
        while not reader._buffer:
            await asyncio.sleep(0)
        loop, protocol = asyncio.get_running_loop(), writer.transport.get_protocol()
        context = server_context()
        writer._transport = await loop.start_tls(writer.transport, protocol, context, server_side=True)
        writer.write(b"encrypted")
        writer.close()

    async def main():
        server = await impl.start_server(handle, "127.0.0.1", 0, limit=64)
        async with server:
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
            before, got = b"PROXY TCP4\n", b""
            while not got:
                try:
                    tls.do_handshake()
                    got = tls.read()
                except ssl.SSLWantReadError:
                    writer.write(before + outgoing.read())
                    before = b""
                    incoming.write(await reader.read(65536))
            assert got == b"encrypted"
            writer.close()

    run(main())
