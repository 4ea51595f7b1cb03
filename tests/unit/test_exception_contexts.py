"""What an await raises within an `except` clause: the exception that is handled becomes its context."""

import asyncio
import socket
import sys

import pytest


def failed(loop):
    future = loop.create_future()
    future.set_exception(ValueError("failed"))
    return future


def cancelled(loop):
    future = loop.create_future()
    future.cancel()
    return future


async def shows(call, error):
    """Call or await something that raises while a KeyError is handled, which has to become the context."""
    key_error = KeyError("handled")
    try:
        raise key_error
    except KeyError:
        with pytest.raises(error) as caught:
            made = call()
            if made is not None:
                await made
    assert caught.value.__context__ is key_error


@pytest.mark.parametrize(("make", "error"), [(failed, ValueError), (cancelled, asyncio.CancelledError)])
class TestDoneFutures:
    def test_awaited(self, loop, run, make, error):
        run(shows(lambda: make(loop), error))

    def test_result(self, loop, run, make, error):
        run(shows(make(loop).result, error))

    def test_within_a_native_coroutine(self, impl, loop, run, make, error):
        run(shows(lambda: impl.wait_for(make(loop), 10), error))

    def test_of_a_shield(self, impl, loop, run, make, error):
        run(shows(lambda: impl.shield(make(loop)), error))


def test_exception_of_a_cancelled_future(loop, run):
    run(shows(cancelled(loop).exception, asyncio.CancelledError))


@pytest.mark.parametrize("waits", ["future", "event", "queue", "gather", "shield"])
def test_failure_while_waiting(impl, loop, run, waits):
    async def main():
        future = loop.create_future()
        events = {
            "future": lambda: future,
            "event": impl.Event().wait,
            "queue": impl.Queue().get,
            "gather": lambda: impl.gather(future),
            "shield": lambda: impl.shield(future),
        }
        task = loop.create_task(shows(events[waits], asyncio.CancelledError))
        await impl.sleep(0)
        task.cancel()
        await task

    run(main())


def test_condition_raises_the_cancellation_of_its_second_wait(impl, loop, run):
    """Cancelled while it waits for the lock again, it raises that when it has the lock: a new `raise`."""
    condition = impl.Condition()

    async def wait():
        async with condition:
            await condition.wait()

    async def main():
        task = loop.create_task(shows(wait, asyncio.CancelledError))
        await impl.sleep(0)
        async with condition:
            condition.notify()
            await impl.sleep(0)
            task.cancel()
            await impl.sleep(0)
        await task

    run(main())


@pytest.mark.parametrize("pending_last", [False, True])
def test_gather_raises_the_cancellation_of_the_child_listed_last(impl, loop, run, pending_last):
    done, pending = loop.create_future(), loop.create_future()
    done.set_result(None)

    async def wait():
        await impl.gather(*([done, pending] if pending_last else [pending, done]), return_exceptions=True)

    async def main():
        task = loop.create_task(wait())
        await impl.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == (("why",) if pending_last else ())

    run(main())


def reader_of(impl, loop, data=b"", error=None):
    """A reader that has ended, with an error or without one."""
    reader = impl.StreamReader(limit=4, loop=loop)
    if data:
        reader.feed_data(data)
    if error is None:
        reader.feed_eof()
    else:
        reader.set_exception(error)
    return reader


ELSEWHERE = "192.0.2.1"
"""An address that no machine has: it is for documentation."""

READS = {"read": (3,), "readline": (), "readexactly": (3,), "readuntil": (b"x",), "__anext__": ()}


class TestStreams:
    @pytest.mark.parametrize("method", READS)
    def test_error_of_a_reader(self, impl, loop, run, method):
        reader = reader_of(impl, loop, error=OSError(1, "failed"))
        run(shows(lambda: getattr(reader, method)(*READS[method]), OSError))

    @pytest.mark.parametrize("method", ["readexactly", "readuntil"])
    def test_end_of_file(self, impl, loop, run, method):
        reader = reader_of(impl, loop, b"ab")
        run(shows(lambda: getattr(reader, method)(*READS[method]), asyncio.IncompleteReadError))

    def test_too_much_without_a_separator(self, impl, loop, run):
        reader = reader_of(impl, loop, b"abcdefgh")
        run(shows(lambda: reader.readuntil(b"x"), asyncio.LimitOverrunError))

    def test_a_line_that_is_too_long(self, impl, loop, run):
        """The error of the search is the context of what is raised, and has a context itself."""
        reader = reader_of(impl, loop, b"abcdefgh")

        async def main():
            try:
                raise KeyError("handled")
            except KeyError as handled:
                with pytest.raises(ValueError, match="limit") as caught:
                    await reader.readline()
                assert isinstance(caught.value.__context__, asyncio.LimitOverrunError)
                assert caught.value.__context__.__context__ is handled

        run(main())

    def test_drain(self, impl, loop, run):
        class Transport(impl.Transport):
            def is_closing(self):
                return True

        reader = reader_of(impl, loop, error=OSError(1, "failed"))
        writer = impl.StreamWriter(Transport(), impl.StreamReaderProtocol(reader, loop=loop), reader, loop)
        run(shows(writer.drain, OSError))


class TestEndpoints:
    """Nothing connects, or nothing can be bound."""

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="a new argument")
    def test_all_errors(self, impl, loop, run):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()

        def connect():
            return loop.create_connection(impl.Protocol, *address, all_errors=True)

        run(shows(connect, ExceptionGroup))

    def test_datagrams(self, impl, loop, run):
        def endpoint():
            return loop.create_datagram_endpoint(impl.DatagramProtocol, local_addr=(ELSEWHERE, 0))

        run(shows(endpoint, OSError))


def test_an_error_of_a_protocol_is_handled_only_while_it_is_told(impl, loop, run):
    """What a coroutine further out handles does not become what this one handles."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        for end, other in ((ours, theirs), (theirs, ours)):
            other.bind("")  # the kernel chooses a name: asyncio sends to nobody without one
            end.connect(other.getsockname())
        ours.setblocking(False)
        told = []

        class Protocol(impl.DatagramProtocol):
            def error_received(self, error):
                told.append(sys.exc_info()[1] is error)

        async def innermost(transport):
            transport.sendto(bytes(10**6))
            with pytest.raises(asyncio.CancelledError) as caught:
                await loop.create_future()
            assert caught.value.__context__ is None

        async def main():
            transport, _ = await loop.create_datagram_endpoint(Protocol, sock=ours)
            try:
                raise KeyError("handled")
            except KeyError:
                await innermost(transport)
            transport.abort()

        async def cancelled():
            task = loop.create_task(main())
            while not told:
                await impl.sleep(0)
            await impl.sleep(0)
            task.cancel()
            await task

        run(cancelled())
        assert told == [True]


def test_a_signal_that_cannot_be_caught(loop):
    with pytest.raises(RuntimeError, match="sig 9 cannot be caught") as caught:
        loop.add_signal_handler(9, print)
    assert isinstance(caught.value.__context__, OSError)
