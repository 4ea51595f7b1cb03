"""What `docs/differences.md` says, held to the truth: the differences are there, and the tests it names.

A test that fails here because yibu does now what asyncio does is good news: its line leaves that page.
"""

import asyncio
import copy
import inspect
import os
import re
import socket
import subprocess
import sys
import traceback
import types
from asyncio import selector_events, unix_events
from pathlib import Path
from unittest import mock

import pytest
import yibu

pytestmark = pytest.mark.yibu_only
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "differences.md"


def run_in_a_new_process(*command):
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": str(Path(yibu.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


class TestPage:
    def test_each_test_that_it_names_exists(self):
        names = re.findall(r"`((?:tests|crates)/[^`]+)`", PAGE.read_text())
        assert len(names) > 10
        for name in names:
            path, *parts = name.split("::")
            assert (ROOT / path).exists(), name
            for part in parts:
                source = (ROOT / path).read_text()
                assert re.search(rf"^\s*(class|(async )?def) {part}\b", source, re.MULTILINE), name

    def test_the_readme_leads_there(self):
        assert "docs/differences.md" in (ROOT / "README.md").read_text()


class TestTypes:
    def test_properties(self):
        for class_, name in (
            (yibu.Queue, "maxsize"),
            (yibu.StreamWriter, "transport"),
            (yibu.Barrier, "parties"),
        ):
            attribute = inspect.getattr_static(class_, name)
            assert inspect.isdatadescriptor(attribute)
            assert not isinstance(attribute, property)

    def test_of_the_loop_alone(self, run):
        class Own(yibu.Future):
            pass

        async def main():
            task = asyncio.current_task()
            own = Own(loop=asyncio.get_running_loop())
            return type(task) is asyncio.Task, isinstance(task, asyncio.Task), isinstance(own, asyncio.Future)

        assert run(main()) == (False, True, False)

    def test_installed(self):
        program = (
            "import asyncio\n"
            "class Own(asyncio.Future): pass\n"
            "async def main():\n"
            "    own = Own(loop=asyncio.get_running_loop())\n"
            "    print(type(asyncio.current_task()) is asyncio.Task, isinstance(own, asyncio.Future))\n"
            "asyncio.run(main())"
        )
        assert run_in_a_new_process("-m", "yibu", "-c", program) == "True True\n"

    @pytest.mark.parametrize("other", [dict, Exception, type("Slotted", (), {"__slots__": ("slot",)})])
    def test_bases_with_a_layout(self, other):
        assert issubclass(type("Both", (asyncio.locks.Event, other), {}), other)
        with pytest.raises(TypeError, match="instance lay-out conflict"):
            type("Both", (yibu.Event, other), {})

    @pytest.mark.parametrize(
        "module, name", [(asyncio.futures, "Future"), (asyncio.tasks, "Task"), (asyncio.events, "Handle")]
    )
    def test_one_with_a_layout_of_its_own(self, module, name):
        stock = getattr(module, name)
        assert issubclass(type("Both", (stock, asyncio.locks.Event), {}), stock)
        with pytest.raises(TypeError, match="instance lay-out conflict"):
            type("Both", (getattr(yibu, name), yibu.Event), {})

    def test_attributes_of_two_bases(self):
        for impl, set_ in ((asyncio.locks, 3), (yibu, False)):
            both = type("Both", (impl.Event, impl.Semaphore), {})()
            impl.Semaphore.__init__(both, 3)
            assert both._value == both.is_set() == set_

    def test_names_of_instances(self):
        for native, stock, names in (
            (yibu.Condition, asyncio.locks.Condition, {"acquire", "release", "locked"}),
            (yibu.subprocess.Process, asyncio.subprocess.Process, {"pid", "stdin", "stdout", "stderr"}),
        ):
            extra = set(dir(native)) - set(dir(stock))
            assert {name for name in extra if not name.startswith("_")} == names
        condition = yibu.Condition()
        assert condition.acquire.__self__ is condition

    @pytest.mark.parametrize("name", ["Lock", "Event", "Semaphore", "Queue"])
    def test_mixins(self, name):
        native, mixin = getattr(yibu, name), asyncio.mixins._LoopBoundMixin
        assert [cls.__name__ for cls in native.__mro__[-3:]] == ["_LoopBoundMixin", "_NativeBase", "object"]
        assert mixin in native.__mro__
        assert vars(native)["_get_loop"] is not vars(mixin)["_get_loop"]

    def test_class_of_functions(self):
        for function in (yibu.sleep, yibu.gather, yibu.Queue.put):
            assert type(function) is not types.FunctionType
            assert isinstance(function, types.FunctionType)
            assert inspect.isfunction(function)
        assert not inspect.isfunction(mock.create_autospec(yibu.Queue).put)

    def test_own_state(self):
        class Timeout(yibu.Timeout):
            def __setattr__(self, name, value):
                seen.append(name)
                super().__setattr__(name, value)

        async def main():
            async with Timeout(None) as limit:
                limit.mine = 1

        seen = []
        yibu.run(main())
        assert seen == ["mine"]

    def test_refusals(self, loop):
        with pytest.raises(TypeError, match=r"Future\.exception\(\) takes no arguments \(1 given\)"):
            loop.create_future().exception(1)


class TestLoop:
    def test_name(self, loop):
        assert type(loop).__name__ == "EventLoop"
        assert repr(loop) == "<EventLoop running=False closed=False debug=False>"
        if hasattr(asyncio, "get_event_loop_policy"):
            assert yibu.EventLoopPolicy.__name__ == "EventLoopPolicy"

    def test_no_descriptors_before_it_runs(self):
        before = os.listdir("/proc/self/fd")
        loop = yibu.new_event_loop()
        assert len(os.listdir("/proc/self/fd")) == len(before)
        loop.run_until_complete(yibu.sleep(0))
        assert len(os.listdir("/proc/self/fd")) == len(before) + 4
        assert not loop._selector.get_map()
        loop.close()
        assert len(os.listdir("/proc/self/fd")) == len(before)

    def test_the_turn_of_an_accepted_connection(self, loop, run):
        async def main():
            server = await loop.create_server(lambda: made.append(turn) or asyncio.Protocol(), "127.0.0.1", 0)
            with socket.create_connection(server.sockets[0].getsockname()):
                for turn in range(3):  # noqa: B007 - the factory reads it
                    tasks.update(asyncio.all_tasks())
                    await asyncio.sleep(0)
            server.close()
            await server.wait_closed()

        made, tasks = [], set()
        run(main())
        assert made == [1] and len(tasks) == 1

    def test_numbers_and_flags_that_are_kept(self, loop, run):
        async def main():
            one, two = socket.socketpair()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            transport.set_write_buffer_limits(2**64, 1.5)
            assert transport.get_write_buffer_limits() == (1, 2**63 - 1)
            transport.abort()
            two.close()

        run(main())
        loop.set_debug(0)
        assert loop.get_debug() is False


class TestFrames:
    def test_outermost(self, impl):
        finished = subprocess.run(
            [sys.executable, "-m", "yibu", "-c", "import inspect; print(inspect.stack()[-1].function)"],
            capture_output=True,
            text=True,
            env=impl.environment(),
            check=True,
        )
        assert finished.stdout == "_run_module_as_main\n"

    def test_depth(self, impl):
        finished = impl.run_source(
            """
            async def nested():
                waiting = aio.sleep(0, "result")
                for _ in range(100_000):
                    waiting = aio.wait_for(waiting, None)
                print(await waiting)

            aio.run(nested())
            """
        )
        assert (finished.returncode, finished.stdout) == (0, "result\n")

    def test_tracebacks(self, run):
        async def fail():
            raise ValueError

        async def main():
            try:
                await yibu.wait_for(fail(), 10)
            except ValueError as error:
                return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

        assert run(main()) == ["main", "fail"]

    def test_profilers(self, run):
        seen = []

        def profile(frame, event, _argument):
            if event == "call":
                seen.append(frame.f_code.co_name)

        async def main():
            sys.setprofile(profile)
            await yibu.sleep(0.001)
            async with yibu.Lock():
                pass
            sys.setprofile(None)

        run(main())
        assert not {"sleep", "acquire", "__aenter__"} & set(seen)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
class TestTools:
    PROGRAM = """
import asyncio, subprocess, sys, os

async def waiting():
    await asyncio.sleep(60)

async def main():
    task = asyncio.create_task(waiting(), name="the task")
    await asyncio.sleep(0)
    command = [sys.executable, "-m", "asyncio", "ps", str(os.getpid())]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print((await process.communicate())[0].decode())
    task.cancel()

asyncio.run(main())
"""

    def test_ps(self):
        if "the task" not in run_in_a_new_process("-c", self.PROGRAM):
            pytest.skip("this process may not read the memory of others")
        assert "the task" not in run_in_a_new_process("-m", "yibu", "-c", self.PROGRAM)

    def test_tasks_of_attempts_to_connect(self, impl, loop, run):
        names = []

        def factory(loop, coroutine, **options):
            names.append(coroutine.__qualname__)
            return impl.Task(coroutine, loop=loop, **options)

        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            loop.set_task_factory(factory)
            transport, _ = await loop.create_connection(
                asyncio.Protocol, "127.0.0.1", port, happy_eyeballs_delay=1
            )
            loop.set_task_factory(None)
            transport.close()
            server.close()

        run(main())
        assert not [name for name in names if "run_one_coro" in name]


class TestChildren:
    def test_of_subprocess(self):
        child = 'import asyncio; print(asyncio.Lock.__init__ is __import__("yibu").Lock.__init__)'
        program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
        assert run_in_a_new_process("-m", "yibu", "-c", program) == "False\n"


class TestLooking:
    def test_vars(self):
        lock = yibu.Lock()
        vars(lock)["_locked"] = True
        assert not lock.locked()

    def test_arguments(self):
        async def main():
            queue = yibu.Queue(1)
            putting = queue.put("item")
            shown = [inspect.getcoroutinelocals(putting)]
            await putting
            putting = queue.put("other")
            task = yibu.create_task(putting)
            await yibu.sleep(0)
            shown.append(inspect.getcoroutinelocals(putting))
            task.cancel()
            connecting = asyncio.get_running_loop().create_connection(asyncio.Protocol, "host", 1)
            shown.append(inspect.getcoroutinelocals(connecting))
            connecting.close()
            return [each.get("item", each.get("host")) for each in shown]

        assert yibu.run(main()) == ["item", ..., ...]

    def test_class_of_coroutines(self):
        coroutine = yibu.sleep(0)
        assert isinstance(coroutine, types.CoroutineType)
        assert type(coroutine) is not types.CoroutineType
        assert type(coroutine).__name__ == "coroutine"
        coroutine.close()

    def test_containers_put_in_place(self):
        ran = []
        loop = yibu.new_event_loop()
        timers = [yibu.TimerHandle(loop.time(), ran.append, (1,), loop)]
        loop._scheduled = timers
        timers.append(yibu.TimerHandle(loop.time(), ran.append, (2,), loop))
        loop.run_until_complete(yibu.sleep(0.001))
        assert ran == [1]
        loop.close()

    def test_handles_of_transports(self, monkeypatch):
        cancelled = []
        monkeypatch.setattr(yibu.Handle, "cancel", cancelled.append)

        async def main():
            ours, peer = socket.socketpair()
            transport, _ = await yibu.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
            transport.pause_reading()
            transport.close()
            await yibu.sleep(0)
            peer.close()

        yibu.run(main())
        assert cancelled == []

    def test_private_attributes(self):
        loop = yibu.new_event_loop()
        timer = loop.call_later(1, print)
        for thing, name in [(timer, "_when"), (loop, "_transports")]:
            with pytest.raises(AttributeError, match="not writable"):
                setattr(thing, name, getattr(thing, name))
        timer.cancel()
        ours, peer = socket.socketpair()

        async def main():
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            with pytest.raises(AttributeError, match="not writable"):
                transport._closing = False
            assert not hasattr(transport, "max_size")
            transport.abort()

        loop.run_until_complete(main())
        peer.close()
        loop.close()

    def test_copies(self):
        loop = yibu.new_event_loop()
        timer = loop.call_later(10, print)
        # By the interpreter, which counts the slots of the class, or by the attribute that cannot be set.
        with pytest.raises((AttributeError, TypeError), match="'TimerHandle' object"):
            copy.copy(timer)
        with pytest.raises(TypeError, match="cannot pickle 'EventLoop' object"):
            copy.copy(loop)
        timer.cancel()
        loop.close()

    def test_unregistered_tasks(self, run):
        async def main():
            task = asyncio.get_running_loop().create_task(asyncio.sleep(0))
            asyncio.tasks._unregister_task(task)
            assert task in asyncio.all_tasks()
            await task

        run(main())

    def test_the_end_of_socket_methods(self, make_loop):
        removed = []

        class Loop(yibu.EventLoop):
            def remove_reader(self, fd):
                removed.append(fd)
                return super().remove_reader(fd)

        loop = make_loop(Loop)
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        with ours, peer:
            loop.call_soon(loop.call_soon, peer.send, b"x")
            assert loop.run_until_complete(loop.sock_recv(ours, 1)) == b"x"
        assert removed == []

    def test_what_transports_ask_themselves(self, loop, monkeypatch):
        asked = []
        for cls in unix_events._UnixWritePipeTransport, selector_events._SelectorTransport:
            monkeypatch.setattr(cls, "get_write_buffer_size", lambda self: asked.append(self) or 0)
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", 0) as read_end, os.fdopen(writing, "wb", 0) as write_end:

            async def main():
                transport, _ = await loop.connect_write_pipe(asyncio.Protocol, write_end)
                transport.write(bytes(200_000))
                assert asked == []
                assert transport.get_write_buffer_size() == 0 and asked == [transport]
                transport.abort()

            loop.run_until_complete(main())
            assert read_end.read(1) == b"\0"
