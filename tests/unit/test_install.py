"""`yibu.install()` and `yibu.uninstall()`: what they change, what they leave, and that it all comes back.

Both work on the whole process, so every test runs its program in an interpreter of its own, in which a
warning is an error.
"""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = str(Path(yibu.__file__).parent.parent)
LIMIT = 30

PRELUDE = """
import asyncio, sys, warnings
import yibu
from yibu import _yibu

def globals_of_asyncio():
    modules = [sys.modules[name] for name in sorted(sys.modules) if name.partition(".")[0] == "asyncio"]
    return {(m.__name__, key): value for m in modules for key, value in vars(m).items()}

def current_policy():
    if sys.version_info >= (3, 14):
        return asyncio.events._get_event_loop_policy()
    return asyncio.get_event_loop_policy()

# What install() leaves, and what may remain of it: without a policy, asking for one makes it.
LEFT_ALONE = {"Server", "get_event_loop", "new_event_loop"}
POLICIES = [], [("asyncio.events", "_event_loop_policy")]

def is_native(thing):
    return any(base in vars(_yibu).values() for base in type(thing).__mro__)

async def all_native():
    loop = asyncio.get_running_loop()
    return all(map(is_native, [loop, asyncio.current_task(), loop.create_future(), loop.call_soon(int)]))

async def none_native():
    loop = asyncio.get_running_loop()
    return not any(map(is_native, [loop, asyncio.current_task(), loop.create_future(), loop.call_soon(int)]))
"""


def run(source, options=()):
    """Run a program after the prelude; it must end well and print nothing on standard error."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", PRELUDE + dedent(source)],
        env=env | {"PYTHONPATH": PACKAGE_ROOT},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (process.stderr, process.returncode) == ("", 0)
    return process.stdout


class TestInstall:
    def test_importing_yibu_installs_nothing(self):
        run("""
            assert asyncio.run(none_native())
            natives = {vars(yibu)[name] for name in ("Future", "Task", "Handle", "TimerHandle", "EventLoop")}
            assert not [key for key, value in globals_of_asyncio().items() if value in list(natives)]
        """)

    def test_programs_get_native_objects(self):
        run("""
            yibu.install()
            assert asyncio.run(all_native())
            with asyncio.Runner() as runner:
                assert runner.run(all_native())
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(all_native())
            loop.close()
        """)

    def test_everything_native_takes_its_place_and_gives_it_back(self):
        run("""
            native = {
                name: vars(yibu)[name]
                for name in [*asyncio.__all__, "TaskGroup"]
                if vars(yibu)[name] is not getattr(asyncio, name) and name not in LEFT_ALONE
            }
            assert {"Future", "Task", "TaskGroup", "Runner", "run", "gather", "Lock", "Queue"} <= set(native)
            before = globals_of_asyncio()
            places = [key for key in before if key[1] in native and before[key] is vars(asyncio)[key[1]]]
            assert ("asyncio.tasks", "gather") in places and ("asyncio", "gather") in places

            yibu.install()
            after = globals_of_asyncio()
            assert [key for key in places if after[key] is not native[key[1]]] == []

            yibu.uninstall()
            restored = globals_of_asyncio()
            assert [key for key in before if restored[key] is not before[key]] in POLICIES
        """)

    def test_imports_from_asyncio_get_native_objects(self):
        run("""
            yibu.install()
            from asyncio import *
            from asyncio import Event, Future, Lock, Queue, Runner, Semaphore, TaskGroup, Task
            from asyncio.locks import Condition
            from asyncio.tasks import gather, sleep
            from asyncio.timeouts import timeout

            for thing in Event, Future, Lock, Queue, Runner, Semaphore, TaskGroup, Task, Condition:
                assert thing is vars(yibu)[thing.__name__], thing
            assert (gather, sleep, timeout, wait) == (yibu.gather, yibu.sleep, yibu.timeout, yibu.wait)
        """)

    def test_modules_that_are_imported_later(self):
        run("""
            import importlib

            stock_sleep = asyncio.sleep
            yibu.install()
            late = sys.modules["asyncio.late"] = type(sys)("asyncio.late")
            exec("from asyncio.tasks import sleep, gather", vars(late))
            assert late.sleep is yibu.sleep
            late.gather = "replaced by the program"
            yibu.uninstall()
            assert late.sleep is stock_sleep
            assert late.gather == "replaced by the program"
        """)

    def test_a_program_on_every_primitive(self):
        run("""
            yibu.install()

            async def main():
                async with asyncio.timeout(30), asyncio.Lock(), asyncio.Semaphore(2):
                    queue, event = asyncio.Queue(), asyncio.Event()

                    async def worker():
                        await event.wait()
                        await queue.put(await asyncio.to_thread(len, "four"))

                    async with asyncio.TaskGroup() as group:
                        group.create_task(worker())
                        event.set()
                    return await asyncio.wait_for(asyncio.shield(queue.get()), 30)

            assert asyncio.run(main()) == 4
        """)

    def test_what_is_left_alone(self):
        run("""
            from yibu.installation import replacements

            expected = {name for name, _stock, _native in replacements()} | {"_event_loop_policy"}
            before = globals_of_asyncio()
            yibu.install()
            after = globals_of_asyncio()
            changed = {name for key, name in before if before[key, name] is not after[key, name]}
            assert changed == expected, changed ^ expected
            assert asyncio.SelectorEventLoop is before["asyncio", "SelectorEventLoop"]
        """)

    def test_without_patch_only_the_policy(self):
        run("""
            before = globals_of_asyncio()
            yibu.install(patch=False)
            after = globals_of_asyncio()
            assert {name for key, name in before if before[key, name] is not after[key, name]} == {
                "_event_loop_policy"
            }
            assert asyncio.run(all_native())
            yibu.install()
            assert asyncio.Task is yibu.Task
            yibu.uninstall()
            assert asyncio.run(none_native())
        """)

    def test_twice_is_once(self):
        run("""
            before = globals_of_asyncio()
            yibu.install()
            once, policy = globals_of_asyncio(), current_policy()
            yibu.install()
            yibu.install(patch=False)
            assert globals_of_asyncio() == once
            assert current_policy() is policy
            yibu.uninstall()
            after = globals_of_asyncio()
            assert {key for key in after if after[key] is not before.get(key)} <= {
                ("asyncio.events", "_event_loop_policy")
            }
            yibu.uninstall()
            assert asyncio.run(none_native())
        """)

    def test_uninstall_without_install(self):
        run("yibu.uninstall()\nassert asyncio.run(none_native())")

    def test_again_after_uninstall(self):
        run("""
            for _ in range(3):
                yibu.install()
                assert asyncio.run(all_native())
                yibu.uninstall()
                assert asyncio.run(none_native())
        """)

    def test_from_several_threads_at_once(self):
        run("""
            import threading
            before = globals_of_asyncio()
            barrier = threading.Barrier(8)
            def work():
                barrier.wait()
                yibu.install()
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert asyncio.run(all_native())
            yibu.uninstall()
            assert asyncio.run(none_native())
        """)

    def test_in_a_running_loop(self):
        run("""
            async def main():
                task = asyncio.create_task(asyncio.sleep(0.01, "stock"))
                yibu.install()
                assert await task == "stock"
                assert await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) == [1, 2]
                assert is_native(asyncio.create_task(asyncio.sleep(0)))
                yibu.uninstall()
                await asyncio.sleep(0)
                return not is_native(asyncio.create_task(asyncio.sleep(0)))

            assert asyncio.run(main())
            assert asyncio.run(none_native())
        """)


class TestCommandLine:
    def test_an_unmodified_program(self, tmp_path):
        (tmp_path / "app.py").write_text(
            dedent("""
                import asyncio
                from types import CoroutineType
                from asyncio import Queue, Runner, TaskGroup, gather, get_running_loop, run, sleep
                from yibu import _yibu

                async def main():
                    things = [Queue(), Runner(), TaskGroup(), gather(sleep(0)), sleep(0), asyncio.Lock()]
                    await asyncio.gather(things[3], things[4])
                    is_native = type(things.pop(4)) is not CoroutineType
                    print(is_native, all(type(thing) in vars(_yibu).values() for thing in things))
                    return type(get_running_loop()).__module__

                print(run(main()), asyncio.run(main()))
            """)
        )
        process = subprocess.run(
            [sys.executable, "-W", "error", "-m", "yibu", "app.py"],
            env=os.environ | {"PYTHONPATH": PACKAGE_ROOT},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert (process.stderr, process.returncode) == ("", 0)
        assert process.stdout == "True True\nTrue True\nyibu.event_loop yibu.event_loop\n"


TRACED = """
import concurrent.futures, threading

NAMES = "futures graph locks mixins queues runners taskgroups tasks threads timeouts"
modules = [sys.modules.get(f"asyncio.{name}") for name in NAMES.split()]
paths = {module.__file__ for module in modules if module is not None}
found = set()

def trace(frame, event, argument):
    if frame.f_code.co_filename in paths:
        found.add((frame.f_code.co_filename, frame.f_code.co_qualname))

async def main(aio):
    loop, event, queue = aio.get_running_loop(), aio.Event(), aio.Queue()
    lock, semaphore, condition, barrier = aio.Lock(), aio.Semaphore(1), aio.Condition(), aio.Barrier(2)

    async def work(number):
        async with lock, semaphore:
            await aio.sleep(0)
        await event.wait()
        await queue.put(number)
        async with condition:
            condition.notify_all()
        return number

    async def numbers():
        yield 1
        yield 2

    tasks = [aio.create_task(work(number)) for number in range(3)]
    loop.call_soon(event.set)
    assert await aio.gather(*tasks) == [0, 1, 2]
    await aio.wait(tasks)
    assert await aio.wait_for(queue.get(), 30) == 0
    assert [await each for each in aio.as_completed([aio.sleep(0, 5)])] == [5]
    try:
        async with aio.timeout(0):
            await loop.create_future()
    except TimeoutError:
        pass
    async with aio.TaskGroup() as group:
        group.create_task(barrier.wait())
        group.create_task(barrier.wait())
    await aio.shield(aio.ensure_future(aio.sleep(0)))
    assert await aio.to_thread(len, "four") == await loop.run_in_executor(None, len, "four")
    elsewhere = lambda: aio.run_coroutine_threadsafe(aio.sleep(0, 6), loop).result()
    assert await loop.run_in_executor(concurrent.futures.ThreadPoolExecutor(1), elsewhere) == 6
    for kind in aio.PriorityQueue, aio.LifoQueue:
        ordered = kind()
        ordered.put_nowait(1)
        assert await ordered.get() == 1
    assert aio.current_task() in aio.all_tasks()
    repr([aio.current_task(), lock, event, queue]), aio.current_task().get_stack()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(aio.eager_task_factory)
        assert await aio.create_task(work(8)) == 8
        loop.set_task_factory(None)
    if sys.version_info >= (3, 14):
        assert "main" in aio.format_call_graph()
    cancelled = aio.create_task(work(9))
    cancelled.cancel()
    try:
        await cancelled
    except aio.CancelledError:
        pass
    left_behind.append(aio.create_task(aio.Event().wait()))
    left_behind.append(numbers())
    await anext(left_behind[-1])

left_behind = []
def run_traced(aio, **options):
    sys.settrace(trace)
    threading.settrace(trace)
    try:
        aio.run(main(aio), **options)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    assert found == set(), sorted(found)
"""


class TestNothingOfStock:
    """No line of what is native here runs in its stock form."""

    @pytest.mark.parametrize("debug", [False, True])
    def test_in_a_program_that_imports_yibu(self, debug):
        run(f"{TRACED}\nrun_traced(yibu, debug={debug})")

    @pytest.mark.parametrize("debug", [False, True])
    def test_after_install(self, debug):
        run(f"{TRACED}\nyibu.install()\nrun_traced(asyncio, debug={debug})")

    def test_the_trace_sees_stock(self):
        run(
            TRACED
            + dedent("""
                try:
                    run_traced(asyncio)
                except AssertionError as error:
                    assert "TaskGroup.__aexit__" in str(error)
                else:
                    raise AssertionError
            """)
        )


class TestLoopsMadeBefore:
    def test_stock_loop_keeps_working(self):
        run("""
            import socket

            loop = asyncio.new_event_loop()
            order = []
            loop.call_soon(order.append, "before")
            yibu.install()
            assert not is_native(loop)
            loop.call_soon(order.append, "after")
            loop.call_later(0.02, order.append, "second timer")
            loop.call_later(0.01, order.append, "first timer")
            cancelled = loop.call_later(0.005, order.append, "never")
            cancelled.cancel()

            async def main():
                async def echo(reader, writer):
                    writer.write(await reader.readline())
                    writer.close()
                    await writer.wait_closed()

                server = await asyncio.start_server(echo, "127.0.0.1", 0)
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"through\\n")
                order.append(await reader.read())
                writer.close()
                await writer.wait_closed()
                server.close()
                await server.wait_closed()
                done, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(0.03))])
                assert len(done) == 1
                order.append(await asyncio.wait_for(loop.run_in_executor(None, str, 7), 10))
                try:
                    async with asyncio.timeout(0.01):
                        await asyncio.Future()
                except TimeoutError:
                    order.append("timeout")

            loop.run_until_complete(main())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            assert order[:2] == ["before", "after"]
            assert sorted(order[2:5], key=str) == [b"through\\n", "first timer", "second timer"]
            assert order.index("first timer") < order.index("second timer")
            assert order[5:] == ["7", "timeout"], order
        """)

    def test_native_loop_outlives_the_installation(self):
        run("""
            yibu.install()
            loop = asyncio.new_event_loop()
            yibu.uninstall()
            assert loop.run_until_complete(all_native())
            loop.close()
            assert asyncio.run(none_native())
        """)

    def test_current_loop_of_the_thread_stays_current(self):
        run("""
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            yibu.install()
            assert asyncio.get_event_loop() is loop
            assert yibu.get_event_loop() is loop
            other = asyncio.new_event_loop()
            asyncio.set_event_loop(other)
            yibu.uninstall()
            assert asyncio.get_event_loop() is other
            loop.close()
            other.close()
        """)


class TestInstances:
    def test_every_future_is_a_future(self):
        run("""
            stock_future, stock_task = asyncio.Future, asyncio.Task
            yibu.install()

            async def main():
                loop = asyncio.get_running_loop()
                task = asyncio.create_task(asyncio.sleep(0))
                ending = [
                    task,
                    asyncio.ensure_future(asyncio.sleep(0)),
                    asyncio.gather(asyncio.sleep(0)),
                    asyncio.gather(),
                    asyncio.shield(task),
                    loop.run_in_executor(None, int),
                ]
                await asyncio.wait(ending)
                for future in [*ending, loop.create_future(), asyncio.Future()]:
                    assert isinstance(future, asyncio.Future), future
                    assert isinstance(future, stock_future), future
                    assert asyncio.isfuture(future)
                for one in task, asyncio.current_task():
                    assert isinstance(one, asyncio.Task) and isinstance(one, stock_task)
                assert isinstance(loop, asyncio.AbstractEventLoop)
                assert isinstance(loop.call_soon(int), asyncio.Handle)
                timer = loop.call_later(0, int)
                assert isinstance(timer, asyncio.TimerHandle) and isinstance(timer, asyncio.Handle)

            asyncio.run(main())
        """)

    def test_gather_behaves(self):
        run("""
            yibu.install()

            async def fail():
                raise LookupError("x")

            async def main():
                assert await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) == [1, 2]
                assert str((await asyncio.gather(fail(), return_exceptions=True))[0]) == "x"
                children = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(3)]
                both = asyncio.gather(*children, return_exceptions=True)
                assert both.cancel("enough")
                try:
                    await both
                except asyncio.CancelledError as error:
                    assert error.args == ("enough",)
                else:
                    raise AssertionError("not cancelled")
                assert all(child.cancelled() for child in children)
                assert not both.cancel()

            asyncio.run(main())
        """)

    def test_classes_can_be_subclassed(self):
        run("""
            yibu.install()

            class MyFuture(asyncio.Future):
                def __init__(self, tag, **kwargs):
                    super().__init__(**kwargs)
                    self.tag = tag

            class MyTask(asyncio.Task):
                pass

            async def main():
                future = MyFuture("mine")
                asyncio.get_running_loop().call_soon(future.set_result, 5)
                assert (await future, future.tag) == (5, "mine")
                task = MyTask(asyncio.sleep(0, 3), loop=asyncio.get_running_loop())
                assert await task == 3

            asyncio.run(main())
        """)


class TestPolicy:
    def test_default_policy_is_yibu_s(self):
        run("""
            yibu.install()
            if sys.version_info >= (3, 14):
                warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_event_loop_policy(None)
            assert asyncio.run(all_native())
            assert type(current_policy()) is yibu.EventLoopPolicy
            asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
            assert asyncio.run(all_native())
        """)

    def test_policy_of_the_program_wins_and_stays(self):
        run("""
            if sys.version_info >= (3, 14):
                warnings.simplefilter("ignore", DeprecationWarning)
            base = asyncio.DefaultEventLoopPolicy

            class Own(base):
                pass

            yibu.install()
            own = Own()
            asyncio.set_event_loop_policy(own)
            loop = asyncio.new_event_loop()
            assert is_native(loop)  # the default policy's own is a plain SelectorEventLoop()
            loop.close()
            yibu.uninstall()
            assert current_policy() is own
            yibu.install()
            assert current_policy() is not own
            yibu.uninstall()
            assert current_policy() is own
        """)

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="child watchers are gone in Python 3.14")
    def test_child_watcher_is_kept(self):
        run("""
            warnings.simplefilter("ignore", DeprecationWarning)
            watcher = asyncio.ThreadedChildWatcher()
            asyncio.set_child_watcher(watcher)
            yibu.install()
            assert asyncio.get_child_watcher() is watcher
        """)

    def test_runners_ask_the_policy_of_the_program(self):
        run("""
            if sys.version_info >= (3, 14):
                warnings.simplefilter("ignore", DeprecationWarning)

            class Own(asyncio.DefaultEventLoopPolicy):
                def new_event_loop(self):
                    loops.append(super().new_event_loop())
                    return loops[-1]

                def set_event_loop(self, loop):
                    told.append(loop)

            async def main():
                return asyncio.get_running_loop()

            loops, told = [], []
            own = Own()
            yibu.install()
            asyncio.set_event_loop_policy(own)
            assert [asyncio.run(main())] == loops
            with asyncio.Runner() as runner:
                assert runner.get_loop() is loops[1]
            assert all(map(is_native, loops))
            assert told == [loops[0], None, loops[1], None]
            yibu.uninstall()
            assert is_native(yibu.run(main())) and len(loops) == 2
        """)

    def test_unittest_cases_run_on_yibu(self):
        run("""
            import unittest

            class Case(unittest.IsolatedAsyncioTestCase):
                async def asyncSetUp(self):
                    assert is_native(asyncio.get_running_loop())

                async def test_it(self):
                    assert await asyncio.sleep(0, await all_native())

            yibu.install()
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
            assert result.testsRun == 1 and result.wasSuccessful(), result.errors + result.failures
        """)

    def test_fork_forgets_the_current_loop(self):
        run("""
            import os
            yibu.install()
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            warnings.simplefilter("ignore")
            pid = os.fork()
            if pid == 0:
                ok = asyncio.events._get_running_loop() is None and asyncio.run(all_native())
                os._exit(0 if ok else 1)
            assert os.waitpid(pid, 0)[1] == 0
            loop.close()
        """)


class TestEager:
    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came in Python 3.12")
    def test_eager_factory_makes_native_tasks(self):
        run("""
            yibu.install()

            async def main():
                loop = asyncio.get_running_loop()
                loop.set_task_factory(asyncio.eager_task_factory)
                task = asyncio.create_task(asyncio.sleep(0, 1))
                assert is_native(task) and await task == 1

                async def at_once():
                    return 2

                eager = asyncio.create_task(at_once())
                assert is_native(eager) and eager.done() and eager.result() == 2

            asyncio.run(main())
        """)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there are no child watchers any more")
def test_names_of_child_watchers():
    run("""
        import pickle
        from asyncio import unix_events

        warnings.simplefilter("ignore")
        kinds = ["PidfdChildWatcher", "ThreadedChildWatcher"]
        stock = [repr(getattr(asyncio, kind)) for kind in kinds]
        yibu.install()
        assert [repr(getattr(asyncio, kind)) for kind in kinds] == stock
        for kind in kinds:
            native = getattr(asyncio, kind)
            assert pickle.loads(pickle.dumps(native)) is native is getattr(yibu, kind)
        yibu.uninstall()
        for kind in kinds:
            native = getattr(yibu, kind)
            assert pickle.loads(pickle.dumps(native)) is native and native.__module__ == "yibu.unix_events"
            assert repr(getattr(asyncio, kind)) in stock
    """)


class TestNamesTakenBefore:
    """`from asyncio import Queue`, then `install()`: both classes take each other's instances for theirs."""

    EARLY = """
        from abc import ABC
        from asyncio import Event, Future, Handle, Lock, PriorityQueue, Queue, Runner, Task, TaskGroup

        KEPT = Event, Future, Handle, Lock, PriorityQueue, Queue, Runner, Task, TaskGroup

        class OwnQueue(Queue):
            pass

        class OwnTask(Task):
            pass

        yibu.install()

        def pairs():
            return [(kept, getattr(asyncio, kept.__name__)) for kept in KEPT]
    """

    def test_instances(self):
        run(
            self.EARLY
            + """
        async def main():
            for kind in Event, Lock, Queue, TaskGroup, Runner:
                assert isinstance(kind(), getattr(asyncio, kind.__name__))
                assert isinstance(getattr(asyncio, kind.__name__)(), kind)
            assert isinstance(OwnQueue(), asyncio.Queue)
            assert not isinstance(Lock(), asyncio.Queue)
            assert not isinstance(asyncio.Lock(), Queue)
            assert isinstance(asyncio.PriorityQueue(), Queue)
            assert isinstance(PriorityQueue(), asyncio.Queue)
            loop = asyncio.get_running_loop()
            assert isinstance(asyncio.current_task(), (Task, Future))
            assert isinstance(loop.create_future(), Future)
            assert not isinstance(loop.create_future(), Task)
            assert isinstance(loop.call_soon(int), Handle)
            task = OwnTask(asyncio.sleep(0))
            assert isinstance(task, asyncio.Task) and isinstance(task, asyncio.Future)
            await task

        asyncio.run(main())
        """
        )

    def test_subclasses(self):
        run(
            self.EARLY
            + """
        for kept, native in pairs():
            assert kept is not native
            assert issubclass(kept, native) and issubclass(native, kept), kept
        assert issubclass(OwnTask, asyncio.Future) and issubclass(asyncio.Task, Future)
        assert not issubclass(asyncio.Lock, Queue) and not issubclass(Future, asyncio.Task)
        """
        )

    def test_subclasses_made_afterwards(self):
        run(
            self.EARLY
            + """
        class Abstract(asyncio.Queue, ABC):
            pass

        class Mine(Lock):
            pass

        assert isinstance(Abstract(), Queue) and isinstance(Mine(), asyncio.Lock)
        assert not isinstance(asyncio.Lock(), Mine) and not issubclass(asyncio.Queue, Abstract)
        Abstract.register(int)
        assert isinstance(1, Abstract) and not isinstance("", Abstract)
        """
        )

    def test_nothing_is_left_of_it(self):
        run(
            self.EARLY
            + """
        assert type(asyncio.Queue) is type(Queue) is not type
        yibu.uninstall()
        assert all(type(kind) is type for kind in (*KEPT, yibu.Queue, yibu.Task))
        assert not isinstance(Queue(), yibu.Queue)
        """
        )

    def test_classes_stay_plain_where_nobody_has_kept_one(self):
        run("""
            yibu.install()
            assert type(asyncio.Queue) is type(asyncio.Task) is type
            assert asyncio.Queue().__class__ is asyncio.Queue

            class Singleton(type):
                pass

            class Only(asyncio.Queue, metaclass=Singleton):
                pass
        """)

    def test_a_class_kept_by_a_class(self):
        run("""
            class Settings:
                queue = asyncio.Queue

            yibu.install()
            assert isinstance(asyncio.Queue(), Settings.queue) and isinstance(Settings.queue(), asyncio.Queue)
        """)

    def test_instances_that_exist(self):
        run("""
            async def main():
                task = asyncio.current_task()
                yibu.install()
                assert isinstance(task, asyncio.Task)
                assert isinstance(task, asyncio.Future)

            asyncio.run(main())
        """)

    PICKLED = """
        import copy, pickle, subprocess

        KEPT += asyncio.CancelledError,
        EVENT = Event()
        EVENT.set()

        def through(thing, protocol):
            return pickle.loads(pickle.dumps(thing, protocol))
    """

    def test_pickled_classes(self):
        run(
            self.EARLY
            + self.PICKLED
            + """
        for kept in KEPT:
            assert copy.copy(kept) is copy.deepcopy(kept) is kept
            native = getattr(asyncio, kept.__name__)
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                assert through(kept, protocol) is through(native, protocol) is native
        assert through(OwnQueue, 4) is OwnQueue
        """
        )

    def test_pickled_functions(self):
        run("""
            from asyncio import sleep
            import pickle

            yibu.install()
            assert pickle.loads(pickle.dumps(asyncio.sleep)) is asyncio.sleep
            try:
                pickle.dumps(sleep)
            except pickle.PicklingError as error:
                assert "not the same object" in str(error)
            else:
                raise AssertionError("is a difference no more")
        """)

    def test_pickled_objects(self):
        run(
            self.EARLY
            + self.PICKLED
            + """
        queue = PriorityQueue(3)
        queue.put_nowait(2)
        queue.put_nowait(1)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            made = through(queue, protocol)
            assert isinstance(made, PriorityQueue) and made.maxsize == 3
            assert made.get_nowait() == 1
            assert through(EVENT, protocol).is_set()
        assert type(copy.copy(queue)) is type(copy.deepcopy(queue)) is PriorityQueue
        assert type(through(OwnQueue(), 4)) is OwnQueue

        # Who reads it needs no yibu.
        reader = "import asyncio, pickle, sys; e = pickle.load(sys.stdin.buffer); assert e.is_set()"
        reader += "; assert type(e) is asyncio.Event and 'yibu' not in sys.modules"
        subprocess.run([sys.executable, "-c", reader], input=pickle.dumps(EVENT), check=True)
        """
        )

    def test_metaclasses(self):
        run(
            self.EARLY
            + """
        from asyncio.selector_events import _SelectorSocketTransport

        class Other(type):
            pass

        for base in (_SelectorSocketTransport, Queue, asyncio.Queue):
            class Abstract(base, ABC):
                pass

            class Own(base, metaclass=type("Own", (type(base),), {})):
                pass

            try:
                class Refused(base, metaclass=Other):
                    pass
            except TypeError as error:
                assert "metaclass conflict" in str(error)
            else:
                raise AssertionError("is a difference no more")
        """
        )
