"""What OpenSSL calls while it works may do anything: raise, close the connection, write to it."""

import asyncio
import gc
import ssl

import pytest

from tests.unit.tls import client_context, server_context


class Peer(asyncio.Protocol):
    def __init__(self):
        self.lost = asyncio.Event()
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data

    def connection_lost(self, error):
        self.lost.set()


ACTIONS = {
    "raise": lambda transport: 1 / 0,
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "write": lambda transport: transport.write(b"from a callback"),
    "collect": lambda transport: gc.collect(),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("callback", ["server name", "messages"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_handshake(run, loop, callback, action):
    async def main():
        context, at_server, at_client = server_context(), Peer(), Peer()
        called = []

        def act(*_):
            transport = getattr(at_server, "tls", None)
            called.append(transport)
            if transport is not None and called.count(transport) == 1:
                ACTIONS[action](transport)

        if callback == "server name":
            context.sni_callback = act
        else:
            context._msg_callback = act
        server = await loop.create_server(lambda: at_server, "127.0.0.1", 0)
        client, _ = await loop.create_connection(lambda: at_client, *server.sockets[0].getsockname())
        while not hasattr(at_server, "transport"):
            await asyncio.sleep(0)

        async def secure(transport, protocol, context, **options):
            try:
                return await loop.start_tls(transport, protocol, context, **options)
            except (OSError, ssl.SSLError, ZeroDivisionError):
                return None

        upgrading = asyncio.ensure_future(
            secure(at_server.transport, at_server, context, server_side=True, ssl_handshake_timeout=5)
        )
        await asyncio.sleep(0)
        at_server.tls = at_server.transport.get_protocol()._app_transport
        secured = await secure(
            client, at_client, client_context(), server_hostname="localhost", ssl_handshake_timeout=5
        )
        await upgrading
        assert called
        for transport in (secured, client, at_server.transport):
            if transport is not None:
                transport.abort()
        for _ in range(10):
            await asyncio.sleep(0)
        server.close()

    loop.set_exception_handler(lambda loop, context: None)
    run(main())
