"""Locks, events, conditions, semaphores and barriers: what the interpreter's own tests leave open."""

import asyncio
import collections
import contextlib
import copy
import gc
import inspect
import math
import random
import re
import sys
import threading
import warnings
import weakref

import pytest

NAMES = ["Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore"]
HELD = ["Lock", "Condition", "Semaphore", "BoundedSemaphore"]


@pytest.fixture(params=["own", "stock"])
def drive(request, impl, make_loop):
    """Run a coroutine on the implementation's loop, and on the standard library's."""
    loop = make_loop() if request.param == "own" else make_loop(asyncio.SelectorEventLoop)
    return loop.run_until_complete


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


async def start(*coroutines):
    """Make tasks, and let each run up to its first wait."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await turns()
    return tasks


class TestKind:
    @pytest.mark.parametrize("name", [*NAMES, "Barrier"])
    def test_instances_are_instances_of_the_stock_class(self, impl, name):
        made = getattr(impl, name)(*([2] if name == "Barrier" else []))
        assert isinstance(made, getattr(asyncio, name))
        assert isinstance(made, getattr(impl, name))

    def test_a_bounded_semaphore_is_a_semaphore(self, impl):
        assert issubclass(impl.BoundedSemaphore, impl.Semaphore)
        assert isinstance(impl.BoundedSemaphore(), asyncio.Semaphore)

    @pytest.mark.parametrize("name", [*NAMES, "Barrier"])
    def test_attributes_and_weak_references(self, impl, name):
        made = getattr(impl, name)(*([2] if name == "Barrier" else []))
        made.anything = 1
        assert vars(made)["anything"] == 1
        reference = weakref.ref(made)
        del made
        assert reference() is None

    @pytest.mark.parametrize(
        ("make", "error", "text"),
        [
            (lambda impl: impl.Lock(1), TypeError, r"^Lock\.__init__\(\) takes 1 positional argument but 2"),
            (lambda impl: impl.Event(loop=None), TypeError, r"unexpected keyword argument 'loop'"),
            (lambda impl: impl.Condition(1, 2), TypeError, r"from 1 to 2 positional arguments but 3 were"),
            (lambda impl: impl.Condition(1), AttributeError, r"^'int' object has no attribute 'locked'"),
            (lambda impl: impl.Semaphore(-1), ValueError, r"^Semaphore initial value must be >= 0$"),
            (lambda impl: impl.Semaphore(value=-0.5), ValueError, r"^Semaphore initial value must be >= 0$"),
            (lambda impl: impl.BoundedSemaphore(-1), ValueError, r"^Semaphore initial value must be >= 0$"),
            (lambda impl: impl.Semaphore("1"), TypeError, r"'<' not supported between instances of 'str'"),
            (
                lambda impl: impl.Semaphore(None),
                TypeError,
                r"'<' not supported between instances of 'NoneType'",
            ),
            (lambda impl: impl.Barrier(), TypeError, r"missing 1 required positional argument: 'parties'"),
            (lambda impl: impl.Barrier(0), ValueError, r"^parties must be (> 0|>= 1)$"),
        ],
    )
    def test_misuse(self, impl, make, error, text):
        with pytest.raises(error, match=text):
            make(impl)

    @pytest.mark.parametrize(
        ("name", "method", "text"),
        [
            ("Lock", "acquire", "Lock.acquire"),
            ("Semaphore", "acquire", "Semaphore.acquire"),
            ("BoundedSemaphore", "acquire", "Semaphore.acquire"),
            ("Condition", "acquire", "Lock.acquire"),
            ("Condition", "wait", "Condition.wait"),
            ("Event", "wait", "Event.wait"),
            ("Lock", "__aenter__", "_ContextManagerMixin.__aenter__"),
        ],
    )
    def test_coroutines_never_awaited(self, impl, name, method, text):
        coroutine = getattr(getattr(impl, name)(), method)()
        assert asyncio.iscoroutine(coroutine)
        assert inspect.isawaitable(coroutine)
        assert coroutine.__qualname__ == text
        with pytest.warns(RuntimeWarning, match=rf"coroutine '{text}' was never awaited"):
            del coroutine
            gc.collect()

    def test_reprs(self, impl, drive):
        async def main():
            plain = r"^<.*\b{} object at 0x[0-9a-f]+ \[{}\]>$"
            made = {name: getattr(impl, name)() for name in NAMES}
            barrier = impl.Barrier(3)

            def states():
                found = {}
                for name, each in {**made, "Barrier": barrier}.items():
                    found[name] = re.fullmatch(plain.format(name, "(.*)").strip("^$"), repr(each)).group(1)
                return found

            assert states() == {
                "Lock": "unlocked",
                "Event": "unset",
                "Condition": "unlocked",
                "Semaphore": "unlocked, value:1",
                "BoundedSemaphore": "unlocked, value:1",
                "Barrier": "filling, waiters:0/3",
            }
            for name in HELD:
                await made[name].acquire()
            tasks = await start(
                *(made[name].acquire() for name in HELD),
                *(made["Event"].wait() for _ in "ab"),
                barrier.wait(),
            )
            assert states() == {
                "Lock": "locked, waiters:1",
                "Event": "unset, waiters:2",
                "Condition": "locked",
                "Semaphore": "locked, waiters:1",
                "BoundedSemaphore": "locked, waiters:1",
                "Barrier": "filling, waiters:1/3",
            }
            await barrier.abort()
            made["Event"].set()
            for name in HELD:
                made[name].release()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert states()["Barrier"] == "broken"
            assert states()["Event"] == "set"
            assert states()["Semaphore"] == "locked"

        drive(main())


class TestAttributes:
    def test_waiters_before_and_after(self, impl, drive):
        async def main():
            lock, semaphore = impl.Lock(), impl.Semaphore()
            assert lock._waiters is None
            assert semaphore._waiters is None
            assert impl.Event()._waiters == collections.deque()
            assert impl.Condition()._waiters == collections.deque()
            async with lock, semaphore:
                assert lock._waiters is None
                tasks = await start(lock.acquire(), semaphore.acquire())
                for each in (lock, semaphore):
                    assert isinstance(each._waiters, collections.deque)
                    (waiter,) = each._waiters
                    assert asyncio.isfuture(waiter)
                    assert not waiter.done()
            await asyncio.gather(*tasks)
            assert lock._waiters == semaphore._waiters == collections.deque()
            assert lock._loop is asyncio.get_running_loop()

        drive(main())

    def test_the_deque_of_waiters_is_the_queue(self, impl, drive):
        async def main():
            lock = impl.Lock()
            await lock.acquire()
            order = []

            async def worker(name):
                async with lock:
                    order.append(name)

            tasks = await start(worker("a"), worker("b"))
            lock._waiters.rotate()
            tasks += await start(worker("c"))
            lock.release()
            await asyncio.gather(*tasks)
            return order

        assert drive(main()) == ["b", "a", "c"]

    def test_private_state_can_be_written(self, impl, drive):
        async def main():
            lock, event, semaphore = impl.Lock(), impl.Event(), impl.BoundedSemaphore(2)
            lock._locked = True
            assert lock.locked()
            lock.release()
            event._value = True
            assert await event.wait()
            semaphore._value = 0
            assert semaphore.locked()
            assert semaphore._bound_value == 2
            semaphore._bound_value = 1
            semaphore.release()
            with pytest.raises(ValueError, match=r"^BoundedSemaphore released too many times$"):
                semaphore.release()

        drive(main())

    def test_a_semaphore_grows(self, impl, drive):
        """As rate limiters do it: write the value, wake the next."""

        async def main():
            semaphore = impl.Semaphore(0)
            tasks = await start(semaphore.acquire(), semaphore.acquire())
            semaphore._value += 2
            semaphore._wake_up_next()
            await asyncio.gather(*tasks)
            assert semaphore._value == 0

        drive(main())

    @pytest.mark.parametrize("value", [2.5, True, 2**63 - 1, 2**80])
    def test_values_of_semaphores(self, impl, drive, value):
        async def main():
            for semaphore in (impl.Semaphore(value), impl.BoundedSemaphore(value)):
                assert semaphore._value is value or semaphore._value == value
                async with semaphore:
                    assert semaphore._value == value - 1
                assert semaphore._value == value
            with pytest.raises(ValueError, match="too many times"):
                semaphore.release()
            assert f"value:{value}" in repr(impl.Semaphore(value))

        drive(main())

    def test_a_semaphore_without_a_limit(self, impl, drive):
        async def main():
            semaphore = impl.Semaphore(math.inf)
            for _ in range(9):
                assert await semaphore.acquire()
            assert repr(semaphore).endswith("[unlocked, value:inf]>")

        drive(main())

    def test_a_semaphore_beyond_a_machine_word(self, impl):
        semaphore = impl.Semaphore(2**63 - 1)
        semaphore.release()
        assert semaphore._value == 2**63

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
    def test_copies(self, impl, drive, name, how):
        """As default values of models are copied, with what is in them."""

        async def main():
            made = getattr(impl, name)()
            made.note = ["note"]
            other = how(made)
            assert type(other) is type(made)
            assert other.note == made.note
            if name == "Event":
                other.set()
            else:
                await other.acquire()
            assert repr(made)[-9:] != repr(other)[-9:] or name == "Condition"
            if name == "Condition":
                assert made.locked() == (how is copy.copy)
            made._loop = threading.Lock()  # cannot be copied, as loops cannot
            with pytest.raises(TypeError, match="pickle"):
                copy.deepcopy(made)

        drive(main())

    def test_the_parts_of_a_barrier(self, impl, drive):
        async def main():
            barrier = impl.Barrier(2)
            assert barrier._state.value == "filling"
            assert (barrier._count, barrier._parties, barrier.parties) == (0, 2, 2)
            assert isinstance(barrier._cond, asyncio.Condition)
            (task,) = await start(barrier.wait())
            assert (barrier._count, barrier.n_waiting, barrier.broken) == (1, 1, False)
            assert await barrier.wait() == 1
            assert await task == 0

        drive(main())


class TestBinding:
    """`async with` looks its two methods up; so may anybody."""

    @pytest.mark.parametrize("name", HELD)
    def test_a_method_that_is_not_called(self, impl, name):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            held = getattr(impl, name)()
            assert callable(held.__aenter__)
            assert callable(held.__aexit__)
            del held
            gc.collect()

    @pytest.mark.parametrize("name", HELD)
    def test_a_method_that_is_called_often(self, impl, drive, name):
        async def main():
            held = getattr(impl, name)()
            enter, leave = held.__aenter__, held.__aexit__
            for _ in range(3):
                assert await enter() is None
                assert held.locked()
                assert await leave(None, None, None) is None
                assert not held.locked()
            first, second = enter(), enter()
            await first
            (task,) = await start(second)
            assert not task.done()
            held.release()
            await task

        drive(main())

    def test_a_coroutine_is_awaited_once(self, impl, drive):
        async def main():
            coroutine = impl.Lock().__aenter__()
            await coroutine
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await coroutine

        drive(main())

    def test_arguments(self, impl):
        lock = impl.Lock()
        # Since 3.14 ours is an ordinary builtin method, which says that it takes no arguments.
        with pytest.raises(TypeError, match=r"__aenter__\(\) takes (1 positional argument but|no arguments)"):
            lock.__aenter__(1)
        with pytest.raises(TypeError, match=r"__aexit__\(\) missing 3 required positional arguments"):
            lock.__aexit__()
        lock.__aexit__(exc_type=None, exc=None, tb=None).close()

    @pytest.mark.parametrize("name", HELD)
    def test_from_the_class(self, impl, drive, name):
        async def main():
            held = getattr(impl, name)()
            async with contextlib.AsyncExitStack() as stack:
                assert await stack.enter_async_context(held) is None
                assert held.locked()
            assert not held.locked()
            await type(held).__aenter__(held)
            await type(held).__aexit__(held, None, None, None)
            with pytest.raises(TypeError):
                type(held).__aenter__()

        drive(main())

    @pytest.mark.parametrize("name", HELD)
    def test_exceptions_pass(self, impl, drive, name):
        async def main():
            held = getattr(impl, name)()
            with pytest.raises(ZeroDivisionError):
                async with held as nothing:
                    assert nothing is None
                    raise ZeroDivisionError
            assert not held.locked()

        drive(main())

    def test_super(self, impl, drive):
        class Logged(impl.Lock):
            async def __aenter__(self):
                log.append("enter")
                return await super().__aenter__()

            async def __aexit__(self, *exception):
                log.append("exit")
                return await super().__aexit__(*exception)

        async def main():
            async with Logged() as nothing:
                assert nothing is None

        log = []
        drive(main())
        assert log == ["enter", "exit"]

    @pytest.mark.parametrize("kind", ["acquire", "__aenter__"])
    def test_their_types_are_not_for_making_more(self, impl, kind):
        coroutine = getattr(impl.Lock(), kind)()
        with pytest.raises(TypeError):
            type(coroutine)()
        with pytest.raises(TypeError):
            type("Coroutine", (type(coroutine),), {})()
        coroutine.close()


class TestOverrides:
    @pytest.mark.parametrize("name", ["Lock", "Semaphore", "BoundedSemaphore"])
    def test_async_with_calls_acquire_and_release(self, impl, drive, name):
        class Logged(getattr(impl, name)):
            async def acquire(self):
                log.append("acquire")
                return await super().acquire()

            def release(self):
                log.append("release")
                super().release()

        async def main():
            held = Logged()
            async with held:
                assert held.locked()
            assert not held.locked()

        log = []
        drive(main())
        assert log == ["acquire", "release"]

    @pytest.mark.parametrize("name", HELD)
    def test_methods_of_an_instance(self, impl, drive, name):
        async def main():
            held = getattr(impl, name)()
            acquire, release = held.acquire, held.release

            async def logged_acquire():
                log.append("acquire")
                return await acquire()

            def logged_release():
                log.append("release")
                release()

            held.acquire, held.release = logged_acquire, logged_release
            async with held:
                assert held.locked()
            del held.acquire, held.release

        log = []
        drive(main())
        assert log == ["acquire", "release"]

    def test_a_semaphore_asks_whether_it_is_locked(self, impl, drive):
        class Closed(impl.Semaphore):
            closed = True

            def locked(self):
                return self.closed or super().locked()

        async def main():
            semaphore = Closed(5)
            assert "[locked]" in repr(semaphore)
            (task,) = await start(semaphore.acquire())
            assert not task.done()
            semaphore.closed = False
            semaphore.release()
            assert await task

        drive(main())

    def test_a_condition_calls_itself(self, impl, drive):
        class Logged(impl.Condition):
            async def wait(self):
                log.append("wait")
                return await super().wait()

            def notify(self, n=1):
                log.append(("notify", n))
                super().notify(n)

        async def main():
            condition, ready = Logged(), []

            async def waiter():
                async with condition:
                    return await condition.wait_for(lambda: ready)

            tasks = await start(waiter(), waiter())
            async with condition:
                ready.append("ready")
                condition.notify_all()
            assert await asyncio.gather(*tasks) == [ready, ready]

        log = []
        drive(main())
        assert log == ["wait", "wait", ("notify", 2)]

    def test_a_condition_prefers_the_methods_of_its_lock(self, impl, drive):
        class Deaf(impl.Condition):
            async def acquire(self):
                raise AssertionError("the lock's is in front of it")

        async def main():
            condition = Deaf()
            assert "acquire" in vars(condition)
            async with condition:
                assert condition.locked()

        drive(main())

    @pytest.mark.parametrize("kind", ["subclass", "foreign", "stock", "semaphore", "condition"])
    def test_the_lock_of_a_condition(self, impl, drive, kind):
        class Logged(impl.Lock):
            async def acquire(self):
                log.append("acquire")
                return await super().acquire()

        class Foreign:
            def __init__(self):
                lock = asyncio.Lock()
                self.acquire, self.release, self.locked = lock.acquire, lock.release, lock.locked

        kinds = {
            "subclass": Logged,
            "foreign": Foreign,
            "stock": asyncio.Lock,
            "semaphore": impl.Semaphore,
            "condition": impl.Condition,
        }

        async def main():
            lock = kinds[kind]()
            condition = impl.Condition(lock)
            assert condition._lock is lock
            assert condition.acquire == lock.acquire
            with pytest.raises(RuntimeError, match=r"^cannot wait on un-acquired lock$"):
                await condition.wait()

            async def waiter():
                async with condition:
                    assert lock.locked()
                    assert await condition.wait()
                    assert lock.locked()

            tasks = await start(waiter(), waiter(), waiter())
            assert "waiters:3" in repr(condition)
            await condition.acquire()
            tasks[2].cancel()
            condition.notify_all()
            condition.release()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert outcomes[:2] == [None, None]
            assert isinstance(outcomes[2], asyncio.CancelledError)
            assert not lock.locked()

        log = []
        drive(main())
        assert log == ["acquire"] * 7 * (kind == "subclass")

    def test_a_barrier_waits_by_its_method(self, impl, drive):
        class Doubled(impl.Barrier):
            async def wait(self):
                return 2 * await super().wait()

        async def main():
            barrier = Doubled(2)

            async def party():
                async with barrier as number:
                    return number

            return sorted(await asyncio.gather(party(), party()))

        assert drive(main()) == [0, 2]


class TestOrder:
    @pytest.mark.parametrize("name", ["Lock", "Semaphore", "BoundedSemaphore", "Condition"])
    def test_first_come_first_served(self, impl, drive, name):
        async def main():
            held, order = getattr(impl, name)(), []

            async def worker(number):
                for _ in range(3):
                    async with held:
                        order.append(number)
                        await asyncio.sleep(0)

            await asyncio.gather(*(worker(number) for number in range(5)))
            return order

        assert drive(main()) == [0, 1, 2, 3, 4] * 3

    def test_nobody_slips_in_before_the_one_who_was_woken(self, impl, drive):
        async def main():
            lock, order = impl.Lock(), []
            await lock.acquire()

            async def worker(name):
                async with lock:
                    order.append(name)

            (patient,) = await start(worker("patient"))
            lock.release()
            hasty = asyncio.create_task(worker("hasty"))
            assert not lock.locked()
            await asyncio.gather(patient, hasty)
            return order

        assert drive(main()) == ["patient", "hasty"]

    def test_a_free_lock_gives_no_way(self, impl, drive):
        async def main():
            steps = []

            async def other():
                steps.append("other")

            lock, semaphore, event, condition = impl.Lock(), impl.Semaphore(9), impl.Event(), impl.Condition()
            event.set()
            task = asyncio.create_task(other())
            for _ in range(3):
                assert await event.wait()
                async with lock, semaphore, condition:
                    assert await condition.wait_for(lambda: 7) == 7
            steps.append("mine")
            await task
            return steps

        assert drive(main()) == ["mine", "other"]

    @pytest.mark.parametrize(
        ("n", "woken"),
        [(0, 0), (-1, 0), (1, 1), (True, 1), (2, 2), (1.5, 2), (99, 3), (10**30, 3), (math.inf, 3)],
    )
    def test_how_many_are_notified(self, impl, drive, n, woken):
        async def main():
            condition = impl.Condition()

            async def waiter():
                async with condition:
                    await condition.wait()

            tasks = await start(waiter(), waiter(), waiter())
            async with condition:
                condition.notify(n=n)
            await turns(9)
            assert [task.done() for task in tasks] == [True] * woken + [False] * (3 - woken)
            async with condition:
                condition.notify_all()
            await asyncio.gather(*tasks)

        drive(main())

    def test_notifying_no_number(self, impl, drive):
        async def main():
            condition = impl.Condition()
            with pytest.raises(RuntimeError, match=r"^cannot notify on un-acquired lock$"):
                condition.notify("two")
            async with condition:
                condition.notify("two")

        drive(main())


class TestCancellation:
    """Whoever is cancelled, wherever it stands, the others get what is theirs."""

    @pytest.mark.parametrize("name", ["Lock", "Semaphore", "BoundedSemaphore"])
    @pytest.mark.parametrize("when", ["before the release", "after the release"])
    def test_the_first_waiter(self, impl, drive, name, when):
        async def main():
            held = getattr(impl, name)()
            await held.acquire()
            first, second = await start(held.acquire(), held.acquire())
            if when == "before the release":
                first.cancel("enough")
            held.release()
            if when == "after the release":
                first.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match=r"^enough$"):
                await first
            assert await asyncio.wait_for(second, 10)
            assert held.locked()
            assert not held._waiters

        drive(main())

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_semaphore_loses_no_unit(self, impl, drive, count):
        async def main():
            semaphore = impl.Semaphore(count)
            for _ in range(count):
                await semaphore.acquire()
            tasks = await start(*(semaphore.acquire() for _ in range(4)))
            for _ in range(count):
                semaphore.release()
            for task in tasks[:2]:
                task.cancel()
            await asyncio.wait(tasks[:2])
            await turns()
            assert [task.done() for task in tasks[2:]] == [True, count == 2]
            semaphore.release()
            await asyncio.gather(*tasks[2:])
            assert semaphore._value == count - 1

        drive(main())

    @pytest.mark.parametrize("name", ["Lock", "Semaphore", "Event", "Condition"])
    @pytest.mark.parametrize("how", ["close", "throw"])
    def test_a_coroutine_that_is_ended_by_hand(self, impl, drive, name, how):
        async def main():
            made = getattr(impl, name)()
            if name == "Event":
                coroutine = made.wait()
            else:
                await made.acquire()
                coroutine = made.wait() if name == "Condition" else made.acquire()
            waiter = coroutine.send(None)
            assert list(made._waiters) == [waiter]
            if how == "close":
                coroutine.close()
            else:
                with pytest.raises(ZeroDivisionError):
                    coroutine.throw(ZeroDivisionError())
            assert not made._waiters
            assert not waiter.done()
            if name in ("Lock", "Condition"):
                assert made.locked()
                made.release()

        drive(main())

    @pytest.mark.yibu_only(before=(3, 13))  # stock raises another cancellation, without the message
    def test_a_condition_is_left_with_its_lock(self, impl, drive):
        async def main():
            condition = impl.Condition()

            async def waiter():
                async with condition:
                    try:
                        await condition.wait()
                    finally:
                        assert condition.locked()

            (task,) = await start(waiter())
            await condition.acquire()
            task.cancel("first")
            await turns()
            assert not task.done()
            task.cancel("second")
            await turns()
            assert not task.done()
            assert "waiters" not in repr(condition)
            condition.release()
            with pytest.raises(asyncio.CancelledError, match=r"^second$") as caught:
                await task
            assert not condition.locked()
            return caught.value

        cancelled = drive(main())
        assert isinstance(cancelled.__context__, asyncio.CancelledError)
        assert cancelled.__context__.args == ("first",)

    @pytest.mark.yibu_only(before=(3, 13))  # stock loses it
    def test_a_notification_is_passed_on(self, impl, drive):
        async def main():
            condition = impl.Condition()

            async def waiter():
                async with condition:
                    await condition.wait()

            first, second = await start(waiter(), waiter())
            async with condition:
                condition.notify()
                first.cancel()
            await asyncio.wait([first])
            await asyncio.wait_for(second, 10)
            assert first.cancelled()

        drive(main())

    @pytest.mark.parametrize("name", ["Lock", "Semaphore"])
    def test_a_crowd_that_gives_up(self, impl, drive, name):
        async def main():
            held = getattr(impl, name)()
            await held.acquire()
            tasks = await start(*(held.acquire() for _ in range(300)))
            chosen = random.Random(7).sample(tasks[:-1], 250)
            for task in chosen:
                task.cancel()
            await asyncio.wait(chosen)
            assert len(held._waiters) == 50
            for task in tasks:
                if task not in chosen:
                    held.release()
                    assert await task
            assert not held._waiters

        drive(main())

    @pytest.mark.parametrize("seed", range(20))
    @pytest.mark.parametrize("name", ["Lock", "Semaphore", "Condition"])
    def test_at_random(self, impl, drive, name, seed):
        """Workers come, hold, notify, wait and are cancelled; in the end everybody gets through."""
        draw = random.Random(seed)

        async def main():
            units = draw.randint(1, 3) if name == "Semaphore" else 1
            held = impl.Semaphore(units) if name == "Semaphore" else getattr(impl, name)()
            holders, order = set(), []

            async def worker(number):
                async with held:
                    assert len(holders) < units
                    holders.add(number)
                    order.append(number)
                    try:
                        await turns(draw.randint(0, 3))
                        if name == "Condition":
                            held.notify(draw.randint(0, 2))
                            if draw.random() < 0.3:
                                holders.discard(number)
                                try:
                                    await held.wait()
                                finally:
                                    assert not holders
                                    holders.add(number)
                    finally:
                        holders.discard(number)

            tasks = []
            for number in range(60):
                tasks.append(asyncio.create_task(worker(number)))
                await turns(draw.randint(0, 2))
                if draw.random() < 0.4:
                    draw.choice(tasks).cancel()
            while not all(task.done() for task in tasks):
                await turns(20)
                if name == "Condition":
                    async with held:
                        held.notify_all()
            assert all(task.cancelled() or task.exception() is None for task in tasks)
            assert not holders
            assert not held.locked()
            assert not held._waiters
            if name == "Semaphore":
                assert held._value == units
            assert order == sorted(order)

        drive(main())


class TestCrowd:
    """So many that cancelling each would not end within the time limit if it looked at all the others."""

    COUNT = 60_000

    @pytest.mark.yibu_only  # stock looks at all of them
    def test_of_a_condition(self, impl, make_loop):
        async def main():
            condition = impl.Condition()

            async def waiter():
                async with condition:
                    await condition.wait()

            tasks = await start(*(waiter() for _ in range(self.COUNT)))
            await turns()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert not condition.locked()
            assert not condition._waiters

        make_loop().run_until_complete(main())


class TestBarrier:
    def test_who_comes_while_it_drains(self, impl, drive):
        async def main():
            barrier, log = impl.Barrier(2), []

            async def party(name):
                log.append((name, await barrier.wait()))

            await asyncio.gather(*(party(name) for name in "abcd"))
            return log

        assert sorted(drive(main())) == [("a", 0), ("b", 1), ("c", 0), ("d", 1)]

    def test_reset_and_abort(self, impl, drive):
        async def main():
            barrier = impl.Barrier(3)
            tasks = await start(barrier.wait(), barrier.wait())
            await barrier.reset()
            for task in tasks:
                with pytest.raises(asyncio.BrokenBarrierError, match=r"^Abort or reset of barrier$"):
                    await task
            assert not barrier.broken
            tasks = await start(barrier.wait())
            await barrier.abort()
            with pytest.raises(asyncio.BrokenBarrierError, match=r"^Abort or reset of barrier$"):
                await tasks[0]
            assert barrier.broken
            with pytest.raises(asyncio.BrokenBarrierError, match=r"^Barrier aborted$"):
                await barrier.wait()
            await barrier.reset()
            assert sorted(await asyncio.gather(*(barrier.wait() for _ in range(3)))) == [0, 1, 2]

        drive(main())

    def test_a_party_that_leaves(self, impl, drive):
        async def main():
            barrier = impl.Barrier(2)
            (task,) = await start(barrier.wait())
            task.cancel()
            await asyncio.wait([task])
            assert barrier.n_waiting == 0
            assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]

        drive(main())

    @pytest.mark.yibu_only  # stock may give two the same number
    @pytest.mark.parametrize("leaver", range(4))
    def test_who_leaves_gives_the_number_to_the_next(self, impl, drive, leaver):
        async def main():
            barrier = impl.Barrier(5)
            tasks = await start(*(barrier.wait() for _ in range(4)))
            gone = tasks.pop(leaver)
            gone.cancel()
            await asyncio.wait([gone])
            late = asyncio.get_running_loop().create_task(barrier.wait())
            await turns()
            last = barrier.wait()
            numbers = await asyncio.gather(*tasks, late, last)
            assert sorted(numbers) == list(range(5))
            assert late.result() == leaver
            assert await asyncio.gather(*(barrier.wait() for _ in range(5))) == list(range(5))

        drive(main())

    def test_parties_that_are_no_int(self, impl, drive):
        async def main():
            barrier = impl.Barrier(2.0)
            assert "waiters:0/2.0" in repr(barrier)
            return await asyncio.gather(barrier.wait(), barrier.wait())

        assert sorted(drive(main())) == [0, 1]


class TestLoops:
    @pytest.mark.parametrize("name", HELD)
    def test_another_loop(self, impl, make_loop, name):
        held = getattr(impl, name)()

        async def contend():
            await held.acquire()
            (task,) = await start(held.acquire())
            held.release()
            await task

        make_loop().run_until_complete(contend())
        with pytest.raises(RuntimeError, match=r"<.*\[locked\]> is bound to a different event loop$"):
            make_loop().run_until_complete(held.acquire())
        held.release()
        assert make_loop().run_until_complete(held.acquire())

    def test_no_loop(self, impl):
        lock = impl.Lock()
        with pytest.raises(StopIteration) as stop:
            lock.acquire().send(None)
        assert stop.value.value is True
        lock.release()

    def test_debug_mode(self, impl, make_loop):
        async def main():
            lock, event = impl.Lock(), impl.Event()

            async def worker():
                await event.wait()
                async with lock:
                    await asyncio.sleep(0)

            tasks = await start(*(worker() for _ in range(5)))
            event.set()
            await asyncio.gather(*tasks)

        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 10
        loop.run_until_complete(main())

    def test_from_the_loop_itself(self, impl, drive):
        async def main():
            event, lock = impl.Event(), impl.Lock()
            asyncio.get_running_loop().call_soon(event.set)
            await event.wait()
            await lock.acquire()
            asyncio.get_running_loop().call_soon(lock.release)
            await lock.acquire()

        drive(main())


class TestLifetime:
    def use(self, impl):
        async def contend(made, wait, wake):
            tasks = await start(wait(), wait())
            tasks[0].cancel()
            wake()
            await asyncio.wait(tasks)

        async def main():
            for _ in range(20):
                lock, event, semaphore = impl.Lock(), impl.Event(), impl.Semaphore()
                async with lock, semaphore:
                    await contend(event, event.wait, event.set)
                await lock.acquire()
                await contend(lock, lock.acquire, lock.release)
                await semaphore.acquire()
                await contend(semaphore, semaphore.acquire, semaphore.release)
                condition = impl.Condition()
                async with condition:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(condition.wait(), 0.0001)
                barrier = impl.Barrier(2)
                await asyncio.gather(barrier.wait(), barrier.wait())

        return main()

    def test_nothing_is_left(self, impl, drive):
        drive(self.use(impl))
        gc.collect()
        objects = len(gc.get_objects())
        drive(self.use(impl))
        gc.collect()
        assert len(gc.get_objects()) - objects < 20

    def test_references_come_back(self, impl, drive):
        async def main():
            lock, semaphore, event = impl.Lock(), impl.Semaphore(), impl.Event()
            event.set()
            kept = (lock, semaphore, event, None, True)
            before = [sys.getrefcount(each) for each in kept]
            for _ in range(1000):
                async with lock, semaphore:
                    await event.wait()
                await lock.acquire()
                lock.release()
            after = [sys.getrefcount(each) for each in kept]
            assert all(abs(one - other) < 50 for one, other in zip(before, after, strict=True))

        drive(main())

    @pytest.mark.parametrize("name", HELD)
    def test_dies_at_once(self, impl, drive, name):
        async def main():
            held = getattr(impl, name)()
            async with held:
                pass
            await held.acquire()
            (task,) = await start(held.acquire())
            held.release()
            await task
            del task
            reference = weakref.ref(held)
            del held
            return reference

        assert drive(main())() is None

    def test_cycles_are_collected(self, impl, make_loop):
        async def wait(event):
            await event.wait()

        event = impl.Event()
        event.itself = event
        loop = make_loop()
        task = loop.create_task(wait(event))
        loop.call_soon(loop.stop)
        loop.run_forever()
        task._log_destroy_pending = False
        reference = weakref.ref(event)
        loop.close()
        del event, task, loop
        gc.collect()
        # The fixture still has the loop, which has forgotten everything else.
        assert reference() is None


class TestClassAssignment:
    """`object.__class__ = Subclass`, by which libraries add methods to objects that exist."""

    @pytest.mark.parametrize("name", ["Lock", "Event", "Queue", "Semaphore", "Condition"])
    def test_an_object_becomes_one_of_a_subclass_and_back(self, impl, name):
        kind = getattr(impl, name)
        subclass = type("Sub", (kind,), {"label": "mine"})
        thing = kind()
        before = type(thing)
        thing.__class__ = subclass
        assert type(thing) is subclass
        assert thing.__class__ is subclass
        assert thing.label == "mine"
        thing.__class__ = before
        assert type(thing) is before
        with pytest.raises(TypeError):
            thing.__class__ = int
        with pytest.raises(TypeError):
            del thing.__class__
