"""`__init__` replaced on classes of which asyncio makes the objects, and methods replaced on their bases."""

import asyncio
import ssl
import sys
import threading
from asyncio import base_subprocess, selector_events, sslproto, unix_events

import pytest

HOST = "127.0.0.1"


@pytest.fixture
def count(monkeypatch):
    """Replace a method of a class by one that counts its calls and calls the original."""

    def count(cls, name="__init__"):
        calls, original = [], getattr(cls, name)

        def method(self, *args, **keywords):
            calls.append(self)
            return original(self, *args, **keywords)

        monkeypatch.setattr(cls, name, method)
        return calls

    return count


async def talk(asyncio_, handler, **keywords):
    """Serve one connection and give what its client reads."""
    server = await asyncio_.start_server(handler, HOST, 0)
    async with server:
        reader, writer = await asyncio_.open_connection(*server.sockets[0].getsockname()[:2], **keywords)
        try:
            return await reader.readline()
        finally:
            writer.close()


async def greet(_reader, writer):
    writer.write(b"hello\n")
    writer.close()


class TestStreams:
    @pytest.mark.parametrize("name", ["StreamReader", "StreamWriter", "StreamReaderProtocol"])
    def test_both_sides_are_made_by_the_replacement(self, impl, run, count, name):
        made = count(getattr(impl, name))
        assert run(talk(impl, greet)) == b"hello\n"
        assert len(made) == 2

    def test_a_greater_limit_holds(self, impl, run, monkeypatch):
        original = impl.StreamReader.__init__

        def init(self, limit=2**16, loop=None):
            original(self, limit=2**20, loop=loop)

        monkeypatch.setattr(impl.StreamReader, "__init__", init)

        async def much(_reader, writer):
            writer.write(b"x" * 100_000 + b"\n")
            writer.close()

        assert len(run(talk(impl, much))) == 100_001

    def test_defaults_of_a_reader_that_were_set(self, impl, run, monkeypatch):
        monkeypatch.setattr(impl.StreamReader.__init__, "__defaults__", (7, None))

        async def main():
            return impl.StreamReader()._limit

        assert run(main()) == 7

    def test_defaults_of_a_queue_that_were_set(self, impl, run, monkeypatch):
        monkeypatch.setattr(impl.Queue.__init__, "__defaults__", (3,))

        async def main():
            return impl.Queue().maxsize, impl.PriorityQueue().maxsize, impl.Queue(5).maxsize

        assert run(main()) == (3, 3, 5)

    def test_the_original_put_back(self, impl, run, count, monkeypatch):
        made = count(impl.StreamReader)
        monkeypatch.undo()
        run(talk(impl, greet))
        assert made == []


class TestLoops:
    def test_handles(self, impl, run, count):
        handles, timers = count(impl.Handle), count(impl.TimerHandle)

        async def main():
            loop = asyncio.get_running_loop()
            handle, timer = loop.call_soon(int), loop.call_later(0, int)
            assert handle in handles
            assert timer in timers
            assert timer in handles
            await impl.sleep(0.001)

        run(main())

    def test_handles_from_other_threads(self, impl, run, count):
        made = count(impl.Handle)

        async def main():
            loop, came = asyncio.get_running_loop(), asyncio.Event()
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(came.set,))
            before = len(made)
            thread.start()
            await came.wait()
            thread.join()
            assert len(made) > before

        run(main())

    def test_cancel_of_the_base_is_called_for_timers(self, impl, run, count):
        cancelled = count(impl.Handle, "cancel")

        async def main():
            timer = asyncio.get_running_loop().call_later(9, int)
            timer.cancel()
            assert timer in cancelled

        run(main())

    def test_timers_that_are_compared_otherwise(self, impl, loop, monkeypatch):
        monkeypatch.setattr(impl.TimerHandle, "__lt__", lambda a, b: a.when() > b.when())
        if type(loop).__module__.startswith("asyncio"):
            loop.call_later(9, int).cancel()
        else:
            with pytest.raises(TypeError, match=r"TimerHandle\.__lt__"):
                loop.call_later(9, int)

    def test_servers_and_transports(self, impl, run, count):
        servers = count(asyncio.base_events.Server)
        transports = count(selector_events._SelectorSocketTransport)
        run(talk(impl, greet))
        assert len(servers) == 1
        assert len(transports) == 2

    def test_tls(self, run, count, impl):
        made = count(sslproto.SSLProtocol)

        async def main():
            loop, came = asyncio.get_running_loop(), asyncio.Event()

            class Hello(asyncio.Protocol):
                def data_received(self, data):
                    came.set()

            server = await loop.create_server(Hello, HOST, 0)
            async with server:
                address = server.sockets[0].getsockname()
                context = ssl.create_default_context()
                task = asyncio.ensure_future(
                    loop.create_connection(
                        asyncio.Protocol, *address, ssl=context, server_hostname="localhost"
                    )
                )
                await came.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        run(main())
        assert len(made) == 1

    def test_children(self, impl, run, count):
        processes = count(impl.subprocess.Process)
        transports = count(base_subprocess.BaseSubprocessTransport)
        protocols = count(impl.subprocess.SubprocessStreamProtocol)

        async def main():
            child = await impl.create_subprocess_exec(sys.executable, "-S", "-c", "")
            await child.wait()

        run(main())
        assert len(processes) == len(transports) == len(protocols) == 1

    @pytest.mark.parametrize("cls", [asyncio.BaseEventLoop, selector_events.BaseSelectorEventLoop])
    def test_of_a_base(self, impl, make_loop, count, cls):
        made = count(cls)
        loop = make_loop()
        assert made == [loop]
        assert loop.run_until_complete(impl.sleep(0, 1)) == 1

    def test_of_both_bases(self, impl, make_loop, monkeypatch):
        calls = []

        def replace(cls):
            original = cls.__init__

            def init(self, *args):
                calls.append((cls.__name__, args))
                original(self, *args)

            monkeypatch.setattr(cls, "__init__", init)

        replace(asyncio.BaseEventLoop)
        replace(selector_events.BaseSelectorEventLoop)
        make_loop().close()
        assert calls == [("BaseSelectorEventLoop", (None,)), ("BaseEventLoop", ())]

    def test_close_of_a_base(self, impl, make_loop, count):
        closed = count(asyncio.BaseEventLoop, "close")
        loop = make_loop()
        loop.close()
        assert closed == [loop]
        assert loop.is_closed()

    def test_close_of_the_class_itself_goes_first(self, impl, make_loop, monkeypatch):
        closed = []
        original = unix_events._UnixSelectorEventLoop.close

        def close(self):
            closed.append(self)
            original(self)

        monkeypatch.setattr(unix_events._UnixSelectorEventLoop, "close", close)
        loop = make_loop()
        loop.close()
        assert closed == [loop]


class TestPrimitives:
    def test_timeouts(self, impl, run, count):
        made = count(impl.Timeout)

        async def main():
            async with impl.timeout(9), impl.timeout_at(None), impl.timeout(None):
                pass

        run(main())
        assert len(made) == 3

    def test_release_of_the_base_is_called_for_a_bounded_semaphore(self, impl, run, count):
        released = count(impl.Semaphore, "release")

        async def main():
            semaphore = impl.BoundedSemaphore()
            async with semaphore:
                pass
            assert released == [semaphore]
            with pytest.raises(ValueError, match="too many"):
                semaphore.release()
            assert released == [semaphore]

        run(main())

    def test_init_of_the_base_is_called_for_a_bounded_semaphore(self, impl, run, count):
        made = count(impl.Semaphore)

        async def main():
            return impl.BoundedSemaphore(2)

        assert made == [run(main())]
