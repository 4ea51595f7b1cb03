"""The two ends of a TLS connection that are wired to each other in memory."""

import asyncio
import pathlib
import ssl
from asyncio import sslproto

CERTIFICATE = pathlib.Path(__file__).parent.parent / "seeds" / "certificate.pem"
KIB = 1024


def server_context():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_context():
    return ssl.create_default_context(cafile=CERTIFICATE)


def client_protocol(impl, loop):
    """The TLS protocol of a client; since 3.14 some contexts want a name to check when the object is made."""
    given = asyncio.Protocol(), client_context(), None
    return impl.sslproto.SSLProtocol(loop, *given, server_hostname="localhost")


def protocol_class(impl):
    """The class under test."""
    return sslproto.SSLProtocol if impl.is_stock else impl.module._yibu.SSLProtocol


class Wire(asyncio.Transport):
    """The transport below: keeps what is written, and what else is done to it."""

    def __init__(self):
        super().__init__()
        self.written = []
        self.calls = []
        self.error = None

    def write(self, data):
        self.written.append(bytes(data))

    def take(self):
        written, self.written = b"".join(self.written), []
        return written

    def pause_reading(self):
        self.calls.append("pause_reading")

    def resume_reading(self):
        self.calls.append("resume_reading")

    def is_closing(self):
        return "close" in self.calls

    def close(self):
        self.calls.append("close")

    def _force_close(self, error):
        self.calls.append("force_close")
        self.error = error

    def abort(self):
        self._force_close(None)

    def get_extra_info(self, name, default=None):
        return {"wire": self}.get(name, default)


class App(asyncio.Protocol):
    """The application: records what it is told."""

    keep_open = None

    def __init__(self):
        self.events = []
        self.data = bytearray()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        assert type(data) is bytes
        assert data
        self.data += data
        if self.events[-1] != "data":
            self.events.append("data")

    def eof_received(self):
        self.events.append("eof")
        return self.keep_open

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, error):
        self.events.append(("lost", error))


class BufferedApp(asyncio.BufferedProtocol):
    """The same with a buffer."""

    def __init__(self, size):
        self.buffer = memoryview(bytearray(size))
        self.data = bytearray()
        self.events = []

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        assert sizehint >= 0
        return self.buffer

    def buffer_updated(self, count):
        assert count > 0
        self.data += self.buffer[:count]

    def eof_received(self):
        self.events.append("eof")


class End:
    """One end of a connection."""

    def __init__(self, kind, loop, app, context, server_side, **options):
        self.app = app
        self.waiter = loop.create_future()
        name = None if server_side else "localhost"
        self.tls = kind(loop, app, context, self.waiter, server_side, name, **options)
        self.transport = self.tls._app_transport
        self.wire = Wire()

    def made(self):
        self.tls.connection_made(self.wire)

    def receive(self, data):
        """Give bytes to the end as a transport does that fills buffers."""
        rest = memoryview(data)
        while rest:
            buffer = self.tls.get_buffer(-1)
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            self.tls.buffer_updated(count)
            rest = rest[count:]

    def lose(self, error=None):
        if self.tls._transport is not None:
            self.tls.connection_lost(error)


class Ends:
    """Both ends of a connection."""

    def __init__(self, kind, loop, server_app=None, client_app=None, contexts=None, **options):
        self.loop = loop
        server, client = contexts or (server_context(), client_context())
        self.server = End(kind, loop, server_app or App(), server, True, **options)
        self.client = End(kind, loop, client_app or App(), client, False, **options)

    def exchange(self, step=None):
        """Carry bytes both ways until there are none."""
        while True:
            up, down = self.client.wire.take(), self.server.wire.take()
            if not up and not down:
                return
            for end, data in ((self.server, up), (self.client, down)):
                for start in range(0, len(data), step or len(data) or 1):
                    end.receive(data[start : start + (step or len(data))])

    def shake(self, step=None):
        self.server.made()
        self.client.made()
        self.exchange(step)
        assert self.server.waiter.done()
        assert self.client.waiter.done()
        return self.server, self.client

    def turn(self):
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
