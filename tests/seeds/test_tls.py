"""Row "TLS": connections, servers and streams, start_tls, time limits, ALPN, certificates of both sides."""

import asyncio
import pathlib
import socket
import ssl

import pytest

from tests.seeds.handlers import Handlers

CERTIFICATE = pathlib.Path(__file__).parent / "certificate.pem"
"""A key and the certificate that it signed itself, for localhost."""


LIMIT = 4_000_000
"""How long a line may be."""


def server_context():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_context():
    return ssl.create_default_context(cafile=CERTIFICATE)


async def shout(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()


def with_server(aio, client, context=None):
    """Run `client(address)` against a shouting TLS server."""

    async def main():
        handlers, tls = Handlers(shout), context or server_context()
        async with await aio.start_server(handlers, "127.0.0.1", 0, ssl=tls, limit=LIMIT) as server:
            try:
                return await client(server.sockets[0].getsockname())
            finally:
                await handlers.ended()

    return aio.run(main())


def test_streams(aio):
    async def client(address):
        reader, writer = await aio.open_connection(
            *address, ssl=client_context(), server_hostname="localhost"
        )
        writer.write(b"quiet\n")
        answer = await reader.readline()
        extra = {
            key: writer.get_extra_info(key) for key in ("cipher", "peercert", "sslcontext", "ssl_object")
        }
        writer.close()
        await writer.wait_closed()
        return answer, extra

    answer, extra = with_server(aio, client)
    assert answer == b"QUIET\n"
    assert ("DNS", "localhost") in extra["peercert"]["subjectAltName"]
    assert extra["cipher"] and isinstance(extra["sslcontext"], ssl.SSLContext)
    assert isinstance(extra["ssl_object"], ssl.SSLObject)


def test_a_large_transfer(aio):
    size = LIMIT // 2

    async def client(address):
        reader, writer = await aio.open_connection(
            *address, ssl=client_context(), server_hostname="localhost", limit=LIMIT
        )
        writer.write(b"x" * size + b"\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return len(line), set(line)

    assert with_server(aio, client) == (size + 1, set(b"X\n"))


def test_wrong_name_is_refused(aio):
    async def client(address):
        with pytest.raises(ssl.SSLCertVerificationError):
            await aio.open_connection(*address, ssl=client_context(), server_hostname="elsewhere.invalid")

    with_server(aio, client)


def test_unknown_certificate_is_refused(aio):
    async def client(address):
        with pytest.raises(ssl.SSLCertVerificationError):
            await aio.open_connection(*address, ssl=ssl.create_default_context(), server_hostname="localhost")

    with_server(aio, client)


def test_alpn(aio):
    context = server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def client(address):
        ours = client_context()
        ours.set_alpn_protocols(["http/1.1"])
        _, writer = await aio.open_connection(*address, ssl=ours, server_hostname="localhost")
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()
        await writer.wait_closed()
        return chosen

    assert with_server(aio, client, context) == "http/1.1"


def test_sni(aio):
    names = []
    context = server_context()
    context.sni_callback = lambda connection, name, _: names.append(name)

    async def client(address):
        _, writer = await aio.open_connection(*address, ssl=client_context(), server_hostname="localhost")
        writer.close()
        await writer.wait_closed()

    with_server(aio, client, context)
    assert names == ["localhost"]


def test_client_certificate(aio):
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(CERTIFICATE)

    async def client(address):
        ours = client_context()
        ours.load_cert_chain(CERTIFICATE)
        reader, writer = await aio.open_connection(*address, ssl=ours, server_hostname="localhost")
        writer.write(b"known\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer

    assert with_server(aio, client, context) == b"KNOWN\n"


def test_start_tls(aio):
    async def handler(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"GO\n")
        await writer.drain()
        await writer.start_tls(server_context())
        writer.write((await reader.readline()).upper())
        await writer.drain()

    async def main():
        handlers = Handlers(handler)
        async with await aio.start_server(handlers, "127.0.0.1", 0) as server:
            reader, writer = await aio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"GO\n"
            await writer.start_tls(client_context(), server_hostname="localhost")
            assert writer.get_extra_info("cipher")
            writer.write(b"secret\n")
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            await handlers.ended()
        return answer

    assert aio.run(main()) == b"SECRET\n"


def test_protocols(aio):
    class Client(asyncio.Protocol):
        def __init__(self):
            self.answer = asyncio.get_running_loop().create_future()
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport):
            transport.write(b"protocol\n")

        def data_received(self, data):
            self.answer.set_result(data)

        def connection_lost(self, error):
            self.lost.set_result(error)

    async def client(address):
        transport, protocol = await aio.get_running_loop().create_connection(
            Client, *address, ssl=client_context(), server_hostname="localhost", ssl_handshake_timeout=20
        )
        assert isinstance(transport, asyncio.Transport)
        answer = await protocol.answer
        transport.close()
        assert await protocol.lost is None
        return answer

    assert with_server(aio, client) == b"PROTOCOL\n"


def test_handshake_timeout(aio):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            with pytest.raises(
                ConnectionAbortedError, match=r"SSL handshake is taking longer than 0.01 seconds"
            ):
                await aio.open_connection(
                    *silent.getsockname(),
                    ssl=client_context(),
                    server_hostname="localhost",
                    ssl_handshake_timeout=0.01,
                )

    aio.run(main())
