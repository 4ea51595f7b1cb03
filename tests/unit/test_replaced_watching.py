"""What asyncio does with handles and descriptors by name: it is called, or replacing it is refused."""

import asyncio
import asyncio.selector_events
import asyncio.transports
import os
import signal

import pytest

from tests.unit.protocols import tcp_pair

HOST = "127.0.0.1"


class TestHandles:
    @pytest.fixture
    def made(self, monkeypatch):
        """The callbacks of all handles that are made."""
        made, original = [], asyncio.events.Handle.__init__

        def init(self, callback, args, loop, context=None):
            made.append(callback)
            original(self, callback, args, loop, context)

        monkeypatch.setattr(asyncio.events.Handle, "__init__", init)
        return made

    def test_of_signals(self, loop, made):
        def stop():
            loop.stop()

        loop.add_signal_handler(signal.SIGUSR1, stop)
        assert made.count(stop) == 1
        os.kill(os.getpid(), signal.SIGUSR1)
        loop.run_forever()
        assert loop.remove_signal_handler(signal.SIGUSR1)

    def test_of_watchers(self, loop, made):
        ours, peer = tcp_pair()

        def read():
            loop.stop()

        loop.add_reader(ours, read)
        peer.send(b"x")
        loop.run_forever()
        assert made.count(read) == 1
        assert loop.remove_reader(ours)
        ours.close()
        peer.close()

    def test_of_another_class(self, impl, loop, monkeypatch):
        class Marked(impl.Handle):
            ran = 0

            def _run(self):
                type(self).ran += 1
                super()._run()

        monkeypatch.setattr(asyncio.events, "Handle", Marked)
        ours, peer = tcp_pair()
        handle = loop._add_reader(ours.fileno(), loop.stop)
        assert type(handle) is Marked
        peer.send(b"x")
        loop.run_forever()
        assert Marked.ran >= 1
        loop._remove_reader(ours.fileno())
        assert handle.cancelled()
        ours.close()
        peer.close()


class TestWatching:
    """Transports of asyncio call these; native ones say that they do not."""

    @pytest.fixture(params=["_add_reader", "_remove_reader", "_add_writer", "_remove_writer"])
    def asked(self, request, monkeypatch):
        asked, name = [], request.param
        original = getattr(asyncio.selector_events.BaseSelectorEventLoop, name)

        def traced(self, fd, *args):
            asked.append(fd)
            return original(self, fd, *args)

        monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, name, traced)
        return asked

    def connect(self, loop, run):
        ours, peer = tcp_pair()
        number = ours.fileno()

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.write(bytes(10_000_000))
            transport.abort()

        try:
            run(main())
        finally:
            peer.close()
            ours.close()
        return number

    def test_connections(self, loop, run, asked):
        try:
            number = self.connect(loop, run)
        except TypeError as error:
            assert "is replaced" in str(error)
            assert type(loop).__module__ == "yibu.event_loop"
        else:
            assert number in asked

    def test_put_back(self, loop, run, asked, monkeypatch):
        monkeypatch.undo()
        self.connect(loop, run)
        assert asked == []

    @pytest.mark.yibu_only
    def test_servers_and_sockets_are_refused(self, loop, run, asked):
        ours, peer = tcp_pair()
        ours.setblocking(False)
        with pytest.raises(TypeError, match="is replaced, by which asyncio's transports watch"):
            run(loop.create_server(asyncio.Protocol, HOST, 0))
        with pytest.raises(TypeError, match="is replaced, by which asyncio's transports watch"):
            run(loop.sock_recv(ours, 1))
        ours.close()
        peer.close()


class TestInitOfBases:
    @pytest.mark.parametrize(
        "base",
        [
            asyncio.transports.BaseTransport,
            asyncio.transports._FlowControlMixin,
            asyncio.selector_events._SelectorTransport,
        ],
    )
    def test_it_is_called_or_refused(self, loop, run, monkeypatch, base):
        seen, original = [], base.__init__

        def init(self, *args, **keywords):
            seen.append(self)
            original(self, *args, **keywords)

        ours, peer = tcp_pair()

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.abort()
            return transport

        monkeypatch.setattr(base, "__init__", init)
        try:
            made = run(main())
        except TypeError as error:
            assert "__init__() is replaced" in str(error)
            assert type(loop).__module__ == "yibu.event_loop"
        else:
            assert made in seen
        monkeypatch.undo()
        peer.close()
        ours.close()


class TestTimeouts:
    @pytest.fixture
    def told(self, impl, monkeypatch):
        told = []
        for name in ("__aenter__", "__aexit__"):
            original = getattr(impl.Timeout, name)

            async def traced(self, *args, name=name, original=original):
                told.append(name)
                return await original(self, *args)

            monkeypatch.setattr(impl.Timeout, name, traced)
        monkeypatch.setattr(asyncio.timeouts, "Timeout", impl.Timeout)
        return told

    @pytest.mark.skipif("sys.version_info < (3, 12)", reason="wait_for() has no Timeout")
    def test_wait_for(self, impl, run, told):
        async def main():
            assert await impl.wait_for(asyncio.sleep(0, "value"), 10) == "value"
            with pytest.raises(TimeoutError):
                await impl.wait_for(asyncio.sleep(100), 0.001)
            with pytest.raises(ValueError, match="mine"):
                await impl.wait_for(fail(), 10)

        async def fail():
            raise ValueError("mine")

        run(main())
        assert told == ["__aenter__", "__aexit__"] * 3
