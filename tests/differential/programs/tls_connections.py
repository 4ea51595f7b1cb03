"""TLS 1.2 and 1.3: sessions, protocols, certificates of clients, callbacks that do what they may not."""

import asyncio
import gc
import pathlib
import ssl
import sys

CERTIFICATE = pathlib.Path(__file__).parents[2] / "seeds" / "certificate.pem"
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

unraisable = []
sys.unraisablehook = lambda hooked: unraisable.append(type(hooked.exc_value).__name__)


class Resuming(ssl.SSLContext):
    """Gives each connection the session of the one before."""

    session = None

    def wrap_bio(self, *arguments, **options):
        return super().wrap_bio(*arguments, session=self.session, **options)


def server_context(version):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    context.minimum_version = context.maximum_version = version
    return context


def client_context(version):
    context = Resuming(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    context.minimum_version = context.maximum_version = version
    return context


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def exchange(server, client, factory=Echo):
    """One connection: its TLS object, or None where it ends before it has echoed something."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(factory, "127.0.0.1", 0, ssl=server)
    try:
        reader, writer = await asyncio.open_connection(
            *listener.sockets[0].getsockname(), ssl=client, server_hostname="localhost"
        )
        try:
            writer.write(b"hello")
            received = await reader.readexactly(5)
        finally:
            writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError):
        return None  # which error it is depends on what arrives first
    finally:
        listener.close()
        await asyncio.sleep(0.01)
    assert received == b"hello"
    return writer.get_extra_info("ssl_object")


async def sessions(version):
    server, client = server_context(version), client_context(version)
    for _ in range(3):
        connection = await exchange(server, client)
        client.session = connection.session
        print("session:", connection.session_reused, connection.session.has_ticket, connection.version())
    print("hits:", server.session_stats()["hits"])


async def protocols(version):
    for offered, wanted in ((["h2", "http/1.1"], ["http/1.1"]), (["h2"], ["spdy"]), (["h2"], [])):
        server, client = server_context(version), client_context(version)
        server.set_alpn_protocols(offered)
        client.set_alpn_protocols(wanted)
        print("protocol:", (await exchange(server, client)).selected_alpn_protocol())


async def certificates_of_clients(version):
    for given in (True, False):
        server, client = server_context(version), client_context(version)
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(CERTIFICATE)
        if given:
            client.load_cert_chain(CERTIFICATE)
        outcome = await exchange(server, client)
        print("certificate of the client:", given, "refused" if outcome is None else "accepted")


def fail(connection, name, context):
    raise ZeroDivisionError


def recurse(connection, name, context):
    recurse(connection, name, context)


def alert(connection, name, context):
    return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


def answer_nonsense(connection, name, context):
    return "nonsense"


def take_another_context(connection, name, context):
    connection.context = server_context(context.minimum_version)


def take_no_context(connection, name, context):
    connection.context = None


def take_itself_away(connection, name, context):
    context.sni_callback = None


def collect(connection, name, context):
    gc.collect()


CALLBACKS = (
    fail,
    recurse,
    alert,
    answer_nonsense,
    take_another_context,
    take_no_context,
    take_itself_away,
    collect,
)


async def callbacks(version):
    for callback in CALLBACKS:
        server, client = server_context(version), client_context(version)
        server.sni_callback = callback
        outcome = await exchange(server, client)
        print(callback.__name__, "refused" if outcome is None else "connected", unraisable)
        unraisable.clear()


async def messages(version):
    def tell(connection, *arguments):
        raise ZeroDivisionError

    server, client = server_context(version), client_context(version)
    server._msg_callback = tell
    outcome = await exchange(server, client)
    print("messages:", "refused" if outcome is None else "connected", sorted(set(unraisable)))
    unraisable.clear()


async def main():
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context["message"]))
    for version in VERSIONS:
        print(version.name)
        for part in (sessions, protocols, certificates_of_clients, callbacks, messages):
            await part(version)
            print(part.__name__, "reported", sorted(set(reports)))
            reports.clear()


asyncio.run(main())
