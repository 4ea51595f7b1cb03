"""`copy` and `pickle` of locks, queues and timeouts: the copies have the state, and work."""

import asyncio
import copy
import pickle

import pytest

from tests.unit.programs import turn


def pickled(protocol):
    def through(thing):
        return pickle.loads(pickle.dumps(thing, protocol))

    return through


WAYS = {"copy": copy.copy, "deepcopy": copy.deepcopy} | {
    f"pickle {protocol}": pickled(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}


@pytest.fixture(params=WAYS)
def copied(request):
    return WAYS[request.param]


def subclass(base):
    """A subclass that `pickle` finds by name in this module."""
    made = type(f"Own{base.__name__}", (base,), {"__module__": __name__, "label": "a class attribute"})
    globals()[made.__name__] = made
    return made


def in_loop(impl, function):
    async def main():
        return await function()

    return impl.run(main())


class TestLocks:
    def test_a_held_lock_stays_held(self, impl, copied):
        async def scenario():
            lock = impl.Lock()
            await lock.acquire()
            made = copied(lock)
            assert type(made) is type(lock)
            assert made.locked()
            made.release()
            assert lock.locked()

        in_loop(impl, scenario)

    def test_an_event_stays_set(self, impl, copied):
        event = impl.Event()
        event.set()
        made = copied(event)
        assert made.is_set()
        made.clear()
        assert event.is_set()

    def test_a_semaphore_keeps_its_value(self, impl, copied):
        made = copied(impl.Semaphore(3))
        assert made._value == 3
        made.release()
        assert made._value == 4

    def test_a_bounded_semaphore_keeps_its_bound(self, impl, copied):
        made = copied(impl.BoundedSemaphore(1))
        with pytest.raises(ValueError, match="released too many times"):
            made.release()

    def test_a_condition_has_a_lock(self, impl, copied):
        made = copied(impl.Condition())

        async def scenario():
            async with made:
                made.notify()
                assert made.locked()

        in_loop(impl, scenario)

    def test_the_state_of_a_condition_has_what_asyncio_s_conditions_need(self, impl):
        condition = impl.Condition()
        state = condition.__reduce_ex__(4)[2]
        lock = state["_lock"]
        assert [state[name] for name in ("locked", "acquire", "release")] == [
            lock.locked,
            lock.acquire,
            lock.release,
        ]

    def test_a_barrier_keeps_its_parties(self, impl, copied):
        made = copied(impl.Barrier(1))
        assert made.parties == 1
        assert in_loop(impl, made.wait) == 0

    def test_what_a_program_added_comes_along(self, impl, copied):
        lock = impl.Lock()
        lock.label = "mine"
        assert copied(lock).label == "mine"

    def test_a_subclass(self, impl, copied):
        lock = subclass(impl.Lock)()
        lock.label = "of the instance"
        made = copied(lock)
        assert (type(made), made.label) == (type(lock), "of the instance")
        assert not made.locked()


class TestQueues:
    @pytest.mark.parametrize(
        ("kind", "order"), [("Queue", [2, 1, 3]), ("PriorityQueue", [1, 2, 3]), ("LifoQueue", [3, 1, 2])]
    )
    def test_items_and_size_come_along(self, impl, copied, kind, order):
        queue = getattr(impl, kind)(5)
        for item in (2, 1, 3):
            queue.put_nowait(item)
        made = copied(queue)
        assert (type(made), made.maxsize, made.qsize()) == (type(queue), 5, 3)
        assert [made.get_nowait() for _ in range(3)] == order
        for _ in range(3):
            made.task_done()
        with pytest.raises(ValueError, match="called too many times"):
            made.task_done()

    def test_a_deep_copy_has_items_of_its_own(self, impl):
        queue = impl.Queue()
        queue.put_nowait([1])
        made = copy.deepcopy(queue)
        made.get_nowait().append(2)
        assert queue.get_nowait() == [1]

    def test_a_queue_that_is_waited_for_cannot_be_pickled(self, impl):
        async def scenario():
            queue = impl.Queue()
            task = impl.ensure_future(queue.get())
            await impl.sleep(0)
            with pytest.raises(TypeError, match="cannot pickle"):
                pickle.dumps(queue)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        in_loop(impl, scenario)


class TestTimeouts:
    def test_a_timeout_that_was_not_entered(self, impl, copied):
        async def scenario():
            made = copied(impl.timeout_at(17.5))
            assert made.when() == 17.5
            assert not made.expired()
            return copied(impl.timeout(None)).when()

        assert in_loop(impl, scenario) is None

    def test_the_copy_is_a_limit(self, impl, copied):
        async def scenario():
            loop = impl.get_running_loop()
            with pytest.raises(TimeoutError):
                async with copied(impl.timeout_at(loop.time())):
                    await loop.create_future()

        in_loop(impl, scenario)


class TestOthers:
    def test_a_group_is_entered(self, impl):
        group = copy.copy(impl.TaskGroup())

        async def scenario():
            async with group:
                return await group.create_task(asyncio.sleep(0, "done"))

        assert in_loop(impl, scenario) == "done"

    def test_a_runner_runs(self, impl):
        with copy.copy(impl.Runner()) as runner:
            assert runner.run(asyncio.sleep(0, "done")) == "done"

    def test_a_runner_that_was_closed(self, impl):
        runner = impl.Runner()
        runner.close()
        assert copy.copy(runner)._state is runner._state

    def test_a_reader_has_the_same_data(self, impl):
        async def scenario():
            reader = impl.StreamReader(limit=100)
            reader.feed_data(b"one\n")
            made = copy.copy(reader)
            assert type(made) is type(reader)
            assert made._limit == 100
            assert await made.readline() == b"one\n"

        in_loop(impl, scenario)


class TestHandles:
    def test_a_copy_calls_the_same(self, impl, loop):
        called = []
        handle = loop.call_soon(called.append, 1)
        made = copy.copy(handle)
        assert type(made) is impl.Handle and made._loop is loop
        made._run()
        made.cancel()
        turn(loop)
        assert called == [1, 1]


@pytest.mark.yibu_only  # stock's have no `__setstate__`
def test_a_setter_that_changes_the_state(impl):
    """The state is set as it was given, and what happens to it meanwhile is the program's own business."""
    state = {"_maxsize": 3, "extra": 1}

    class Queue(impl.Queue):
        def __setattr__(self, name, value):
            state[f"{name} was set"] = True
            super().__setattr__(name, value)

    queue = Queue()
    queue.__setstate__(state)
    assert (queue.maxsize, queue.extra) == (3, 1)
