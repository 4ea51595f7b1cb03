"""Fixtures of the unit tests: loops of all kinds, connected sockets and transports, and a world to misuse."""

import asyncio
import contextlib
import sys
import threading

import pytest

from tests.unit.misuse import World
from tests.unit.protocols import Recorder, tcp_pair
from tests.unit.streams import Connection, Network, alone


@pytest.fixture(params=["own loop", "foreign loop"])
def on(request, make_loop, reports):
    """Loops of the implementation and of the standard library: the primitives work on both."""
    loop = make_loop() if request.param == "own loop" else make_loop(asyncio.SelectorEventLoop)
    loop.set_exception_handler(lambda _loop, context: reports.append(context))
    return loop


@pytest.fixture(params=["own", "foreign loop", "foreign task", "debug"])
def drive(request, impl, make_loop):
    """Run a coroutine: on the implementation's loop, on stock's, in stock's task, in debug mode."""
    loop = make_loop(
        asyncio.SelectorEventLoop if request.param.startswith("foreign") else impl.new_event_loop
    )
    if request.param == "foreign loop":
        loop.set_task_factory(lambda loop, coro, **options: impl.Task(coro, loop=loop, **options))
    loop.set_debug(request.param == "debug")
    return loop.run_until_complete


@pytest.fixture
def pair():
    """Two connected TCP sockets: ours for the loop, and the blocking peer."""
    ours, peer = tcp_pair()
    yield ours, peer
    ours.close()
    peer.close()


@pytest.fixture
def connect(loop, pair):
    """Put a transport and a protocol on our socket; return them with the peer."""
    ours, peer = pair

    async def connect(factory=Recorder):
        transport, protocol = await loop.create_connection(factory, sock=ours)
        return transport, protocol, peer

    yield connect


@pytest.fixture
def world(impl, loop, make_loop):
    with contextlib.ExitStack() as stack:
        yield World(impl, loop, make_loop, stack)


@pytest.fixture
def run_on_each_loop(on, reports):
    """Run a coroutine function on such loops; nothing may be reported."""

    def run(main):
        return on.run_until_complete(asyncio.wait_for(main(), 20))

    yield run
    assert reports == []


@pytest.fixture
def run_with_workers(run_on_each_loop):
    """Do the same; the loop's executor ends before the loop."""

    def run(main):
        async def whole():
            try:
                return await main()
            finally:
                await asyncio.get_running_loop().shutdown_default_executor()

        return run_on_each_loop(whole)

    return run


@pytest.fixture
def new_reader(impl):
    """Make a reader that holds `data`, and has seen the end if `eof`."""

    def new(data=b"", *, eof=False, cls=impl.StreamReader, **keywords):
        reader = cls(**keywords)
        if data:
            reader.feed_data(data)
        if eof:
            reader.feed_eof()
        return reader

    return new


@pytest.fixture
def connect_streams(impl):
    """Make connections; no writer is left open."""
    made = []

    def connect(*args, **keywords):
        made.append(Connection(impl, *args, **keywords))
        return made[-1]

    yield connect
    for each in made:
        each.transport.closing = True


@pytest.fixture(params=["tcp", "unix"])
def net(request, impl, loop, tmp_path):
    """A network whose servers have ended, connections and all, before the loop is closed."""
    yield Network(impl, request.param, tmp_path)
    loop.run_until_complete(alone())


@pytest.fixture
def without_threads_of_the_tests(monkeypatch):
    """The threads of pytest-xdist reach every test there is, more than `yibu.ps()` looks at."""
    frames = sys._current_frames
    others = frames().keys() - {threading.get_ident()}
    monkeypatch.setattr(
        sys,
        "_current_frames",
        lambda: {thread: frame for thread, frame in frames().items() if thread not in others},
    )
