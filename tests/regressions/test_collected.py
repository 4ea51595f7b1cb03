"""A task that waits for the loop, or for the kernel, goes with its loop: collected, and reported as pending.

What a pending coroutine refers to, and who will wake it, the collector sees, whatever it waits for.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import tempfile
import warnings
import weakref
from pathlib import Path

import pytest

CERTIFICATE = Path(__file__).parents[1] / "unit" / "localhost.pem"

WORKS = {}


def work(function):
    """A coroutine function of a loop, of what its task refers to, and of what has to be closed in the end."""
    WORKS[function.__name__] = function
    return function


class Mark:
    pass


class Scene(contextlib.ExitStack):
    """What has to be closed in the end, and whose functions are called."""

    def __init__(self, impl):
        super().__init__()
        self.impl = impl


def socket_pair(scene):
    pair = socket.socketpair()
    for each in pair:
        each.setblocking(False)
    scene.callback(pair[1].close)
    return pair


def silent_listener(scene):
    """An address that does not answer: its backlog is full."""
    listener = scene.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(6):
        filler = scene.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return listener.getsockname()


class Protocol(asyncio.Protocol):
    pass


class DatagramProtocol(asyncio.DatagramProtocol):
    pass


def factory(mark):
    def make():
        protocol = Protocol()
        protocol.mark = mark
        return protocol

    return make


@work
async def sock_recv(loop, mark, scene):
    await loop.sock_recv(socket_pair(scene)[0], 1)


@work
async def sock_recv_into(loop, mark, scene):
    await loop.sock_recv_into(socket_pair(scene)[0], bytearray(1))


@work
async def sock_sendall(loop, mark, scene):
    await loop.sock_sendall(socket_pair(scene)[0], bytes(1 << 24))


@work
async def sock_sendall_by_method(loop, mark, scene):
    class Socket(socket.socket):
        pass

    ours = Socket(fileno=socket_pair(scene)[0].detach())
    ours.mark = mark
    await loop.sock_sendall(ours, bytes(1 << 24))


@work
async def sock_accept(loop, mark, scene):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    await loop.sock_accept(listener)


@work
async def sock_connect(loop, mark, scene):
    ours = socket.socket()
    ours.setblocking(False)
    await loop.sock_connect(ours, silent_listener(scene))


@work
async def create_connection(loop, mark, scene):
    await loop.create_connection(factory(mark), *silent_listener(scene))


@work
async def create_connection_with_delay(loop, mark, scene):
    await loop.create_connection(factory(mark), *silent_listener(scene), happy_eyeballs_delay=60)


@work
async def open_connection(loop, mark, scene):
    await scene.impl.open_connection(*silent_listener(scene))


@work
async def resolving(loop, mark, scene):
    async def getaddrinfo(*_, **__):
        await loop.create_future()

    loop.getaddrinfo = getaddrinfo
    await loop.create_connection(factory(mark), "name.invalid", 80)


@work
async def resolving_for_a_server(loop, mark, scene):
    async def getaddrinfo(*_, **__):
        await loop.create_future()

    loop.getaddrinfo = getaddrinfo
    await loop.create_server(factory(mark), ["one.invalid", "two.invalid"], 80)


@work
async def handshake(loop, mark, scene):
    context = ssl.create_default_context(cafile=CERTIFICATE)
    await loop.create_connection(
        factory(mark), sock=socket_pair(scene)[0], ssl=context, server_hostname="localhost"
    )


@work
async def accepted_handshake(loop, mark, scene):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    await loop.connect_accepted_socket(factory(mark), socket_pair(scene)[0], ssl=context)


@work
async def start_tls(loop, mark, scene):
    context = ssl.create_default_context(cafile=CERTIFICATE)
    transport, protocol = await loop.create_connection(factory(mark), sock=socket_pair(scene)[0])
    await loop.start_tls(transport, protocol, context, server_hostname="localhost")


@work
async def serve_forever(loop, mark, scene):
    server = await loop.create_server(factory(mark), "127.0.0.1", 0)
    await server.serve_forever()


@work
async def serve_forever_within(loop, mark, scene):
    async with await loop.create_server(factory(mark), "127.0.0.1", 0) as server:
        await server.serve_forever()


@work
async def wait_closed(loop, mark, scene):
    server = await loop.create_server(factory(mark), "127.0.0.1", 0)
    await server.wait_closed()


@work
async def wait_closed_with_a_connection(loop, mark, scene):
    server = await loop.create_server(factory(mark), "127.0.0.1", 0)
    scene.enter_context(socket.create_connection(server.sockets[0].getsockname()))
    await scene.impl.sleep(0.01)
    if sys.version_info >= (3, 12):
        server.close()
    await server.wait_closed()


@work
async def read(loop, mark, scene):
    reader, writer = await scene.impl.open_connection(sock=socket_pair(scene)[0])
    writer.mark = mark
    await reader.read()


@work
async def drain(loop, mark, scene):
    _, writer = await scene.impl.open_connection(sock=socket_pair(scene)[0])
    writer.write(bytes(1 << 24))
    await writer.drain()


@work
async def read_pipe(loop, mark, scene):
    reading, writing = os.pipe()
    scene.callback(os.close, writing)
    reader = scene.impl.StreamReader()
    await loop.connect_read_pipe(lambda: scene.impl.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0))
    await reader.read()


@work
async def datagrams(loop, mark, scene):
    protocol = DatagramProtocol()
    protocol.lost = loop.create_future()
    protocol.mark = mark
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, local_addr=("127.0.0.1", 0))
    assert transport
    await protocol.lost


@work
async def resolving_for_datagrams(loop, mark, scene):
    async def getaddrinfo(*_, **__):
        await loop.create_future()

    loop.getaddrinfo = getaddrinfo
    await loop.create_datagram_endpoint(factory(mark), remote_addr=("name.invalid", 80))


@work
async def sendfile(loop, mark, scene):
    transport, _ = await loop.create_connection(factory(mark), sock=socket_pair(scene)[0])
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 24)
        await loop.sendfile(transport, file)


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@work
async def child(loop, mark, scene):
    process = await scene.impl.create_subprocess_exec("sleep", "60")
    scene.callback(kill, process.pid)
    process.mark = mark
    await process.wait()


@work
async def child_with_pipes(loop, mark, scene):
    process = await scene.impl.create_subprocess_exec("sleep", "60", stdout=-1, stdin=-1)
    scene.callback(kill, process.pid)
    process.mark = mark
    await process.communicate(b"x")


@work
async def asynchronous_generators(loop, mark, scene):
    async def forever():
        try:
            yield mark
        finally:
            await loop.create_future()

    generator = forever()
    await anext(generator)
    await loop.shutdown_asyncgens()


@work
async def reader_callback(loop, mark, scene):
    ours = socket_pair(scene)[0]
    done = loop.create_future()
    loop.add_reader(ours, done.set_result, mark)
    await done


async def begin(work, loop, scene, alive):
    mark = Mark()
    task = scene.impl.ensure_future(work(loop, mark, scene))
    alive["what the task refers to"] = weakref.ref(mark)
    alive["the task"] = weakref.ref(task)
    await scene.impl.sleep(0.02)
    assert not task.done(), task


def begin_and_leave(work, make_loop, scene, close):
    loop = make_loop()
    alive = {"the loop": weakref.ref(loop)}
    loop.run_until_complete(begin(work, loop, scene, alive))
    if close:
        loop.close()
    return alive


def can_watch_processes():
    """Without descriptors of processes a thread waits for each child, and keeps what it will tell."""
    if sys.version_info < (3, 12):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def skip_if_a_thread_waits(name):
    if name.startswith("child") and not can_watch_processes():
        pytest.skip("a thread waits for the child")


@pytest.fixture
def unraisable(monkeypatch):
    """What is raised while something is undone whose loop is closed; anything else fails."""
    raised = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: raised.append(unraisable.exc_value))
    yield raised
    assert [str(each) for each in raised if str(each) != "Event loop is closed"] == []


@pytest.mark.yibu_only
@pytest.mark.parametrize("close", [True, False], ids=["closed", "dropped"])
@pytest.mark.parametrize("name", WORKS)
def test_a_pending_task_goes_with_its_loop(impl, caplog, unraisable, name, close):
    skip_if_a_thread_waits(name)
    with Scene(impl) as scene, warnings.catch_warnings():
        # Loops, sockets and transports that nobody closes are what this is about.
        warnings.simplefilter("ignore", ResourceWarning)
        alive = begin_and_leave(WORKS[name], impl.new_event_loop, scene, close)
        for _ in range(4):
            gc.collect()
        unraisable[:] = [error.with_traceback(None) for error in unraisable]
        assert [each for each, reference in alive.items() if reference() is not None] == []
        reports = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert any("Task was destroyed but it is pending!" in report for report in reports), reports


LEFT_TO_THEMSELVES = {
    "resolving",
    "resolving_for_a_server",
    "resolving_for_datagrams",
    "asynchronous_generators",
    "wait_closed",
    "read",
    "read_pipe",
}
"""Nobody but the task refers to the future that these wait for."""


@pytest.mark.parametrize("name", sorted(WORKS.keys() - LEFT_TO_THEMSELVES))
def test_a_pending_task_stays_while_its_loop_may_wake_it(impl, make_loop, unraisable, name):
    skip_if_a_thread_waits(name)
    with Scene(impl) as scene, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        loop, alive = make_loop(), {}
        loop.run_until_complete(begin(WORKS[name], loop, scene, alive))
        for _ in range(4):
            gc.collect()
        assert [each for each, reference in alive.items() if reference() is None] == []
        task = alive["the task"]()
        task.cancel()
        loop.run_until_complete(impl.wait([task]))
        assert task.cancelled()
        del task
        loop.close()
        gc.collect()
