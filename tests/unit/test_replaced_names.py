"""What a program puts in place of names of asyncio's modules is what asyncio's functions use from then on."""

import asyncio
import asyncio.runners
import asyncio.staggered
import concurrent.futures
import concurrent.futures.thread
import logging
import os
import queue
import sys
import threading
import time
import types

import pytest

HOST = "127.0.0.1"


class Shim:
    """Stands before a loop, and notes what it was asked for."""

    def __init__(self, loop):
        self.loop = loop
        self.asked = []

    def __getattr__(self, name):
        self.asked.append(name)
        return getattr(self.loop, name)


class TestTasksAndFutures:
    @pytest.fixture
    def traced(self, impl, monkeypatch):
        class Traced(impl.Task):
            born = 0

            def __init__(self, *args, **keywords):
                type(self).born += 1
                super().__init__(*args, **keywords)

        monkeypatch.setattr(asyncio.tasks, "Task", Traced)
        return Traced

    def test_tasks_are_of_the_class(self, impl, run, traced):
        async def main():
            loop = asyncio.get_running_loop()
            made = [
                impl.create_task(asyncio.sleep(0), name="one"),
                loop.create_task(asyncio.sleep(0)),
                impl.ensure_future(asyncio.sleep(0)),
            ]
            await impl.gather(*made, impl.sleep(0))
            async with impl.TaskGroup() as group:
                made.append(group.create_task(impl.sleep(0)))
            assert made[0].get_name() == "one"
            return [type(task) for task in made]

        assert run(main()) == [traced] * 4
        assert traced.born >= 5

    def test_what_was_put_back_is_used_again(self, impl, loop, run, traced, monkeypatch):
        monkeypatch.undo()

        async def main():
            task = loop.create_task(impl.sleep(0))
            await task
            return type(task)

        assert run(main()) is not traced
        assert traced.born == 0

    def test_no_class_at_all(self, loop, monkeypatch):
        monkeypatch.delattr(asyncio.tasks, "Task")
        coroutine = asyncio.sleep(0)
        with pytest.raises(AttributeError, match="Task"):
            loop.create_task(coroutine)
        coroutine.close()

    def test_a_function_in_place_of_the_class(self, loop, monkeypatch):
        def task(coro, **options):
            return types.SimpleNamespace(coro=coro, options=options, _source_traceback=None)

        monkeypatch.setattr(asyncio.tasks, "Task", task)
        coroutine = asyncio.sleep(0)
        made = loop.create_task(coroutine)
        coroutine.close()
        assert made.coro is coroutine
        assert made.options["loop"] is loop

    def test_futures_are_of_the_class(self, impl, loop, run, monkeypatch):
        class Marked(impl.Future):
            pass

        monkeypatch.setattr(asyncio.futures, "Future", Marked)
        assert type(loop.create_future()) is Marked

        async def main():
            waiting = loop.run_in_executor(None, int)
            assert type(waiting) is Marked
            return await waiting

        assert run(main()) == 0

    def test_ensure_future(self, impl, run, monkeypatch):
        name = "ensure_future" if sys.version_info >= (3, 12) else "_ensure_future"
        original, asked = getattr(asyncio.tasks, name), []

        def ensure(awaitable, *, loop=None):
            asked.append(awaitable)
            return original(awaitable, loop=loop)

        monkeypatch.setattr(asyncio.tasks, name, ensure)

        async def main():
            await impl.gather(impl.sleep(0), impl.sleep(0))
            return len(asked)

        assert run(main()) >= 2


def test_modules_of_the_implementation(impl, loop, monkeypatch):
    """What `import yibu as asyncio` has as `asyncio.tasks` counts, too."""

    class Traced(impl.Task):
        pass

    monkeypatch.setattr(impl.tasks, "Task", Traced)
    task = loop.create_task(asyncio.sleep(0))
    assert type(task) is Traced
    loop.run_until_complete(task)
    monkeypatch.undo()
    task = loop.create_task(asyncio.sleep(0))
    assert type(task) is not Traced
    loop.run_until_complete(task)


class TestHandles:
    @pytest.fixture
    def ran(self, impl, monkeypatch):
        """Replace both classes; what ran, by the class of its handle."""
        ran = []

        def traced(base):
            class Traced(base):
                def _run(self):
                    ran.append(type(self))
                    super()._run()

            return Traced

        monkeypatch.setattr(asyncio.events, "Handle", traced(impl.Handle))
        monkeypatch.setattr(asyncio.events, "TimerHandle", traced(impl.TimerHandle))
        return ran

    def test_callbacks_are_run_by_the_class(self, loop, ran):
        calls = []
        handle = loop.call_soon(calls.append, 1)
        timer = loop.call_later(0, calls.append, 2)
        cancelled = loop.call_soon(calls.append, 3)
        cancelled.cancel()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert calls == [1, 2]
        assert type(handle) is asyncio.events.Handle
        assert type(timer) is asyncio.events.TimerHandle
        assert ran.count(asyncio.events.Handle) >= 1
        assert ran.count(asyncio.events.TimerHandle) == 2

    def test_steps_of_tasks_are_seen(self, impl, run, ran):
        async def main():
            before = len(ran)
            await impl.sleep(0)
            await impl.sleep(0)
            return len(ran) - before

        assert run(main()) >= 2

    def test_cancelled_timers_do_not_run(self, loop, ran):
        timers = [loop.call_later(0.001, ran.append, "late") for _ in range(200)]
        for timer in timers:
            timer.cancel()
        loop.call_later(0.002, loop.stop)
        loop.run_forever()
        assert "late" not in ran


class TestRunningLoop:
    @pytest.mark.parametrize("name", ["sleep", "create_task", "to_thread", "wait_for", "gather", "timeout"])
    def test_the_replaced_function_is_asked(self, impl, run, monkeypatch, name):
        async def timeout():
            async with impl.timeout(10):
                await asyncio.sleep(0)

        acts = {
            "sleep": lambda: impl.sleep(0.001),
            "create_task": lambda: impl.create_task(asyncio.sleep(0)),
            "to_thread": lambda: impl.to_thread(int),
            "wait_for": lambda: impl.wait_for(impl.sleep(0.001), 10),
            "gather": impl.gather,
            "timeout": timeout,
        }

        async def main():
            shim = Shim(asyncio.get_running_loop())
            with monkeypatch.context() as patch:
                for function in ("get_running_loop", "get_event_loop", "_get_event_loop"):
                    patch.setattr(asyncio.events, function, lambda *_: shim, raising=False)
                await acts[name]()
            return shim.asked

        assert run(main())

    def test_a_loop_that_only_the_program_knows(self, impl, monkeypatch):
        monkeypatch.setattr(asyncio.events, "get_running_loop", lambda: 1 / 0)
        coroutine = impl.sleep(1)
        with pytest.raises(ZeroDivisionError):
            coroutine.send(None)

    def test_the_alias_of_a_module(self, impl, run, monkeypatch):
        class Events:
            def __getattr__(self, name):
                asked.append(name)
                return getattr(asyncio.events, name)

        asked = []
        monkeypatch.setattr(asyncio.tasks, "events", Events())
        run(impl.sleep(0.001))
        assert "get_running_loop" in asked


class TestCurrentTask:
    """`asyncio.tasks.current_task`, in whose place libraries put one that knows of their own loops."""

    @pytest.mark.parametrize("name", ["timeout", "TaskGroup"])
    def test_who_asks_for_it(self, impl, run, monkeypatch, name):
        asked = []
        original = asyncio.tasks.current_task

        def current_task(loop=None):
            asked.append(loop)
            return original(loop)

        async def main():
            monkeypatch.setattr(asyncio.tasks, "current_task", current_task)
            async with impl.timeout(10) if name == "timeout" else impl.TaskGroup():
                pass
            monkeypatch.undo()
            return asked == [None if name == "timeout" else asyncio.get_running_loop()]

        assert run(main())

    @pytest.mark.parametrize("name", ["timeout", "TaskGroup"])
    def test_one_that_knows_none(self, impl, run, monkeypatch, name):
        async def main():
            monkeypatch.setattr(asyncio.tasks, "current_task", lambda _loop=None: None)
            with pytest.raises(RuntimeError, match="task"):
                async with impl.timeout(10) if name == "timeout" else impl.TaskGroup():
                    pass
            monkeypatch.undo()

        run(main())


class TestRunner:
    def test_run_uses_the_class(self, impl, monkeypatch):
        seen = []

        class Traced(impl.Runner):
            def __enter__(self):
                seen.append("enter")
                return super().__enter__()

            def run(self, main, **options):
                seen.append("run")
                return super().run(main, **options)

            def __exit__(self, *error):
                seen.append(("exit", error[0]))
                return super().__exit__(*error)

        monkeypatch.setattr(asyncio.runners, "Runner", Traced)

        async def fail():
            raise KeyError

        assert impl.run(asyncio.sleep(0, 7)) == 7
        with pytest.raises(KeyError):
            impl.run(fail())
        assert seen == ["enter", "run", ("exit", None), "enter", "run", ("exit", KeyError)]


class TestStreams:
    def test_connections_are_made_of_the_classes(self, impl, run, monkeypatch):
        class Reader(impl.StreamReader):
            pass

        class Writer(impl.StreamWriter):
            pass

        class ReaderProtocol(impl.StreamReaderProtocol):
            pass

        for cls, name in (
            (Reader, "StreamReader"),
            (Writer, "StreamWriter"),
            (ReaderProtocol, "StreamReaderProtocol"),
        ):
            monkeypatch.setattr(asyncio.streams, name, cls)
        served = asyncio.Queue()

        async def serve(reader, writer):
            writer.write(await reader.readexactly(2))
            writer.close()
            await writer.wait_closed()
            served.put_nowait([type(reader), type(writer)])

        async def main():
            server = await impl.start_server(serve, HOST, 0)
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hi")
            assert await reader.read() == b"hi"
            writer.close()
            await writer.wait_closed()
            mine = [type(reader), type(writer), type(writer.transport.get_protocol())]
            theirs = await served.get()
            server.close()
            return mine[:2], theirs

        assert run(main()) == ([Reader, Writer], [Reader, Writer])


class TestClock:
    def test_it_moves_sleeps_and_time_limits(self, impl, loop, run, monkeypatch):
        real, moved = time.monotonic, [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: real() + moved[0])

        async def limited():
            async with impl.timeout(1800):
                await loop.create_future()

        async def main():
            before = loop.time()
            sleeper = loop.create_task(impl.sleep(3600, "slept"))
            timed = loop.create_task(limited())
            await impl.sleep(0)
            moved[0] = 7200.0
            assert loop.time() - before >= 7200
            with pytest.raises(TimeoutError):
                await timed
            return await sleeper

        assert run(main()) == "slept"

    def test_a_clock_that_stands_still(self, impl, loop, run, monkeypatch):
        now = [50.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        assert loop.time() == 50.0

        async def main():
            fired = []
            loop.call_at(60.0, fired.append, 1)
            await impl.sleep(0)
            assert not fired
            now[0] = 61.0
            await impl.sleep(0)
            await impl.sleep(0)
            return fired

        assert run(main()) == [1]

    def test_put_back(self, loop, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: 5.0)
            assert loop.time() == 5.0
        assert abs(loop.time() - time.monotonic()) < 5

    def test_another_module_of_the_name(self, loop, monkeypatch):
        class Times:
            def monotonic(self):
                return 12.5

        monkeypatch.setattr(asyncio.base_events, "time", Times())
        assert loop.time() == 12.5


class TestLoggers:
    def crash(self, loop):
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(loop.stop)
        loop.run_forever()

    def test_the_module_of_the_loop(self, loop, monkeypatch):
        class Logger:
            def error(self, text, *args, exc_info):
                lines.append((text.split()[0], exc_info[0]))

        lines = []
        loop.set_exception_handler(None)
        monkeypatch.setattr(asyncio.base_events, "logger", Logger())
        self.crash(loop)
        assert lines == [("Exception", ZeroDivisionError)]

    def test_methods_of_loggers(self, loop, monkeypatch):
        records = []
        loop.set_exception_handler(None)
        monkeypatch.setattr(logging.Logger, "callHandlers", lambda _self, record: records.append(record))
        self.crash(loop)
        assert [(record.name, record.levelname) for record in records] == [("asyncio", "ERROR")]

    def test_no_logger(self, loop, monkeypatch):
        loop.set_exception_handler(None)
        monkeypatch.delattr(asyncio.base_events, "logger")
        with pytest.raises(NameError, match="logger"):
            loop.default_exception_handler({"message": "something"})


class TestExecutor:
    @pytest.fixture
    def submitted(self, monkeypatch):
        original, submitted = concurrent.futures.ThreadPoolExecutor.submit, []

        def submit(self, function, /, *args, **keywords):
            submitted.append(function)
            return original(self, function, *args, **keywords)

        monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", submit)
        return submitted

    def test_all_jobs_are_submitted(self, impl, loop, run, submitted):
        async def main():
            await loop.run_in_executor(None, int)
            await impl.to_thread(int)
            await loop.getaddrinfo(HOST, 80)
            await loop.getnameinfo((HOST, 80))

        run(main())
        assert len(submitted) == 4

    def test_a_pool_that_was_there_before(self, loop, run, monkeypatch):
        async def main():
            started = threading.Event()
            release = threading.Event()

            def work():
                started.set()
                release.wait(10)
                return "finished"

            before = loop.run_in_executor(None, work)
            started.wait(10)
            original = concurrent.futures.ThreadPoolExecutor.submit
            with monkeypatch.context() as patch:
                patch.setattr(
                    concurrent.futures.ThreadPoolExecutor,
                    "submit",
                    lambda self, function, /, *args: original(self, lambda: ("seen", function(*args))),
                )
                assert await loop.run_in_executor(None, int) == ("seen", 0)
            release.set()
            assert await loop.run_in_executor(None, int) == 0
            return await before

        assert run(main()) == "finished"
        run(loop.shutdown_default_executor())

    def test_threads_of_the_default_executor(self, loop, run, monkeypatch):
        original, names = threading.Thread.run, []
        monkeypatch.setattr(threading.Thread, "run", lambda self: (names.append(self.name), original(self)))

        async def main():
            await loop.run_in_executor(None, int)

        run(main())
        run(loop.shutdown_default_executor())
        assert any(name.startswith("asyncio_") for name in names)

    def test_the_queue_of_the_default_executor(self, loop, run, monkeypatch):
        class Counting:
            """gevent puts such a class there, whose `get()` lets other greenlets run."""

            put_count = 0

            def __init__(self):
                self.items = queue.Queue()

            def put(self, item):
                Counting.put_count += 1
                self.items.put(item)

            def __getattr__(self, name):
                return getattr(self.items, name)

        monkeypatch.setattr(queue, "SimpleQueue", Counting)
        assert run(loop.run_in_executor(None, int)) == 0
        assert Counting.put_count > 0
        run(loop.shutdown_default_executor())

    def test_run_in_executor_of_the_loop(self, impl, loop, run):
        original, seen = loop.run_in_executor, []

        def traced(executor, function, *args):
            seen.append(function)
            return original(executor, function, *args)

        loop.run_in_executor = traced

        async def main():
            await impl.to_thread(int)
            await loop.getaddrinfo(HOST, 80)
            await loop.getnameinfo((HOST, 80))

        run(main())
        assert len(seen) == 3

    def test_an_executor_of_the_program_resolves_names(self, loop, run):
        class Counting(concurrent.futures.ThreadPoolExecutor):
            jobs = 0

            def submit(self, *args, **keywords):
                self.jobs += 1
                return super().submit(*args, **keywords)

        with Counting() as executor:
            loop.set_default_executor(executor)
            run(loop.getaddrinfo(HOST, 80))
            assert executor.jobs == 1


@pytest.mark.parametrize("end", ["read", "write"])
def test_classes_of_pipes(run, loop, monkeypatch, end):
    """A class in the place of a pipe's transport is what the loop makes."""
    name = f"_Unix{end.capitalize()}PipeTransport"
    made = []

    def transport(*args):
        made.append(args[0])
        raise ZeroDivisionError

    monkeypatch.setattr(asyncio.unix_events, name, transport)
    reading, writing = os.pipe()

    async def main():
        with open(reading, "rb") as source, open(writing, "wb") as sink:
            connect = loop.connect_read_pipe if end == "read" else loop.connect_write_pipe
            with pytest.raises(ZeroDivisionError):
                await connect(asyncio.Protocol, source if end == "read" else sink)

    run(main())
    assert made == [loop]
