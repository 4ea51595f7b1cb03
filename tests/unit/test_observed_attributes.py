"""Subclasses that observe attributes: `__setattr__` and `__getattribute__` see what asyncio's code does."""

import asyncio
import inspect
import os
import signal
import sys

import pytest


async def take(lock):
    await lock.acquire()
    lock.release()


async def contend(lock):
    async def hold():
        async with lock:
            await asyncio.sleep(0)

    await asyncio.gather(hold(), hold(), hold())


async def toggle(event):
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.sleep(0)
    event.set()
    assert await waiting
    event.clear()


async def notify(condition):
    async def wait():
        async with condition:
            return await condition.wait()

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    async with condition:
        condition.notify_all()
    assert await waiting


async def pass_on(queue):
    async def put():
        for number in range(3):
            await queue.put(number)

    putting = asyncio.ensure_future(put())
    taken = []
    for _ in range(3):
        taken.append(await queue.get())
        queue.task_done()
    await queue.join()
    await putting
    assert sorted(taken) == [0, 1, 2]


async def meet(barrier):
    assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]


async def read(reader):
    reading = asyncio.ensure_future(reader.readline())
    await asyncio.sleep(0)
    reader.feed_data(b"a line\nthe rest")
    assert await reading == b"a line\n"
    reader.feed_eof()
    assert await reader.read() == b"the rest"


USES = {
    "Lock": ((), contend),
    "Event": ((), toggle),
    "Condition": ((), notify),
    "Semaphore": ((1,), contend),
    "BoundedSemaphore": ((1,), contend),
    "Barrier": ((2,), meet),
    "Queue": ((1,), pass_on),
    "LifoQueue": ((1,), pass_on),
    "PriorityQueue": ((1,), pass_on),
    "StreamReader": ((), read),
}


def observed(cls, arguments, use, run):
    """What `__setattr__` of a subclass sees in the life of an object."""
    seen = []

    class Observed(cls):
        def __setattr__(self, name, value):
            seen.append(name)
            super().__setattr__(name, value)

    async def main():
        await use(Observed(*arguments))

    run(main())
    return seen


class TestSetattr:
    @pytest.mark.parametrize("name", USES)
    def test_like_asyncio_s(self, impl, name):
        arguments, use = USES[name]
        expected = observed(vars(asyncio)[name], arguments, use, asyncio.run)
        assert expected
        assert observed(getattr(impl, name), arguments, use, impl.run) == expected

    def test_what_it_changes(self, impl, run):
        class Counted(impl.Semaphore):
            def __setattr__(self, name, value):
                super().__setattr__(name, min(value, 2) if name == "_value" else value)

        async def main():
            semaphore = Counted(5)
            for _ in range(2):
                assert not semaphore.locked()
                await semaphore.acquire()
            assert semaphore.locked()

        run(main())

    def test_two_bases(self, impl, run):
        seen = []

        class Mailbox(impl.Queue, impl.Event):
            def __init__(self):
                impl.Queue.__init__(self)
                impl.Event.__init__(self)

            def __setattr__(self, name, value):
                seen.append(name)
                super().__setattr__(name, value)

        async def main():
            box = Mailbox()
            box.put_nowait(1)
            del seen[:]
            box.set()
            assert await box.get() == 1
            assert await box.wait()

        run(main())
        assert seen == ["_value"]

    def test_set_on_the_class_later(self, impl):
        class Late(impl.Event):
            pass

        def setattr_(self, name, value):
            seen.append(name)
            super(Late, self).__setattr__(name, value)

        seen, event = [], Late()
        event.set()
        Late.__setattr__ = setattr_
        event.clear()
        del Late.__setattr__
        event.set()
        assert seen == ["_value"]
        assert event.is_set()


class TestGetattribute:
    def test_what_a_lock_asks_itself_for(self, impl, run):
        asked = []

        class Lock(impl.Lock):
            def __getattribute__(self, name):
                asked.append(name)
                return super().__getattribute__(name)

        async def main():
            lock = Lock()
            del asked[:]
            async with lock:
                assert "acquire" in asked
                assert "_locked" in asked
                del asked[:]
            assert asked == ["release", "_locked", "_wake_up_first", "_waiters"]

        run(main())

    def test_a_getattr_alone_changes_nothing(self, impl, run):
        class Lock(impl.Lock):
            def __getattr__(self, name):
                if name.startswith("my_"):
                    return name
                raise AttributeError(name)

        lock = Lock()
        run(take(lock))
        assert lock.my_name == "my_name"
        assert not lock.locked()


class TestCondition:
    def test_acquire_is_a_coroutine_function(self, impl, run):
        condition = impl.Condition()
        assert inspect.iscoroutinefunction(condition.acquire)
        assert condition.acquire.__qualname__ == "Lock.acquire"
        assert str(inspect.signature(condition.release)) == "()"
        run(take(condition))

    def test_an_observed_lock(self, impl, run):
        seen = []

        class Lock(impl.Lock):
            def __setattr__(self, name, value):
                seen.append((name, value))
                super().__setattr__(name, value)

        async def main():
            condition = impl.Condition(Lock())
            del seen[:]
            async with condition:
                assert seen == [("_locked", True)]

        run(main())
        assert seen == [("_locked", True), ("_locked", False)]


class TestLoop:
    def test_steps_of_making_and_closing(self, impl, make_loop):
        calls = []

        class Loop(type(make_loop())):
            def _make_self_pipe(self):
                calls.append("make")
                super()._make_self_pipe()

            def _close_self_pipe(self):
                calls.append("close")
                super()._close_self_pipe()

            def set_debug(self, enabled):
                calls.append(("debug", enabled))
                super().set_debug(enabled)

        loop = Loop()
        assert calls == [("debug", sys.flags.dev_mode), "make"]
        loop.run_until_complete(impl.sleep(0))
        loop.close()
        loop.close()
        assert calls == [("debug", sys.flags.dev_mode), "make", "close"]

    def test_is_closed(self, impl, make_loop):
        class Loop(type(make_loop())):
            keep = True

            def is_closed(self):
                return self.keep or super().is_closed()

        loop = Loop()
        loop.close()
        loop.keep = False
        assert not loop.is_closed()
        loop.close()
        assert loop.is_closed()

    def test_steps_of_signals(self, impl, make_loop):
        calls = []

        class Loop(type(make_loop())):
            def _check_signal(self, sig):
                calls.append(("check", sig))
                super()._check_signal(sig)

            def _handle_signal(self, sig):
                calls.append(("handle", sig))
                super()._handle_signal(sig)

        async def main():
            loop = impl.get_running_loop()
            came = impl.Event()
            loop.add_signal_handler(signal.SIGUSR1, came.set)
            os.kill(os.getpid(), signal.SIGUSR1)
            await came.wait()
            assert loop.remove_signal_handler(signal.SIGUSR1)

        loop = Loop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()
        number = signal.SIGUSR1
        assert calls == [("check", number), ("handle", number), ("check", number)]
