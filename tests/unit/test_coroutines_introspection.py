"""asyncio.coroutines: what can be seen of the coroutines that asyncio's own functions return."""

import asyncio
import collections.abc
import copy
import gc
import inspect
import io
import linecache
import pickle
import socket
import sys
import types
import typing
import warnings

import pytest


class Made:
    """One coroutine of each async function of asyncio's public API, by its qualified name in asyncio."""

    def __init__(self, impl, loop, sockets, server, reader, writer, process):
        one, two = sockets
        lock, semaphore, bounded = impl.Lock(), impl.Semaphore(), impl.BoundedSemaphore()
        condition, event, barrier = impl.Condition(), impl.Event(), impl.Barrier(1)
        queue, group, limit = impl.Queue(), impl.TaskGroup(), impl.timeout(1)
        nothing = (None, None, None)
        self.functions = {
            "sleep": lambda: impl.sleep(1),
            "wait": lambda: impl.wait([loop.create_future()]),
            "wait_for": lambda: impl.wait_for(loop.create_future(), 1),
            "to_thread": lambda: impl.to_thread(int),
            "open_connection": lambda: impl.open_connection("host", 1),
            "start_server": lambda: impl.start_server(print, "host", 1),
            "open_unix_connection": lambda: impl.open_unix_connection("path"),
            "start_unix_server": lambda: impl.start_unix_server(print, "path"),
            "create_subprocess_exec": lambda: impl.create_subprocess_exec("program"),
            "create_subprocess_shell": lambda: impl.create_subprocess_shell("program"),
            "Lock.acquire": lock.acquire,
            "_ContextManagerMixin.__aenter__": lock.__aenter__,
            "_ContextManagerMixin.__aexit__": lambda: lock.__aexit__(*nothing),
            "Semaphore.acquire": semaphore.acquire,
            "Semaphore.acquire of a bounded one": bounded.acquire,
            "_ContextManagerMixin.__aenter__ of a semaphore": semaphore.__aenter__,
            "_ContextManagerMixin.__aexit__ of a semaphore": lambda: semaphore.__aexit__(*nothing),
            "Condition.wait": condition.wait,
            "Condition.wait_for": lambda: condition.wait_for(int),
            "_ContextManagerMixin.__aenter__ of a condition": condition.__aenter__,
            "Event.wait": event.wait,
            "Barrier.wait": barrier.wait,
            "Barrier.reset": barrier.reset,
            "Barrier.abort": barrier.abort,
            "Barrier.__aenter__": barrier.__aenter__,
            "Barrier.__aexit__": lambda: barrier.__aexit__(*nothing),
            "Queue.get": queue.get,
            "Queue.put": lambda: queue.put(1),
            "Queue.join": queue.join,
            "StreamReader.read": reader.read,
            "StreamReader.readline": reader.readline,
            "StreamReader.readuntil": reader.readuntil,
            "StreamReader.readexactly": lambda: reader.readexactly(1),
            "StreamReader.__anext__": reader.__anext__,
            "StreamWriter.drain": writer.drain,
            "StreamWriter.wait_closed": writer.wait_closed,
            "StreamWriter.start_tls": lambda: writer.start_tls(None),
            "Process.wait": process.wait,
            "Process.communicate": process.communicate,
            "TaskGroup.__aenter__": group.__aenter__,
            "TaskGroup.__aexit__": lambda: group.__aexit__(*nothing),
            "Timeout.__aenter__": limit.__aenter__,
            "Timeout.__aexit__": lambda: limit.__aexit__(*nothing),
            "Server.start_serving": server.start_serving,
            "Server.serve_forever": server.serve_forever,
            "Server.wait_closed": server.wait_closed,
            "AbstractServer.__aenter__": server.__aenter__,
            "AbstractServer.__aexit__": lambda: server.__aexit__(*nothing),
            "BaseEventLoop.getaddrinfo": lambda: loop.getaddrinfo("host", 1),
            "BaseEventLoop.getnameinfo": lambda: loop.getnameinfo(("host", 1)),
            "BaseEventLoop.create_connection": lambda: loop.create_connection(asyncio.Protocol, "host", 1),
            "BaseEventLoop.create_server": lambda: loop.create_server(asyncio.Protocol, "host", 1),
            "BaseEventLoop.create_datagram_endpoint": lambda: loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, ("host", 1)
            ),
            "BaseEventLoop.connect_accepted_socket": lambda: loop.connect_accepted_socket(
                asyncio.Protocol, one
            ),
            "BaseEventLoop.start_tls": lambda: loop.start_tls(writer.transport, asyncio.Protocol(), None),
            "BaseEventLoop.sendfile": lambda: loop.sendfile(writer.transport, None),
            "BaseEventLoop.sock_sendfile": lambda: loop.sock_sendfile(one, None),
            "BaseEventLoop.connect_read_pipe": lambda: loop.connect_read_pipe(asyncio.Protocol, None),
            "BaseEventLoop.connect_write_pipe": lambda: loop.connect_write_pipe(asyncio.Protocol, None),
            "BaseEventLoop.subprocess_exec": lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "x"),
            "BaseEventLoop.subprocess_shell": lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, "x"),
            "BaseEventLoop.shutdown_asyncgens": loop.shutdown_asyncgens,
            "BaseEventLoop.shutdown_default_executor": loop.shutdown_default_executor,
            "BaseSelectorEventLoop.sock_recv": lambda: loop.sock_recv(one, 1),
            "BaseSelectorEventLoop.sock_recv_into": lambda: loop.sock_recv_into(one, bytearray(1)),
            "BaseSelectorEventLoop.sock_recvfrom": lambda: loop.sock_recvfrom(one, 1),
            "BaseSelectorEventLoop.sock_recvfrom_into": lambda: loop.sock_recvfrom_into(one, bytearray(1)),
            "BaseSelectorEventLoop.sock_sendall": lambda: loop.sock_sendall(one, b"data"),
            "BaseSelectorEventLoop.sock_sendto": lambda: loop.sock_sendto(one, b"data", "path"),
            "BaseSelectorEventLoop.sock_connect": lambda: loop.sock_connect(two, "path"),
            "BaseSelectorEventLoop.sock_accept": lambda: loop.sock_accept(one),
            "_UnixSelectorEventLoop.create_unix_connection": lambda: loop.create_unix_connection(
                asyncio.Protocol, "path"
            ),
            "_UnixSelectorEventLoop.create_unix_server": lambda: loop.create_unix_server(
                asyncio.Protocol, "path"
            ),
        }

    def each(self):
        for name, function in self.functions.items():
            coroutine = function()
            yield name.split(" of ")[0], coroutine
            coroutine.close()


@pytest.fixture
def walk(impl, loop, run):
    """Calls a function with the name and the coroutine of each async function; returns what was wrong."""

    def walk(examine):
        wrong = {}

        async def main():
            sockets = socket.socketpair()
            for each in sockets:
                each.setblocking(False)
            server = await impl.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            process = await impl.create_subprocess_exec(sys.executable, "-S", "-c", "")
            await process.wait()
            for name, coroutine in Made(impl, loop, sockets, server, reader, writer, process).each():
                try:
                    examine(name, coroutine)
                except AssertionError as error:
                    wrong[name] = str(error)
            for each in (server, writer, *sockets):
                each.close()
            await writer.wait_closed()

        run(main())
        return wrong

    return walk


@pytest.fixture
def started(impl, run):
    """Runs a function with a coroutine of each of some kinds that waits, on the running loop."""

    def started(examine):
        async def main():
            lock = impl.Lock()
            await lock.acquire()
            future = asyncio.get_running_loop().create_future()
            for make in (lambda: impl.sleep(1), impl.Queue().get, lock.acquire, lambda: impl.wait([future])):
                coroutine = make()
                coroutine.send(None)
                examine(coroutine)
                coroutine.close()

        run(main())

    return started


class TestKind:
    def test_is_a_coroutine_to_everybody(self, walk):
        def examine(_name, coroutine):
            assert inspect.iscoroutine(coroutine) and inspect.isawaitable(coroutine)
            assert asyncio.iscoroutine(coroutine)
            assert isinstance(coroutine, types.CoroutineType)
            assert isinstance(coroutine, collections.abc.Coroutine | collections.abc.Awaitable)
            assert isinstance(coroutine, typing.Coroutine)
            assert coroutine.__class__ is types.CoroutineType
            assert type(coroutine).__name__ == "coroutine"

        assert walk(examine) == {}

    def test_is_nothing_else(self, walk):
        """Forgetting `await` before something to iterate is an error."""

        def examine(_name, coroutine):
            assert not isinstance(coroutine, collections.abc.Iterable | collections.abc.Generator)
            assert not inspect.isgenerator(coroutine)
            with pytest.raises(TypeError, match=r"^'coroutine' object is not iterable$"):
                list(coroutine)
            with pytest.raises(TypeError):
                _one, _two = coroutine
            with pytest.raises(AttributeError):
                coroutine.attribute = 1

        assert walk(examine) == {}

    def test_is_nothing_else_in_a_coroutine(self, impl, drive):
        """Neither there: a loop or an assignment of an `async def` lacks its `await`."""

        async def main():
            for begin in (lambda: impl.sleep(1), impl.Queue().get, impl.Lock().acquire):
                coroutine = begin()
                with pytest.raises(TypeError):
                    _one, _two = coroutine
                with pytest.raises(TypeError):
                    for _item in coroutine:
                        pass
                with pytest.raises(TypeError):
                    [item async for item in coroutine]
                coroutine.close()

        drive(main())

    def test_names(self, walk):
        def examine(name, coroutine):
            assert coroutine.__qualname__ == name
            assert coroutine.__name__ == name.rpartition(".")[2]
            assert repr(coroutine).startswith(f"<coroutine object {name} at 0x")
            coroutine.__name__, coroutine.__qualname__ = "new", "other.new"
            assert (coroutine.__name__, coroutine.__qualname__) == ("new", "other.new")
            assert repr(coroutine).startswith("<coroutine object other.new at 0x")
            for attribute in ("__name__", "__qualname__"):
                with pytest.raises(TypeError, match=rf"^{attribute} must be set to a string object$"):
                    setattr(coroutine, attribute, 1)
                with pytest.raises(TypeError, match=rf"^{attribute} must be set to a string object$"):
                    delattr(coroutine, attribute)

        assert walk(examine) == {}

    def test_is_not_copied(self, walk):
        def examine(_name, coroutine):
            for copying in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match=r"^cannot pickle 'coroutine' object$"):
                    copying(coroutine)

        assert walk(examine) == {}

    def test_cannot_be_made_or_called(self, impl):
        coroutine = impl.sleep(1)
        with pytest.raises(TypeError, match=r"^cannot create 'coroutine' instances$"):
            type(coroutine)()
        with pytest.raises(TypeError, match=r"^type '(\w+\.)?coroutine' is not an acceptable base type$"):
            type("Own", (type(coroutine),), {})
        with pytest.raises(TypeError, match=r"^'coroutine' object is not callable$"):
            coroutine()
        coroutine.close()

    def test_bound_method_is_no_coroutine(self, impl, run):
        async def main():
            lock = impl.Lock()
            for method in (lock.__aenter__, lock.__aexit__, lock.acquire):
                assert not inspect.iscoroutine(method)
                assert method.__self__ is lock
                with pytest.raises(TypeError, match=r"can't be (used in 'await' expression|awaited)$"):
                    await method

        run(main())


class TestIteration:
    def test_is_no_iterator(self, walk):
        def examine(_name, coroutine):
            with pytest.raises(TypeError, match=r"^'coroutine' object is not an iterator$"):
                next(coroutine)
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED

        assert walk(examine) == {}

    def test_awaited_by_a_generator_of_types_coroutine(self, impl, run):
        @types.coroutine
        def generator():
            return (yield from impl.sleep(0, "slept"))

        async def main():
            return await generator()

        assert run(main()) == "slept"

    def test_awaited_by_an_awaitable_of_a_generator(self, impl, run):
        class Slow:
            def __await__(self):
                yield from impl.sleep(0).__await__()
                return (yield from impl.wait_for(impl.sleep(0, "slept"), 5).__await__())

        async def main():
            return await Slow()

        assert run(main()) == "slept"

    def test_thrown_into_by_way_of_await(self, impl, run):
        class Slow:
            def __await__(self):
                return (yield from impl.sleep(100).__await__())

        async def main():
            async def wait():
                await Slow()

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel("why")
            with pytest.raises(asyncio.CancelledError, match=r"^why$"):
                await task

        run(main())

    def test_iterator_of_await(self, impl):
        coroutine = impl.sleep(0, "slept")
        iterator = coroutine.__await__()
        assert isinstance(iterator, collections.abc.Iterator)
        assert next(iterator) is None
        with pytest.raises(StopIteration) as ended:
            iterator.send(None)
        assert ended.value.value == "slept"
        coroutine = impl.sleep(0)
        coroutine.__await__().close()
        with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
            coroutine.send(None)
        with pytest.raises(KeyError, match=r"^'thrown'$"):
            impl.sleep(0).__await__().throw(KeyError("thrown"))


class TestCodeAndFrame:
    def test_before_it_starts(self, walk):
        def examine(name, coroutine):
            code, frame = coroutine.cr_code, coroutine.cr_frame
            assert code.co_qualname == name and code.co_flags & inspect.CO_COROUTINE
            assert frame.f_code is code
            assert frame is coroutine.cr_frame
            assert frame.f_lineno >= code.co_firstlineno
            assert frame.f_globals["__name__"].startswith("asyncio.")
            assert frame.f_back is None
            assert set(inspect.getcoroutinelocals(coroutine)) <= set(code.co_varnames + code.co_cellvars)
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
            assert not coroutine.cr_running and not coroutine.cr_suspended
            assert coroutine.cr_await is None and coroutine.cr_origin is None
            coroutine.close()
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
            assert coroutine.cr_frame is None and coroutine.cr_code is code
            assert inspect.getcoroutinelocals(coroutine) == {}
            with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
                coroutine.throw(ValueError)

        assert walk(examine) == {}

    def test_code_is_that_of_the_function(self, impl):
        coroutine = impl.Queue().get()
        assert coroutine.cr_code.co_name == "get"
        assert coroutine.cr_code.co_filename.endswith("queues.py")
        assert "while self.empty():" in inspect.getsource(coroutine.cr_code)
        coroutine.close()

    def test_while_it_waits(self, started):
        def examine(coroutine):
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
            assert coroutine.cr_suspended and not coroutine.cr_running
            assert coroutine.cr_frame.f_code is coroutine.cr_code
            assert coroutine.cr_await is not None
            if sys.version_info >= (3, 15):
                assert coroutine.cr_state == inspect.CORO_SUSPENDED

        started(examine)

    def test_while_it_runs(self, impl, run):
        seen = []

        class Looking(impl.Queue):
            def _get(self):
                seen.append((coroutine.cr_running, inspect.getcoroutinestate(coroutine), coroutine.cr_frame))
                return super()._get()

        async def main():
            nonlocal coroutine
            queue = Looking()
            queue.put_nowait("item")
            coroutine = queue.get()
            assert await coroutine == "item"

        coroutine = None
        run(main())
        [(running, state, frame)] = seen
        assert running and state == inspect.CORO_RUNNING
        assert frame.f_code is coroutine.cr_code

    def test_parameter_self(self, impl):
        queue = impl.Queue()
        coroutine = queue.get()
        assert inspect.getcoroutinelocals(coroutine)["self"] is queue
        coroutine.close()

    def test_frame_outlives_the_coroutine(self, impl):
        coroutine = impl.sleep(1)
        frame = coroutine.cr_frame
        coroutine.close()
        del coroutine
        gc.collect()
        assert frame.f_code.co_name == "sleep" and frame.f_lineno > 0
        assert isinstance(frame.f_locals, collections.abc.Mapping)

    def test_what_was_looked_at_is_collected(self, impl, run):
        """A frame refers to the objects that the coroutine waits with."""
        reports = []

        async def main():
            queue = impl.Queue()
            asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reports.append(report))
            task = asyncio.create_task(queue.get())
            await asyncio.sleep(0)
            assert len(task.get_stack()) == 1 and "running at" in repr(task)
            del queue, task
            gc.collect()

        run(main())
        assert [report["message"] for report in reports] == ["Task was destroyed but it is pending!"]

    def test_looking_warns_of_nothing(self, impl):
        """Neither when the coroutine is looked at nor when it is dropped, in a cycle or not."""
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for in_cycle in (False, True):
                queue = impl.Queue()
                coroutine = queue.get()
                frame = coroutine.cr_frame
                if in_cycle:
                    queue.itself = coroutine, frame
                coroutine.close()
                del queue, coroutine, frame
                gc.collect()
        assert seen == []


class TestWhereItWaits:
    def test_follows_into_what_it_awaits(self, impl, run):
        """A coroutine of the program that awaits asyncio's that awaits one of the program."""

        async def inner():
            await asyncio.get_running_loop().create_future()

        async def outer():
            await impl.wait_for(inner(), 100)

        async def main():
            task = asyncio.create_task(outer())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            coroutine, names = task.get_coro(), []
            while coroutine is not None and hasattr(coroutine, "cr_await"):
                names.append(coroutine.cr_frame.f_code.co_name)
                coroutine = coroutine.cr_await
            task.cancel()
            return names

        names = run(main())
        assert names[:2] == ["outer", "wait_for"]
        # Up to 3.11 it is a task of its own.
        assert names[2:] == (["inner"] if sys.version_info >= (3, 12) else [])

    def test_a_turn(self, impl, run):
        async def main():
            coroutine = impl.sleep(0)
            assert coroutine.cr_await is None
            coroutine.send(None)
            turn = coroutine.cr_await
            assert inspect.isgenerator(turn) and turn is coroutine.cr_await
            assert inspect.getgeneratorstate(turn) == inspect.GEN_SUSPENDED
            assert (turn.__name__, turn.gi_yieldfrom) == ("__sleep0", None)
            with pytest.raises(StopIteration):
                coroutine.send(None)
            assert coroutine.cr_await is None

        run(main())

    def test_a_barrier_that_drains(self, impl, run):
        async def main():
            barrier = impl.Barrier(2)
            inside = [asyncio.create_task(barrier.wait()) for _ in range(2)]
            late = asyncio.create_task(barrier.wait())
            while not all(task.done() for task in inside):
                names, each = [], late.get_coro()
                while inspect.iscoroutine(each):
                    names.append(each.__qualname__)
                    each = each.cr_await
                if names[-1] == "Condition.wait":
                    seen.append(names)
                await asyncio.sleep(0)
            late.cancel()

        seen = []
        run(main())
        assert seen[0] == ["Barrier.wait", "Barrier._block", "Condition.wait_for", "Condition.wait"]

    @pytest.mark.parametrize(
        ("make", "names"),
        [
            (lambda impl: impl.Lock().acquire(), ["acquire"]),
            (lambda impl: impl.wait([asyncio.get_running_loop().create_future()]), ["wait", "_wait"]),
            (lambda impl: impl.StreamReader().readline(), ["readline", "readuntil", "_wait_for_data"]),
            (lambda impl: impl.StreamReader().read(5), ["read", "_wait_for_data"]),
            (lambda impl: impl.Queue().get(), ["get"]),
            (lambda impl: impl.Barrier(2).wait(), ["wait", "_wait", "wait_for", "wait"]),
        ],
        ids=["acquire", "wait", "readline", "read", "get", "barrier"],
    )
    def test_within(self, impl, run, make, names):
        """Where asyncio's function awaits another one of asyncio, both are shown."""

        async def main():
            coroutine = make(impl)
            first = coroutine.send(None) if names != ["acquire"] else None
            seen, each = [], coroutine
            while inspect.iscoroutine(each):
                seen.append(each.__name__)
                assert each.cr_code.co_name == each.__name__
                assert inspect.getcoroutinestate(each) == (
                    inspect.CORO_CREATED if names == ["acquire"] else inspect.CORO_SUSPENDED
                )
                assert each.cr_await is each.cr_await or not inspect.iscoroutine(each.cr_await)
                each = each.cr_await
            coroutine.close()
            assert first is None or asyncio.isfuture(first)
            return seen

        assert run(main()) == names

    @pytest.mark.parametrize(
        ("make", "line"),
        [
            (lambda impl: impl.sleep(0), "await __sleep0()"),
            (lambda impl: impl.sleep(100), "return await future"),
            (lambda impl: impl.Event().wait(), "await fut"),
            (lambda impl: impl.Queue().get(), "await getter"),
            (lambda impl: impl.StreamReader().readexactly(5), "await self._wait_for_data('readexactly')"),
            (lambda impl: impl.StreamReader().read(), "await self.read(self._limit)"),
        ],
        ids=["sleep(0)", "sleep", "wait", "get", "readexactly", "read"],
    )
    def test_line(self, impl, run, make, line):
        async def main():
            coroutine = make(impl)
            start = coroutine.cr_code.co_firstlineno
            assert coroutine.cr_frame.f_lineno in (start, start + 1)
            frame = coroutine.cr_frame
            coroutine.send(None)
            assert coroutine.cr_frame is frame
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            coroutine.close()
            return text

        assert line in run(main())


class TestOrigin:
    @pytest.fixture
    def depth(self):
        before = sys.get_coroutine_origin_tracking_depth()
        yield sys.set_coroutine_origin_tracking_depth
        sys.set_coroutine_origin_tracking_depth(before)

    def test_where_it_was_made(self, impl, depth):
        def make():
            return impl.Queue().get()

        depth(2)
        coroutine, line = make(), sys._getframe().f_lineno
        depth(0)
        first, second = coroutine.cr_origin
        assert first == (__file__, make.__code__.co_firstlineno + 1, "make")
        assert second == (__file__, line, "test_where_it_was_made")
        coroutine.close()
        coroutine = impl.Queue().get()
        assert coroutine.cr_origin is None
        coroutine.close()

    def test_of_each(self, walk, depth):
        def examine(_name, coroutine):
            [(filename, _line, _function)] = coroutine.cr_origin
            assert filename == __file__

        depth(1)
        assert walk(examine) == {}

    def test_depth_is_that_of_the_thread(self, impl, run, depth):
        depth(1)

        async def main():
            def in_thread():
                coroutine = impl.sleep(0)
                origin = coroutine.cr_origin
                coroutine.close()
                return origin

            return await asyncio.to_thread(in_thread)

        assert run(main()) is None

    @pytest.mark.parametrize("make", [lambda impl: impl.sleep(1), lambda impl: impl.Lock().__aenter__()])
    def test_report_of_one_never_awaited(self, impl, depth, make):
        depth(3)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            make(impl)
            gc.collect()
        [warning] = seen
        coroutine = warning.source
        text = str(warning.message)
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
        assert text.startswith(
            f"coroutine '{coroutine.__qualname__}' was never awaited\nCoroutine created at"
        )
        assert text.splitlines()[-2].endswith("in <lambda>")
        assert warning.filename == __file__

    def test_report_by_the_programs_own_function(self, impl, monkeypatch):
        seen = []
        monkeypatch.setattr(warnings, "_warn_unawaited_coroutine", lambda c: seen.append(c.__qualname__))
        impl.Queue().get()
        gc.collect()
        assert seen == ["Queue.get"]


class TestTasks:
    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda impl: impl.sleep(100), "sleep"),
            (lambda impl: impl.wait_for(impl.Event().wait(), 100), "wait_for"),
            (lambda impl: impl.Queue().get(), "Queue.get"),
            (lambda impl: impl.StreamReader().readline(), "StreamReader.readline"),
        ],
        ids=["sleep", "wait_for", "get", "readline"],
    )
    def test_stack_of_one(self, impl, run, make, name):
        async def main():
            task = asyncio.create_task(make(impl), name="task")
            await asyncio.sleep(0)
            [frame] = task.get_stack()
            assert frame is task.get_coro().cr_frame
            text = io.StringIO()
            task.print_stack(file=text)
            header, place, line = text.getvalue().splitlines()[:3]
            assert header.startswith("Stack for <Task pending name='task' coro=<")
            assert place.endswith(f"in {name.rpartition('.')[2]}") and line.strip()
            assert f"coro=<{name}() running at {frame.f_code.co_filename}:{frame.f_lineno}>" in repr(task)
            task.cancel()
            await asyncio.wait([task])
            assert f"coro=<{name}() done, defined at {frame.f_code.co_filename}:" in repr(task)

        run(main())

    def test_future_that_it_waits_for(self, impl, run):
        """Completing it by hand ends the wait with that result."""

        async def main():
            loop = asyncio.get_running_loop()
            tasks = [loop.create_task(impl.sleep(100, result)) for result in (None, "late", "on time")]
            await asyncio.sleep(0)
            first, second, third = [task._fut_waiter for task in tasks]
            assert tasks[0].get_coro().cr_await is not None
            first.set_result("early")
            second.set_result("early, too")
            third.set_exception(KeyError("early"))
            return await asyncio.gather(*tasks, return_exceptions=True)

        *results, error = run(main())
        assert results == ["early", "early, too"]
        assert isinstance(error, KeyError)

    def test_slept_result_is_the_futures(self, impl, run):
        async def main():
            task = asyncio.create_task(impl.sleep(0.001, "slept"))
            await asyncio.sleep(0)
            waiter = task._fut_waiter
            return await task, waiter.result()

        assert run(main()) == ("slept", "slept")
