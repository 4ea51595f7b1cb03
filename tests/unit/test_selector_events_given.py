"""A selector that the program gives to the loop: the loop waits in its `select()`, and nowhere else."""

import asyncio
import os
import selectors
import signal
import socket
import threading
import time

import pytest


@pytest.fixture
def make(loop):
    """The class of the loop, whose objects are closed at the end."""
    made = []

    def make(*args, **kwargs):
        made.append(type(loop)(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Counting(selectors.DefaultSelector):
    """Counts how often it is asked."""

    asked = 0

    def select(self, timeout=None):
        self.asked += 1
        return super().select(timeout)


class Virtual(selectors.SelectSelector):
    """Waits by moving a clock, after a look at what is there."""

    now = 1_790_000_000.0

    def select(self, timeout=None):
        came = super().select(0)
        if not came and timeout is None:
            raise AssertionError("it would wait for ever")
        if not came:
            self.now += timeout
        return came


KINDS = [
    selectors.DefaultSelector,
    selectors.SelectSelector,
    selectors.PollSelector,
    selectors.EpollSelector,
    Counting,
]


@pytest.mark.parametrize("kind", KINDS)
class TestSelectors:
    def test_it_is_the_loop_s(self, make, kind):
        for loop in make(selector := kind()), make(selector=(other := kind())):
            assert loop._selector in (selector, other)

    def test_streams(self, make, kind):
        loop = make(kind())

        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"line\n")
            assert await reader.read() == b"line\n"
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()

        loop.run_until_complete(main())

    def test_timers_readers_and_threads(self, make, kind):
        loop, log = make(kind()), []
        ours, theirs = socket.socketpair()
        with ours, theirs:
            loop.add_reader(ours, lambda: (log.append(ours.recv(1)), loop.stop()))
            loop.call_later(0.01, theirs.send, b"x")
            loop.run_forever()
            assert log == [b"x"]
            loop.remove_reader(ours)
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
        assert loop.run_until_complete(loop.run_in_executor(None, int)) == 0
        loop.run_until_complete(loop.shutdown_default_executor())

    def test_closed_with_the_loop(self, make, kind):
        selector = kind()
        loop = make(selector)
        loop.close()
        assert selector.get_map() is None


class TestWhatTheProgramSees:
    def test_it_is_asked_in_every_turn(self, make):
        loop = make(selector := Counting())
        before = selector.asked

        async def main():
            for _ in range(10):
                await asyncio.sleep(0)

        loop.run_until_complete(main())
        assert selector.asked - before >= 10

    def test_the_loop_is_found_in_it(self, make):
        make(selector := selectors.SelectSelector())
        assert len(selector.get_map()) >= 1

    def test_none_is_no_selector(self, make):
        loop = make(None)
        loop.call_soon(loop.stop)
        loop.run_forever()

    @pytest.mark.yibu_only  # asyncio leaves half a loop, which says that it was not closed
    def test_what_is_no_selector(self, loop):
        with pytest.raises(AttributeError):
            type(loop)(object())

    @pytest.mark.yibu_only  # the same
    def test_arguments(self, loop):
        with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3 were given"):
            type(loop)(None, None)
        with pytest.raises(TypeError, match="unexpected keyword argument 'select'"):
            type(loop)(select=None)

    def test_an_error_of_it_leaves_the_loop(self, make):
        class Failing(selectors.SelectSelector):
            fails = True

            def select(self, timeout=None):
                if self.fails:
                    raise ZeroDivisionError
                return super().select(timeout)

        loop = make(selector := Failing())
        loop.call_soon(int)
        with pytest.raises(ZeroDivisionError):
            loop.run_forever()
        selector.fails = False
        loop.run_until_complete(asyncio.sleep(0.001))

    def test_what_the_program_registers_itself_runs(self, make):
        loop = make(selector := selectors.SelectSelector())
        read, write = os.pipe()
        handle = asyncio.Handle(loop.stop, (), loop)
        selector.register(read, selectors.EVENT_READ, (handle, None))
        loop.call_soon(os.write, write, b"x")
        loop.run_forever()
        selector.unregister(read)
        os.close(read)
        os.close(write)


class TestVirtualTime:
    @pytest.fixture
    def virtual(self, loop):
        class Loop(type(loop)):
            def __init__(self):
                super().__init__(Virtual())

            def time(self):
                return self._selector.now

        loop = Loop()
        yield loop
        loop.close()

    @pytest.mark.yibu_only  # asyncio never runs a timer that is due at exactly such a time()
    def test_hours_pass_at_once(self, virtual):
        start, real = virtual.time(), time.monotonic()

        async def main():
            await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60):
                    await asyncio.Event().wait()

        virtual.run_until_complete(main())
        assert virtual.time() - start == 7260
        assert time.monotonic() - real < 60

    def test_signals(self, make):
        loop = make(selectors.SelectSelector())
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        loop.call_later(0.001, os.kill, os.getpid(), signal.SIGUSR1)
        loop.run_forever()


PROGRAM = """
import asyncio, faulthandler, yibu
faulthandler.dump_traceback_later(20, exit=True)
{before}
yibu.install()
now = 1_790_000_000.25

class Loop({base}):
    def time(self):
        return now

async def main():
    global now
    loop, ran = asyncio.get_running_loop(), []
    loop.call_at(now + 5, ran.append, 1)
    now += 5
    while not ran:
        await asyncio.sleep(0)

loop = Loop()
loop.run_until_complete(main())
loop.close()
assert isinstance(loop._clock_resolution, float) and 0 < loop._clock_resolution < 1
yibu.uninstall()
assert "_clock_resolution" not in vars(asyncio.BaseEventLoop) and loop._clock_resolution < 1
"""


@pytest.mark.yibu_only
@pytest.mark.parametrize(
    "base", ["asyncio.SelectorEventLoop", "asyncio.selector_events.BaseSelectorEventLoop", "Base"]
)
def test_a_timer_that_is_due_now_on_a_loop_of_asyncio_s(impl, base):
    before = "class Base(asyncio.SelectorEventLoop): ..." if base == "Base" else ""
    process = impl.run_source(PROGRAM.format(before=before, base=base))
    assert process.stderr == ""
