"""Methods of the primitives that a program replaces: in the class, in a subclass, on an object.

Whatever asyncio's own code calls by name is called, in asyncio's order; once the original is back, it is as
if nothing had happened.
"""

import asyncio
import os
from unittest import mock

import pytest


@pytest.fixture(params=["class", "subclass", "instance"])
def spied(request, monkeypatch):
    """Make an object of a class, some of whose methods note their calls; return both."""

    def spied(cls, *names, args=()):
        calls = []

        def spy(name, original):
            def method(self, *args, **kwargs):
                calls.append(name)
                return original(self, *args, **kwargs)

            return method

        spies = {name: spy(name, getattr(cls, name)) for name in names}
        if request.param == "subclass":
            return type(cls.__name__, (cls,), spies)(*args), calls
        if request.param == "class":
            for name, method in spies.items():
                monkeypatch.setattr(cls, name, method)
        made = cls(*args)
        if request.param == "instance":
            for name, method in spies.items():
                setattr(made, name, method.__get__(made))
        return made, calls

    return spied


LOCKS = pytest.mark.parametrize("kind", ["Lock", "Semaphore", "BoundedSemaphore"])


class TestLocks:
    @LOCKS
    def test_async_with_calls_acquire_and_release(self, impl, run, spied, kind):
        lock, calls = spied(getattr(impl, kind), "acquire", "release")

        async def main():
            async with lock:
                assert calls == ["acquire"]
            assert calls == ["acquire", "release"]

        run(main())

    def test_a_bounded_semaphore_releases_as_a_semaphore_does(self, impl, run, monkeypatch):
        calls = []
        original = impl.Semaphore.release

        def release(self):
            calls.append(self)
            original(self)

        monkeypatch.setattr(impl.Semaphore, "release", release)
        semaphore = impl.BoundedSemaphore()

        async def main():
            async with semaphore:
                pass
            await semaphore.acquire()
            semaphore.release()
            with pytest.raises(ValueError, match="released too many times"):
                semaphore.release()
            assert calls == [semaphore, semaphore]
            monkeypatch.undo()
            async with semaphore:
                pass

        run(main())
        assert calls == [semaphore, semaphore]
        assert not semaphore.locked()

    @pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
    def test_acquire_of_a_semaphore_calls_locked(self, impl, run, spied, kind):
        semaphore, calls = spied(getattr(impl, kind), "locked")
        run(semaphore.acquire())
        assert calls == ["locked"]

    def test_release_wakes_by_name(self, impl, run, spied):
        lock, calls = spied(impl.Lock, "_wake_up_first")

        async def main():
            await lock.acquire()
            lock.release()

        run(main())
        assert calls == ["_wake_up_first"]

    def test_release_of_a_semaphore_wakes_by_name(self, impl, run, spied):
        semaphore, calls = spied(impl.Semaphore, "_wake_up_next")
        semaphore.release()
        assert calls == ["_wake_up_next"]

    def test_wait_for_calls_wait(self, impl, run, spied):
        condition, calls = spied(impl.Condition, "wait")

        async def main():
            async with condition:
                waiting = asyncio.ensure_future(notify())
                await condition.wait_for(lambda: ready)
                await waiting

        async def notify():
            async with condition:
                ready.append(True)
                condition.notify()

        ready = []
        run(main())
        assert calls == ["wait"]

    def test_notify_all_calls_notify(self, impl, run, spied):
        condition, calls = spied(impl.Condition, "notify")

        async def main():
            async with condition:
                condition.notify_all()

        run(main())
        assert calls == ["notify"]

    def test_async_with_a_barrier_calls_wait(self, impl, run, spied):
        barrier, calls = spied(impl.Barrier, "wait", args=(1,))

        async def main():
            async with barrier:
                pass

        run(main())
        assert calls == ["wait"]

    def test_a_condition_takes_the_lock_that_is_replaced(self, impl, run, monkeypatch):
        calls = []
        original = impl.Lock.acquire

        async def acquire(self):
            calls.append("acquire")
            return await original(self)

        monkeypatch.setattr(impl.Lock, "acquire", acquire)
        condition = impl.Condition()

        async def main():
            async with condition:
                asyncio.get_running_loop().call_soon(waiter.cancel)
                await asyncio.gather(waiter, return_exceptions=True)

        async def wait():
            async with condition:
                await condition.wait()

        async def both():
            nonlocal waiter
            waiter = asyncio.ensure_future(wait())
            await main()

        waiter = None
        run(both())
        assert calls[0] == "acquire"

    @LOCKS
    def test_the_original_put_back(self, impl, run, kind):
        cls = getattr(impl, kind)
        lock = cls()

        async def main():
            async with lock:
                pass
            return calls.call_count

        for turn in range(3):
            with mock.patch.object(cls, "release", autospec=True) as calls:
                assert run(main()) == 1, turn
            lock = cls()
            assert run(main()) == 1
            assert lock.locked() is False


class TestQueues:
    @pytest.mark.parametrize("kind", ["Queue", "PriorityQueue", "LifoQueue"])
    def test_get_and_put_call_the_steps(self, impl, run, spied, kind):
        names = ("full", "empty", "put_nowait", "get_nowait", "_put", "_get", "_wakeup_next")
        queue, calls = spied(getattr(impl, kind), *names)

        async def main():
            await queue.put(1)
            return await queue.get()

        assert run(main()) == 1
        assert calls == [
            *("full", "put_nowait", "full", "_put", "_wakeup_next"),
            *("empty", "get_nowait", "empty", "_get", "_wakeup_next"),
        ]

    def test_one_attribute_in_the_place_of_another(self, impl):
        queue = impl.Queue()
        queue.note = 1
        queue.put_nowait(1)
        del queue.note
        queue.get_nowait = lambda: "replaced"

        async def main():
            return await queue.get()

        assert asyncio.run(main()) == "replaced"


class TestTimeouts:
    def test_the_deadline_calls_on_timeout(self, impl, run, spied):
        timeout, calls = spied(impl.Timeout, "_on_timeout", args=(0,))

        async def main():
            with pytest.raises(TimeoutError):
                async with timeout:
                    await asyncio.get_running_loop().create_future()

        run(main())
        assert calls == ["_on_timeout"]


class TestTaskGroups:
    def test_a_task_that_is_done_is_told_by_name(self, impl, run, spied):
        group, calls = spied(impl.TaskGroup, "_on_task_done")

        async def main():
            async with group:
                group.create_task(asyncio.sleep(0))

        run(main())
        assert calls == ["_on_task_done"]


class TestRunners:
    @pytest.fixture(autouse=True)
    def loops(self, loop):
        """Only so that the policy's loop is the test's."""

    def test_run_is_a_runners(self, impl, monkeypatch):
        calls = []

        def note(name):
            original = getattr(impl.Runner, name)

            def method(self, *args, **kwargs):
                calls.append(name)
                return original(self, *args, **kwargs)

            monkeypatch.setattr(impl.Runner, name, method)

        for name in ("__enter__", "_lazy_init", "run", "__exit__", "close"):
            note(name)
        impl.run(asyncio.sleep(0))
        assert calls == ["__enter__", "_lazy_init", "run", "_lazy_init", "__exit__", "close"]

    def test_an_exception_gets_past_a_replaced_exit(self, impl, monkeypatch):
        seen = []
        original = impl.Runner.__exit__

        def leave(self, *args):
            seen.append(args[0])
            return original(self, *args)

        monkeypatch.setattr(impl.Runner, "__exit__", leave)

        async def main():
            raise KeyError(1)

        with pytest.raises(KeyError):
            impl.run(main())
        assert seen == [KeyError]


class TestTransports:
    def test_closing_the_writing_end_of_a_pipe_writes_the_end(self, impl, loop, run, monkeypatch):
        calls = []

        async def main():
            reading, writing = os.pipe()
            transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
            cls = type(transport)
            original = cls.write_eof

            def write_eof(self):
                calls.append("write_eof")
                return original(self)

            monkeypatch.setattr(cls, "write_eof", write_eof)
            transport.close()
            transport.close()
            assert calls == ["write_eof"]
            await asyncio.sleep(0)
            assert os.read(reading, 1) == b""
            os.close(reading)

        run(main())


class TestTimers:
    def test_the_parts_of_its_repr_begin_with_those_of_a_handle(self, impl, loop, monkeypatch):
        monkeypatch.setattr(impl.Handle, "_repr_info", lambda handle: ["shown", "twice"])
        timer = loop.call_at(9, int)
        assert timer._repr_info() == ["shown", "when=9", "twice"]
        assert repr(timer) == "<shown when=9 twice>"
