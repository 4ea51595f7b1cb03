"""What asyncio's classes make other objects of: what a program puts in place of these classes is used."""

import asyncio
import asyncio.base_events
import asyncio.base_futures
import asyncio.base_subprocess
import asyncio.coroutines
import asyncio.format_helpers
import asyncio.locks
import asyncio.queues
import asyncio.selector_events
import asyncio.sslproto
import asyncio.trsock
import collections
import heapq
import signal
import sys
import types

import pytest

from tests.unit.protocols import tcp_pair
from tests.unit.tls import client_protocol

HOST = "127.0.0.1"


class Deque(collections.deque):
    pass


@pytest.fixture
def deques(monkeypatch):
    """Put a `collections` of the program's own into both modules."""
    shim = types.SimpleNamespace(deque=Deque)
    monkeypatch.setattr(asyncio.locks, "collections", shim)
    monkeypatch.setattr(asyncio.queues, "collections", shim)


class TestDeques:
    def test_of_what_waits_at_once(self, impl, deques):
        assert type(impl.Event()._waiters) is Deque
        assert type(impl.Condition()._waiters) is Deque
        queue = impl.Queue()
        assert [type(d) for d in (queue._getters, queue._putters, queue._queue)] == [Deque] * 3

    @pytest.mark.parametrize("name", ["Lock", "Semaphore"])
    def test_of_what_is_waited_for(self, impl, run, deques, name):
        async def main():
            lock = getattr(impl, name)()
            assert lock._waiters is None
            await lock.acquire()
            waiting = asyncio.ensure_future(lock.acquire())
            await asyncio.sleep(0)
            assert type(lock._waiters) is Deque
            assert len(lock._waiters) == 1
            lock.release()
            await waiting
            assert not lock._waiters
            lock.release()

        run(main())

    def test_events_and_queues_work(self, impl, run, deques):
        async def main():
            event, queue = impl.Event(), impl.Queue(1)
            waiting = [asyncio.ensure_future(event.wait()) for _ in range(2)]
            taking = asyncio.ensure_future(queue.get())
            await asyncio.sleep(0)
            assert len(event._waiters) == 2
            event.set()
            await queue.put("item")
            return await asyncio.gather(*waiting, taking)

        assert run(main()) == [True, True, "item"]

    def test_a_deque_of_everybody(self, impl, monkeypatch):
        monkeypatch.setattr(collections, "deque", Deque)
        assert type(impl.Event()._waiters) is Deque
        assert type(impl.Queue()._queue) is Deque
        monkeypatch.undo()
        assert type(impl.Queue()._queue) is collections.deque


class TestEventsOfQueues:
    @pytest.fixture
    def told(self, impl, monkeypatch):
        """What an event class of the program's was told."""
        told = []

        class Event(impl.Event):
            def set(self):
                told.append("set")
                super().set()

            def clear(self):
                told.append("clear")
                super().clear()

        monkeypatch.setattr(asyncio.locks, "Event", Event)
        return told

    def test_another_class(self, impl, run, told):
        async def main():
            queue = impl.Queue()
            queue.put_nowait(1)
            queue.put_nowait(2)
            joining = asyncio.ensure_future(queue.join())
            await asyncio.sleep(0)
            for _ in range(2):
                queue.get_nowait()
                queue.task_done()
            await joining

        run(main())
        assert told == ["set", "clear", "clear", "set"]

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("name", ["Queue", "PriorityQueue"])
    def test_methods_of_the_class(self, impl, monkeypatch, name, when):
        told = []
        queue = getattr(impl, name)() if when == "before" else None
        for method in ("set", "clear"):
            original = getattr(impl.Event, method)

            def tell(event, method=method, original=original):
                told.append(method)
                original(event)

            monkeypatch.setattr(impl.Event, method, tell)
        if impl.Event is not asyncio.locks.Event:
            monkeypatch.setattr(asyncio.locks, "Event", impl.Event)
        expected = [] if queue else ["set"]
        queue = queue or getattr(impl, name)()
        assert told == expected
        queue.put_nowait(1)
        queue.put_nowait(2)
        queue.get_nowait()
        queue.task_done()
        queue.get_nowait()
        queue.task_done()
        assert told == [*expected, "clear", "clear", "set"]

    def test_methods_replaced_while_an_item_is_open(self, impl, monkeypatch):
        told = []
        queue = impl.Queue()
        queue.put_nowait(1)
        monkeypatch.setattr(impl.Event, "set", lambda event: told.append("set"))
        queue.get_nowait()
        queue.task_done()
        assert told == ["set"]

    def test_put_back(self, impl, run, told, monkeypatch):
        monkeypatch.undo()
        queue = impl.Queue()
        queue.put_nowait(1)
        assert told == []


class TestLocksOfConditions:
    def test_another_lock(self, impl, run, monkeypatch):
        class Lock(impl.Lock):
            acquired = 0

            async def acquire(self):
                type(self).acquired += 1
                return await super().acquire()

        monkeypatch.setattr(asyncio.locks, "Lock", Lock)

        async def main():
            condition = impl.Condition()
            assert type(condition._lock) is Lock
            async with condition:
                condition.notify()

        run(main())
        assert Lock.acquired == 1

    def test_another_condition_of_barriers(self, impl, run, monkeypatch):
        class Condition(impl.Condition):
            asked = 0

            async def wait_for(self, predicate):
                type(self).asked += 1
                return await super().wait_for(predicate)

        monkeypatch.setattr(asyncio.locks, "Condition", Condition)

        async def main():
            barrier = impl.Barrier(2)
            assert type(barrier._cond) is Condition
            return sorted(await asyncio.gather(barrier.wait(), barrier.wait()))

        assert run(main()) == [0, 1]
        assert Condition.asked == 3


class TestSteps:
    """What a barrier calls by name."""

    def test_wait_for_of_the_condition(self, impl, run, monkeypatch):
        asked, original = [], impl.Condition.wait_for

        async def wait_for(condition, predicate):
            asked.append(predicate())
            return await original(condition, predicate)

        barrier = impl.Barrier(2)
        monkeypatch.setattr(impl.Condition, "wait_for", wait_for)

        async def main():
            return sorted(await asyncio.gather(barrier.wait(), barrier.wait()))

        assert run(main()) == [0, 1]
        assert asked == [True, False, True]

    @pytest.mark.parametrize("step", ["_block", "_wait", "_release"])
    @pytest.mark.parametrize("place", ["class", "object", "subclass"])
    def test_steps_of_the_barrier(self, impl, run, monkeypatch, step, place):
        calls, original = [], getattr(impl.Barrier, step)

        def traced(*args):
            calls.append(step)
            return original(*(args or (barrier,)))

        cls = impl.Barrier
        if place == "class":
            monkeypatch.setattr(impl.Barrier, step, traced)
        elif place == "subclass":
            cls = type("Traced", (impl.Barrier,), {step: traced})
        barrier = cls(1)
        if place == "object":
            setattr(barrier, step, traced)

        assert run(barrier.wait()) == 0
        assert calls == ([] if step == "_wait" else [step])

    def test_an_object_of_another_kind(self, impl, run):
        class Condition:
            entered = 0

            async def __aenter__(self):
                self.entered += 1

            async def __aexit__(self, *args):
                pass

            async def wait_for(self, predicate):
                return predicate()

            def notify_all(self):
                pass

        barrier = impl.Barrier(1)
        barrier._cond = Condition()
        assert run(barrier.wait()) == 0
        run(barrier.reset())
        assert barrier._cond.entered == 2


class TestSockets:
    @pytest.fixture
    def shown(self, monkeypatch):
        class TransportSocket(asyncio.trsock.TransportSocket):
            pass

        monkeypatch.setattr(asyncio.trsock, "TransportSocket", TransportSocket)
        return TransportSocket

    def test_of_connections_and_servers(self, impl, loop, run, shown):
        kinds = []

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                kinds.append(type(transport.get_extra_info("socket")))
                transport.close()

        async def main():
            server = await loop.create_server(Protocol, HOST, 0)
            kinds.extend(type(each) for each in server.sockets)
            port = server.sockets[0].getsockname()[1]
            transport, _ = await loop.create_connection(asyncio.Protocol, HOST, port)
            kinds.append(type(transport.get_extra_info("socket")))
            transport.close()
            server.close()
            await server.wait_closed()

        run(main())
        assert kinds == [shown] * 3

    def test_a_name_of_one_module(self, loop, run, monkeypatch):
        made = []

        class Module:
            @staticmethod
            def TransportSocket(sock):
                made.append(sock)
                return sock

        monkeypatch.setattr(asyncio.selector_events, "trsock", Module)
        ours, peer = tcp_pair()

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            assert transport.get_extra_info("socket") is ours
            transport.close()

        run(main())
        peer.close()
        assert made == [ours]


class TestTlsTransports:
    def test_a_subclass(self, impl, loop, monkeypatch):
        class Transport(impl.sslproto._SSLProtocolTransport):
            made = 0

            def __init__(self, *args):
                type(self).made += 1
                super().__init__(*args)

        monkeypatch.setattr(asyncio.sslproto, "_SSLProtocolTransport", Transport)
        protocol = client_protocol(impl, loop)
        assert type(protocol._app_transport) is Transport
        assert Transport.made == 1
        protocol._app_transport._closed = True

    def test_any_object(self, impl, loop, monkeypatch):
        class Transport:
            def __init__(self, event_loop, protocol):
                self.made_of = event_loop, protocol

        monkeypatch.setattr(asyncio.sslproto, "_SSLProtocolTransport", Transport)
        protocol = client_protocol(impl, loop)
        transport = protocol._app_transport
        assert transport.made_of == (loop, protocol)
        protocol.connection_lost(None)
        assert transport._closed is True


class TestPipesOfChildren:
    def test_their_protocols(self, impl, run, monkeypatch):
        seen = []

        def traced(name):
            base = getattr(impl.base_subprocess, name)

            class Traced(base):
                def connection_made(self, transport):
                    seen.append((name, self.fd))
                    super().connection_made(transport)

            return Traced

        for name in ("WriteSubprocessPipeProto", "ReadSubprocessPipeProto"):
            monkeypatch.setattr(asyncio.base_subprocess, name, traced(name))

        async def main():
            child = await impl.create_subprocess_exec(
                sys.executable, "-c", "print(input())", stdin=-1, stdout=-1
            )
            output, _ = await child.communicate(b"text\n")
            return output

        assert run(main()) == b"text\n"
        assert seen == [("WriteSubprocessPipeProto", 0), ("ReadSubprocessPipeProto", 1)]


class TestReprs:
    def test_of_futures_and_tasks(self, impl, loop, run, monkeypatch):
        monkeypatch.setattr(asyncio.base_futures, "_future_repr_info", lambda future: ["odd"])
        future = impl.Future(loop=loop)
        assert repr(future) == "<Future odd>"

        async def main():
            return repr(asyncio.current_task())

        assert run(main()).startswith("<Task odd name=")

    def test_of_handles(self, impl, loop, monkeypatch):
        monkeypatch.setattr(
            asyncio.format_helpers, "_format_callback_source", lambda *args, **keywords: "source"
        )
        handle = loop.call_soon(print)
        timer = loop.call_later(0, print)
        assert repr(handle) == "<Handle source>"
        assert repr(timer).endswith(" source>")
        handle.cancel()
        timer.cancel()

    def test_of_callbacks_that_fail(self, loop, reports, monkeypatch):
        monkeypatch.setattr(
            asyncio.format_helpers, "_format_callback_source", lambda *args, **keywords: "source"
        )
        loop.set_exception_handler(lambda _loop, context: reports.append(context["message"]))
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert reports == ["Exception in callback source"]
        reports.clear()

    def test_stacks_of_handles(self, loop, monkeypatch):
        def extract(frame):
            return [type(frame), "call_soon", "_call_soon"]

        monkeypatch.setattr(asyncio.format_helpers, "extract_stack", extract)
        loop.set_debug(True)
        handle = loop.call_soon(print)
        assert handle._source_traceback[0] is types.FrameType
        loop.set_debug(False)
        handle.cancel()


class TestFunctions:
    """Small functions of `base_events`, and of other modules, that methods call by name."""

    @pytest.fixture
    def asked(self, monkeypatch):
        asked = []

        def trace(module, name):
            original = getattr(module, name)

            def traced(*args):
                asked.append(name)
                return original(*args)

            monkeypatch.setattr(module, name, traced)

        trace.asked = asked
        return trace

    def test_of_connections(self, impl, loop, run, asked):
        for name in ("_interleave_addrinfos", "_set_reuseport", "_set_nodelay", "_check_ssl_socket"):
            asked(asyncio.base_events, name)

        async def main():
            server = await loop.create_server(asyncio.Protocol, HOST, 0, reuse_port=True)
            host, port = server.sockets[0].getsockname()
            transport, _ = await loop.create_connection(asyncio.Protocol, host, port, interleave=1)
            await asyncio.sleep(0.01)
            transport.abort()
            server.close()
            ours, peer = tcp_pair()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.abort()
            peer.close()

        run(main())
        names = {"_interleave_addrinfos", "_set_reuseport", "_set_nodelay", "_check_ssl_socket"}
        assert set(asked.asked) == names
        assert asked.asked.count("_set_nodelay") == 3

    def test_whether_it_is_a_coroutine(self, loop, asked):
        asked(asyncio.coroutines, "iscoroutine")
        loop.add_signal_handler(signal.SIGUSR1, print)
        loop.remove_signal_handler(signal.SIGUSR1)
        assert asked.asked == ["iscoroutine"]
        loop.set_debug(True)
        loop.call_soon(print).cancel()
        assert asked.asked == ["iscoroutine"] * 2

    def test_what_a_served_function_gives(self, impl, run, asked):
        asked(asyncio.coroutines, "iscoroutine")

        async def main():
            done = asyncio.Event()

            async def serve(_reader, writer):
                writer.close()
                done.set()

            server = await impl.start_server(serve, HOST, 0)
            _, writer = await impl.open_connection(*server.sockets[0].getsockname())
            await done.wait()
            writer.close()
            server.close()
            await server.wait_closed()

        run(main())
        assert "iscoroutine" in asked.asked

    def test_sockets_of_a_server(self, impl, run, monkeypatch):
        async def main():
            server = await impl.start_server(print, HOST, 0)
            monkeypatch.setattr(type(server), "sockets", property(lambda self: ("mine",)))
            shown = repr(server)
            monkeypatch.undo()
            server.close()
            return shown

        assert run(main()) == "<Server sockets=('mine',)>"


@pytest.mark.parametrize("name", ["heappush", "heappop"])
def test_the_heap_of_a_loop(make_loop, impl, monkeypatch, name):
    """It is used, or that is refused."""
    asked, original = [], getattr(heapq, name)

    def traced(*args):
        asked.append(name)
        return original(*args)

    loop = make_loop(impl.new_event_loop)
    module = types.SimpleNamespace(**{**vars(heapq), name: traced})
    monkeypatch.setattr(asyncio.base_events, "heapq", module)
    sleeping = asyncio.sleep(0.001)
    try:
        loop.run_until_complete(sleeping)
    except TypeError as error:
        assert "asyncio.base_events.heapq.heap" in str(error)
        assert type(loop).__module__ == "yibu.event_loop"
        sleeping.close()
    else:
        assert asked == [name]
    monkeypatch.undo()
    loop.run_until_complete(asyncio.sleep(0.001))
