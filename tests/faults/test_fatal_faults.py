"""Connections that break under any call: each end hears of it once, with the reason, and leaves nothing."""

import contextlib
import errno
import os
import tempfile
import weakref

import pytest
import yibu as aio

from tests.faults import programs
from tests.faults.descriptors import descriptors
from tests.faults.programs import HOST, LOOPBACK, BufferedEcho, BufferedEnd, Echo, End, pieces
from tests.unit.tls import client_context, server_context

pytestmark = pytest.mark.yibu_only  # stock asyncio has no such layer

SEEDS = 30
CLIENTS = 5

HARMLESS = {"again": 30, "short_read": 60, "short_write": 60, "spurious": 30}
MIXES = {
    "broken connections": {"reset": 8},
    "no buffers": {"no_buffers": 10},
    "all at once": {"reset": 4, "no_buffers": 4, **HARMLESS},
}
REASONS = {errno.ECONNRESET, errno.EPIPE, errno.ENOBUFS}


async def closed(before):
    """Wait until all descriptors are closed but those of before, and those of the loop."""
    while any(target.startswith(("socket", "pipe")) for _, target in descriptors() - before):
        await aio.sleep(0)
    await aio.sleep(0)  # TLS hears of it from the transport below, and tells its own protocol a turn later


def check_end(end):
    """An end that was made is lost once (twice fails in itself), for a reason that is one."""
    if end.transport is None:
        assert not end.lost.done()
        return
    error = end.lost.result()
    assert error is None or (isinstance(error, OSError) and error.errno in REASONS), repr(error)
    assert end.transport.is_closing()


def converse(server_factory, client_factory, secure):
    async def program(loop, source):
        before, servers, alive = descriptors(), [], weakref.WeakSet()

        def serve():
            servers.append(server_factory())
            alive.add(servers[-1])
            return servers[-1]

        async def talk():
            options = {"ssl": client_context(), "server_hostname": HOST} if secure else {}
            try:
                transport, client = await loop.create_connection(client_factory, *address, **options)
            except OSError as error:  # the handshake
                assert secure, repr(error)
                return
            alive.update((transport, client))
            whole = b"".join(data := pieces(source))
            await client.write(data, source)
            while len(client.data) < len(whole) and not client.lost.done():
                await aio.sleep(0)
            assert whole.startswith(client.data)
            transport.close()
            await client.lost
            check_end(client)

        server = await loop.create_server(serve, LOOPBACK, 0, ssl=server_context() if secure else None)
        address = server.sockets[0].getsockname()
        await aio.gather(*[talk() for _ in range(CLIENTS)])
        server.close()
        await closed(before)
        for each in servers:
            check_end(each)
        servers.clear()
        return alive

    return program


FLAVOURS = {
    "protocols": converse(Echo, End, secure=False),
    "buffered protocols": converse(BufferedEcho, BufferedEnd, secure=False),
    "TLS": converse(Echo, End, secure=True),
    "TLS, buffered": converse(BufferedEcho, BufferedEnd, secure=True),
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_end_is_lost_once(unkind, flavour, mix):
    for seed in range(SEEDS):
        alive = unkind.run(FLAVOURS[flavour], seed, **MIXES[mix])
        assert list(alive) == []


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("mix", MIXES)
def test_streams_raise_the_reason(unkind, mix, secure):
    async def program(loop, source):
        before = descriptors()

        async def serve(reader, writer):
            with contextlib.suppress(OSError, aio.IncompleteReadError):
                await programs.serve_lines(reader, writer)
            writer.transport.abort()

        server = await aio.start_server(serve, LOOPBACK, 0, ssl=server_context() if secure else None)
        for _ in range(CLIENTS):
            with contextlib.suppress(OSError, aio.IncompleteReadError):
                options = {"ssl": client_context(), "server_hostname": HOST} if secure else {}
                connection = await aio.open_connection(*server.sockets[0].getsockname(), **options)
                try:
                    await programs.ask_lines(source, *connection)
                finally:
                    connection[1].transport.abort()
        server.close()
        await closed(before)
        while len(aio.all_tasks()) > 1:
            await aio.sleep(0)

    for seed in range(SEEDS):
        unkind.run(program, seed, **MIXES[mix])


def test_sockets_of_the_program_s_own_raise_the_reason(unkind):
    async def program(loop, source):
        try:
            await programs.own_sockets(loop, source)
        except ExceptionGroup as group:
            (error,) = group.exceptions
            return error.errno

    reasons = {unkind.run(program, seed, **MIXES["all at once"]) for seed in range(4 * SEEDS)}
    assert {None} < reasons <= REASONS | {None}


def test_datagram_endpoints_live_on(unkind):
    """A refused datagram is reported to the protocol, is lost, and is no end."""

    class Recorder(aio.DatagramProtocol):
        def __init__(self):
            self.data, self.errors, self.lost = [], [], []
            self.changed = aio.Event()

        def datagram_received(self, data, address):
            self.data.append(int(data))
            self.changed.set()

        def error_received(self, error):
            self.errors.append(error.errno)
            self.changed.set()

        def connection_lost(self, error):
            self.lost.append(error)
            self.changed.set()

    async def program(loop, source):
        receiving, receiver = await loop.create_datagram_endpoint(Recorder, (LOOPBACK, 0))
        address = receiving.get_extra_info("sockname")
        sending, sender = await loop.create_datagram_endpoint(Recorder, remote_addr=address)
        for number in range(50):
            receiver.changed.clear()
            sender.changed.clear()
            sending.sendto(b"%d" % number)
            while number not in receiver.data and not sender.changed.is_set():
                await aio.sleep(0)
        assert receiver.data == sorted(set(receiver.data))
        assert len(receiver.data) + len(sender.errors) >= 50
        for transport, protocol in ((sending, sender), (receiving, receiver)):
            assert not transport.is_closing()
            transport.close()
            while not protocol.lost:
                await aio.sleep(0)
            assert protocol.lost == [None]
        return set(sender.errors + receiver.errors)

    errors = [unkind.run(program, seed, **MIXES["all at once"]) for seed in range(SEEDS)]
    assert set().union(*errors) == {errno.ECONNREFUSED, errno.ENOBUFS}


def test_pipes_that_break(unkind):
    async def program(loop, source):
        before = descriptors()
        reading, writing = os.pipe()
        _, reader = await loop.connect_read_pipe(End, os.fdopen(reading, "rb"))
        near, writer = await loop.connect_write_pipe(End, os.fdopen(writing, "wb"))
        whole = b"".join(data := pieces(source))
        for piece in data:
            near.write(piece)
            await writer.room.wait()
        near.close()
        error = await writer.lost
        assert error is None or error.errno == errno.EPIPE
        assert await reader.lost is None
        assert whole.startswith(reader.data)
        assert error or whole == reader.data
        await closed(before)
        return error is None

    arrived = [unkind.run(program, seed, reset=20) for seed in range(SEEDS)]
    assert not all(arrived)


def test_a_file_that_cannot_be_sent(unkind):
    """sendfile() raises what broke the connection, whether the kernel or the loop was copying."""

    async def program(loop, source):
        before, received = descriptors(), bytearray()
        body = source.randbytes(400_000)

        class Receiver(End):
            def data_received(self, data):
                received.extend(data)

        served = []
        server = await loop.create_server(lambda: served.append(Receiver()) or served[-1], LOOPBACK, 0)
        transport, client = await loop.create_connection(End, *server.sockets[0].getsockname())
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.seek(0)  # where copying begins
            try:
                sent = await loop.sendfile(transport, file, fallback=source.random() < 0.8)
            except (OSError, RuntimeError):
                sent = None
        while not served:  # all of it may have gone before it was accepted
            await aio.sleep(0)
        transport.close()
        await client.lost
        check_end(client)
        server.close()
        await closed(before)
        assert body.startswith(received)
        if sent is not None and not any(end.lost.result() for end in (client, *served)):
            assert received == body
        return sent == len(body)

    sent = [unkind.run(program, seed, reset=20, again=40, short_write=100) for seed in range(SEEDS)]
    assert True in sent
    assert False in sent


def test_a_process_whose_input_breaks_is_waited_for(unkind):
    async def program(loop, source):
        data = source.randbytes(200_000)
        process = await aio.create_subprocess_exec("cat", stdin=programs.PIPE, stdout=programs.PIPE)
        output, _ = await process.communicate(data)
        assert data.startswith(output)
        assert process.returncode == 0
        return output == data

    arrived = [unkind.run(program, seed, reset=40) for seed in range(SEEDS)]
    assert not all(arrived)


@pytest.mark.time_limit(60)
def test_accepting_goes_on_when_there_are_descriptors_again(impl, reports):
    """Every connection is accepted in the end; what kept it waiting is reported."""
    faults = impl.module._yibu._faults
    struck = faults(1, no_descriptors=128)
    loop = impl.new_event_loop()
    faults()
    loop.set_exception_handler(lambda _loop, context: reports.append(context))

    async def program():
        served = []
        server = await loop.create_server(lambda: served.append(Echo()) or served[-1], LOOPBACK, 0)
        address = server.sockets[0].getsockname()
        clients = [await loop.create_connection(End, *address) for _ in range(4)]
        for number, (transport, client) in enumerate(clients):
            transport.write(b"%d" % number)
            while not client.data:
                await aio.sleep(0.001)
            assert client.data == b"%d" % number
            transport.close()
            await client.lost
        for each in served:
            await each.lost
        server.close()

    try:
        task = loop.create_task(program())
        while not task.done():
            # Where the loop has no descriptor for what it waits with, it says so, and may be run again.
            with contextlib.suppress(OSError):
                loop.run_until_complete(aio.wait([task]))
        task.result()
    finally:
        loop.close()
    assert faults() > struck
    assert reports
    for context in reports:
        assert context["message"] == "socket.accept() out of system resource"
        assert context["exception"].errno == errno.EMFILE
        assert isinstance(context["socket"], aio.trsock.TransportSocket)
