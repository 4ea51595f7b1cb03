"""asyncio.queues: what subclasses replace, what libraries look at; no item and no wake-up is lost."""

import asyncio
import collections
import gc
import heapq
import itertools
import random
import re
import sys
import unittest.mock
import weakref

import pytest

KINDS = ["Queue", "PriorityQueue", "LifoQueue"]


@pytest.fixture
def run(run_on_each_loop):
    return run_on_each_loop


@pytest.fixture(params=KINDS)
def kind(request, impl):
    """Each of the three classes."""
    return getattr(impl, request.param)


async def turns(count=3):
    """Let everybody run who can."""
    for _ in range(count):
        await asyncio.sleep(0)


def drain(queue):
    """Take everything out."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


def filled(kind, items, **keywords):
    """Make a queue that holds `items`."""
    queue = kind(**keywords)
    for item in items:
        queue.put_nowait(item)
    return queue


class TestState:
    def test_repr_and_str(self, kind, run):
        async def main():
            queue = kind(2)
            name = f"<{kind.__name__}"
            assert repr(queue) == f"{name} at {id(queue):#x} maxsize=2>"
            assert str(queue) == f"{name} maxsize=2>"
            getter = asyncio.create_task(queue.get())
            await turns(1)
            assert str(queue) == f"{name} maxsize=2 _getters[1]>"
            queue.put_nowait(1)
            await getter
            queue.put_nowait(2)
            queue.put_nowait(3)
            putter = asyncio.create_task(queue.put(4))
            await turns(1)
            assert str(queue) == f"{name} maxsize=2 _queue={list(queue._queue)} _putters[1] tasks=3>"
            drain(queue)
            await putter

        run(main)

    def test_repr_of_a_queue_in_itself_ends(self, impl):
        queue = impl.Queue()
        queue.put_nowait(queue)
        with pytest.raises(RecursionError):
            repr(queue)

    def test_format_is_what_repr_shows(self, impl):
        class Described(impl.Queue):
            def _format(self):
                return "described"

        queue = Described()
        assert str(queue) == "<Described described>"
        assert repr(queue) == f"<Described at {id(queue):#x} described>"
        assert impl.Queue(3)._format() == "maxsize=3"

    @pytest.mark.parametrize(
        ("maxsize", "limit"),
        [
            (0, None),
            (-1, None),
            (2, 2),
            (2.5, 3),
            (float("inf"), None),
            (True, 1),
            (10**30, None),
            (-(10**30), None),
        ],
    )
    def test_maxsize(self, impl, maxsize, limit):
        queue = impl.Queue(maxsize=maxsize)
        assert queue.maxsize is maxsize
        for number in range(limit or 20):
            assert not queue.full()
            queue.put_nowait(number)
        assert queue.full() is bool(limit)
        if limit:
            with pytest.raises(impl.QueueFull):
                queue.put_nowait(None)

    def test_maxsize_that_is_no_number(self, impl):
        queue = impl.Queue(None)
        with pytest.raises(TypeError, match="'<=' not supported between instances of 'NoneType' and 'int'"):
            queue.full()
        with pytest.raises(TypeError, match="'<='"):
            queue.put_nowait(1)
        assert queue.empty()

    def test_resizing(self, run, impl):
        async def main():
            queue = impl.Queue(1)
            queue.put_nowait(1)
            waiting = asyncio.create_task(queue.put(2))
            await turns()
            queue._maxsize = 3
            queue.put_nowait(3)
            assert queue.get_nowait() == 1
            await waiting
            assert drain(queue) == [3, 2]
            with pytest.raises(AttributeError):
                queue.maxsize = 5

        run(main)

    def test_arguments(self, impl, kind):
        assert kind(maxsize=3).maxsize == 3
        queue = kind()
        queue.put_nowait(item=1)
        assert drain(queue) == [1]
        for call in (kind, queue.put, queue.put_nowait):
            with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
                call(other=1)
        for call in (queue.put, queue.put_nowait):
            with pytest.raises(TypeError, match="missing 1 required positional argument: 'item'"):
                call()
        with pytest.raises(TypeError, match=r"Queue\.__init__\(\) takes from 1 to 2 positional"):
            kind(1, 2)

    def test_initialising_again_starts_afresh(self, kind):
        queue = filled(kind, [1, 2])
        queue.__init__(5)
        assert str(queue) == f"<{kind.__name__} maxsize=5>"
        assert queue.empty()
        assert queue._unfinished_tasks == 0

    def test_generic_weak_and_open(self, kind):
        assert repr(kind[int]).endswith(f"{kind.__name__}[int]")
        queue = kind()
        queue.label = "mine"
        assert weakref.ref(queue)() is queue
        assert vars(queue)["label"] == "mine"
        assert isinstance(queue, getattr(asyncio, kind.__name__))
        assert isinstance(queue, asyncio.Queue)

    def test_a_subclass_is_itself(self, impl, kind):
        class Mine(kind):
            LABEL = "mine"

        queue = Mine(2)
        assert type(queue) is Mine
        assert queue.__class__ is Mine
        assert queue.__class__.LABEL == "mine"
        assert isinstance(queue, impl.Queue)
        assert str(queue) == "<Mine maxsize=2>"


class TestWhatLibrariesLookAt:
    def test_the_items_are_there(self, impl):
        queue = filled(impl.Queue, "abc")
        assert isinstance(queue._queue, collections.deque)
        assert (len(queue._queue), queue._queue[0], "b" in queue._queue) == (3, "a", True)
        assert queue._queue is queue._queue
        assert list(queue._queue) == ["a", "b", "c"]

    @pytest.mark.parametrize("name", ["PriorityQueue", "LifoQueue"])
    def test_the_other_kinds_have_lists(self, impl, name):
        queue = filled(getattr(impl, name), [2, 1])
        assert type(queue._queue) is list
        assert sorted(queue._queue) == [1, 2]

    def test_changing_the_items_changes_the_queue(self, impl):
        queue = filled(impl.Queue, "abc", maxsize=3)
        queue._queue.appendleft("z")
        queue._queue.remove("b")
        assert queue.full()
        assert [queue.get_nowait(), queue.get_nowait()] == ["z", "a"]
        queue.put_nowait("d")
        assert list(queue._queue) == ["c", "d"]
        queue._queue.clear()
        assert queue.empty()
        assert not queue.full()
        with pytest.raises(impl.QueueEmpty):
            queue.get_nowait()

    def test_restoring_the_order_of_a_heap(self, impl):
        queue = filled(impl.PriorityQueue, [5, 3, 4])
        queue._queue[queue._queue.index(3)] = 9
        heapq.heapify(queue._queue)
        assert drain(queue) == [4, 5, 9]

    def test_another_container(self, kind):
        queue = filled(kind, [1, 2])
        queue._queue = type(queue._queue)([7])
        assert drain(queue) == [7]
        del queue._queue
        for ask in (queue.qsize, queue.empty, queue.get_nowait):
            with pytest.raises(AttributeError, match=f"'{kind.__name__}' object has no attribute '_queue'"):
                ask()
        assert str(queue) == f"<{kind.__name__} maxsize=0 tasks=2>"

    def test_forgetting_all_work(self, impl, run):
        async def main():
            queue = filled(impl.Queue, "abc")
            joined = asyncio.create_task(queue.join())
            await turns()
            queue._queue.clear()
            queue._finished.set()
            queue._unfinished_tasks = 0
            await joined
            with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
                queue.task_done()

        run(main)

    def test_the_event_of_the_end(self, impl):
        queue = impl.Queue()
        assert queue._finished.is_set()
        queue.put_nowait(1)
        assert not queue._finished.is_set()
        queue.put_nowait(1)
        queue.task_done()
        assert not queue._finished.is_set()
        queue.task_done()
        assert queue._finished.is_set()
        assert queue._finished is queue._finished

    def test_the_event_when_it_is_looked_at_late(self, impl):
        queue = filled(impl.Queue, [1])
        assert not queue._finished.is_set()

    def test_who_waits(self, impl, run):
        async def main():
            queue = impl.Queue(1)
            getters = [asyncio.create_task(queue.get()) for _ in range(3)]
            await turns()
            assert isinstance(queue._getters, collections.deque)
            assert [task._fut_waiter for task in getters] == list(queue._getters)
            assert not queue._putters
            # Items find their way in the same order whether somebody has looked or not.
            for number in range(3):
                queue.put_nowait(number)
                await turns()
            assert [task.result() for task in getters] == [0, 1, 2]
            assert not queue._getters
            queue.put_nowait(0)
            putters = [asyncio.create_task(queue.put(number)) for number in (1, 2, 3)]
            await turns()
            assert [task._fut_waiter for task in putters] == list(queue._putters)
            putters[1].cancel()
            await turns()
            assert len(queue._putters) == 2
            assert [await queue.get() for _ in range(3)] == [0, 1, 3]

        run(main)

    def test_waiters_of_others(self, impl, run):
        async def main():
            queue = filled(impl.Queue, [1], maxsize=1)
            done, mine = (asyncio.get_running_loop().create_future() for _ in range(2))
            done.set_result("done")
            queue._putters.extend([done, mine])
            queue.get_nowait()
            assert mine.result() is None
            assert not queue._putters
            queue._getters = waiters = collections.deque()
            getter = asyncio.create_task(queue.get())
            await turns()
            assert len(waiters) == 1
            queue.put_nowait("item")
            assert await getter == "item"

        run(main)

    def test_the_loop(self, impl, run):
        async def main():
            queue = impl.Queue()
            assert queue._loop is None
            queue.put_nowait(1)
            await queue.get()
            assert queue._loop is None
            getter = asyncio.create_task(queue.get())
            await turns()
            assert queue._loop is asyncio.get_running_loop()
            assert queue._get_loop() is queue._loop
            queue.put_nowait(1)
            await getter

        run(main)

    def test_another_loop(self, impl, make_loop):
        first, second = make_loop(), make_loop()
        queue = impl.Queue()

        async def wait():
            await asyncio.wait_for(queue.get(), 0.001)

        with pytest.raises(TimeoutError):
            first.run_until_complete(wait())
        with pytest.raises(RuntimeError, match=re.escape(f"{queue!r} is bound to a different event loop")):
            second.run_until_complete(wait())
        assert not queue._getters


class TestSubclasses:
    def test_another_container(self, impl, run):
        class Unique(impl.Queue):
            def _init(self, maxsize):
                self.made_for = maxsize
                self._queue = set()

            def _put(self, item):
                self._queue.add(item)

            def _get(self):
                return self._queue.pop()

        async def main():
            queue = Unique(2)
            assert queue.made_for == 2
            await queue.put("a")
            await queue.put("a")
            assert (queue.qsize(), queue.full(), queue._unfinished_tasks) == (1, False, 2)
            assert str(queue) == "<Unique maxsize=2 _queue=['a'] tasks=2>"
            await queue.put("b")
            waiting = asyncio.create_task(queue.put("c"))
            await turns()
            assert queue.full()
            taken = {await queue.get() for _ in range(3)}
            await waiting
            assert taken == {"a", "b", "c"}

        run(main)

    def test_a_container_of_its_own_name(self, impl, run):
        class Buckets(impl.Queue):
            def _init(self, maxsize):
                self.buckets = collections.defaultdict(list)

            def _put(self, item):
                self.buckets[item[0]].append(item)

            def _get(self):
                key = min(self.buckets)
                item = self.buckets[key].pop()
                if not self.buckets[key]:
                    del self.buckets[key]
                return item

            def qsize(self):
                return sum(map(len, self.buckets.values()))

            def empty(self):
                return not self.buckets

        async def main():
            queue = Buckets(3)
            assert str(queue) == "<Buckets maxsize=3>"
            with pytest.raises(AttributeError, match="'Buckets' object has no attribute '_queue'"):
                impl.Queue.qsize(queue)
            for item in ("b1", "a1", "a2"):
                queue.put_nowait(item)
            assert queue.full()
            waiting = asyncio.create_task(queue.put("c1"))
            assert [await queue.get() for _ in range(4)] == ["a2", "a1", "b1", "c1"]
            await waiting
            getter = asyncio.create_task(queue.get())
            await turns()
            queue.put_nowait("z")
            assert await getter == "z"

        run(main)

    def test_extending_the_native_hooks(self, kind, run):
        calls = []

        class Counting(kind):
            def _init(self, maxsize):
                calls.append(("init", maxsize))
                super()._init(maxsize)

            def _put(self, item):
                calls.append(("put", item))
                super()._put(item)

            def _get(self):
                item = super()._get()
                calls.append(("get", item))
                return item

        async def main():
            queue = Counting(4)
            await queue.put(1)
            queue.put_nowait(2)
            got = [await queue.get(), queue.get_nowait()]
            assert sorted(got) == [1, 2]
            assert calls == [("init", 4), ("put", 1), ("put", 2), ("get", got[0]), ("get", got[1])]

        run(main)

    def test_every_step_goes_by_name(self, impl, run):
        calls = []

        def traced(name):
            method = getattr(impl.Queue, name)

            def call(self, *args):
                calls.append(name)
                return method(self, *args)

            return call

        names = ["put", "get", "put_nowait", "get_nowait", "full", "empty", "qsize", "_put", "_get"]
        names += ["_wakeup_next", "_get_loop"]
        Traced = type("Traced", (impl.Queue,), {name: traced(name) for name in names})

        def told():
            result = list(calls)
            calls.clear()
            return result

        async def main():
            queue = Traced(1)
            await queue.put(1)
            assert told() == [
                *("put", "full", "qsize", "put_nowait", "full", "qsize", "_put", "_wakeup_next"),
            ]
            putter = asyncio.create_task(queue.put(2))
            await turns()
            assert told() == ["put", "full", "qsize", "_get_loop"]
            putter.cancel()
            await turns()
            assert told() == ["full", "qsize"]
            assert await queue.get() == 1
            assert told() == ["get", "empty", "get_nowait", "empty", "_get", "_wakeup_next"]
            getters = [asyncio.create_task(queue.get()) for _ in range(2)]
            await turns()
            assert told() == ["get", "get", *["empty", "_get_loop"] * 2]
            queue.put_nowait(3)
            getters[0].cancel()
            told()
            await turns()
            # The one that was woken passes the call on.
            assert told()[:2] == ["empty", "_wakeup_next"]
            assert await getters[1] == 3
            with pytest.raises(asyncio.CancelledError):
                await getters[0]
            told()
            assert repr(queue)
            queue.task_done()
            queue.task_done()
            await queue.join()
            assert told() == []

        run(main)

    def test_methods_of_the_class_replaced_later(self, impl):
        class Changing(impl.Queue):
            pass

        queue = filled(Changing, [1], maxsize=1)
        assert queue.full()
        Changing.full = lambda self: False
        queue.put_nowait(2)
        Changing._get = lambda self: "changed"
        assert queue.get_nowait() == "changed"
        del Changing.full, Changing._get
        with pytest.raises(impl.QueueFull):
            queue.put_nowait(3)
        assert drain(queue) == [1, 2]

    @pytest.mark.parametrize("name", KINDS)
    def test_methods_of_the_original_replaced(self, impl, name, monkeypatch):
        kind = getattr(impl, name)
        queue = filled(kind, [1])
        monkeypatch.setattr(kind, "empty", lambda self: True)
        with pytest.raises(impl.QueueEmpty):
            queue.get_nowait()
        with pytest.raises(impl.QueueEmpty):
            filled(kind, [1]).get_nowait()
        monkeypatch.undo()
        assert queue.get_nowait() == 1

    def test_methods_of_an_instance_replaced(self, kind, run):
        async def main():
            queue = kind()
            with unittest.mock.patch.object(queue, "put_nowait") as put_nowait:
                await queue.put(1)
            put_nowait.assert_called_once_with(1)
            assert queue.empty()
            queue.__dict__["_put"] = lambda item: kind._put(queue, item * 2)
            await queue.put(1)
            assert drain(queue) == [2]
            del queue._put
            await queue.put(1)
            assert drain(queue) == [1]

        run(main)

    def test_put_and_get_around_the_native_ones(self, impl, run):
        class Sealed(impl.Queue):
            async def put(self, item):
                await super().put(("sealed", item))

            async def get(self):
                _, item = await super().get()
                return item

            def get_nowait(self):
                self.seen = True
                return super().get_nowait()

        async def main():
            queue = Sealed(1)
            getter = asyncio.create_task(queue.get())
            await turns()
            await queue.put(1)
            assert await getter == 1
            assert queue.seen

        run(main)

    def test_put_returns_what_put_nowait_returns(self, impl, run):
        class Telling(impl.Queue):
            def put_nowait(self, item):
                super().put_nowait(item)
                return "told"

        async def main():
            assert await Telling().put(1) == "told"

        run(main)

    def test_the_container_as_a_property(self, impl):
        class Elsewhere(impl.Queue):
            @property
            def _queue(self):
                return self.elsewhere

            @_queue.setter
            def _queue(self, container):
                self.elsewhere = container

        queue = filled(Elsewhere, [1, 2])
        assert list(queue.elsewhere) == [1, 2]
        assert (queue.qsize(), queue.empty()) == (2, False)
        assert drain(queue) == [1, 2]

    def test_several_bases(self, impl):
        class Mixed(impl.LifoQueue, impl.PriorityQueue):
            pass

        queue = filled(Mixed, [1, 3, 2])
        assert drain(queue) == [2, 3, 1]

    def test_without_the_base_class_being_initialised(self, impl):
        class Careless(impl.Queue):
            def __init__(self):
                pass

        with pytest.raises(AttributeError):
            Careless().qsize()

    def test_errors_of_hooks_leave_the_queue_as_it_was(self, impl, run):
        class Picky(impl.Queue):
            def _put(self, item):
                if item is None:
                    raise ValueError("nothing to put")
                super()._put(item)

        async def main():
            queue = Picky()
            getter = asyncio.create_task(queue.get())
            await turns()
            with pytest.raises(ValueError, match="nothing to put"):
                await queue.put(None)
            assert queue._unfinished_tasks == 0
            assert not getter.done()
            await queue.put(1)
            assert await getter == 1

        run(main)

    def test_heap_functions_as_arguments(self, impl):
        class Greatest(impl.PriorityQueue):
            def _put(self, item):
                super()._put(-item, heapq.heappush)

            def _get(self):
                return -super()._get(heappop=heapq.heappop)

        assert drain(filled(Greatest, [1, 3, 2])) == [3, 2, 1]


class TestPriorities:
    def test_equal_items_leave_as_the_heap_has_them(self, impl):
        class Item:
            def __init__(self, priority, label):
                self.priority, self.label = priority, label

            def __lt__(self, other):
                return self.priority < other.priority

        source = random.Random(3)
        items = [Item(source.randrange(4), label) for label in range(200)]
        heap, queue = [], impl.PriorityQueue()
        for item in items:
            queue.put_nowait(item)
            heapq.heappush(heap, item)
        expected = [heapq.heappop(heap).label for _ in items]
        assert [item.label for item in drain(queue)] == expected

    def test_items_that_cannot_be_compared(self, impl):
        queue = filled(impl.PriorityQueue, [1])
        with pytest.raises(TypeError, match="'<' not supported between instances of 'str' and 'int'"):
            queue.put_nowait("a")
        # As with heapq, the item is in; but nobody counted it.
        assert (queue.qsize(), queue._unfinished_tasks) == (2, 1)

    def test_comparing_may_use_the_queue(self, impl):
        queue = impl.PriorityQueue()

        class Curious(int):
            def __lt__(self, other):
                assert queue.qsize()
                assert "Curious" not in repr(queue)
                assert other in queue._queue or self in queue._queue
                return int(self) < int(other)

        for number in (3, 1, 2):
            queue.put_nowait(Curious(number))
        assert drain(queue) == [1, 2, 3]


class TestCancellation:
    def test_a_getter_that_was_not_woken(self, kind, run):
        async def main():
            queue = kind()
            first, second = (asyncio.create_task(queue.get()) for _ in range(2))
            await turns()
            first.cancel()
            await turns()
            queue.put_nowait(1)
            assert await second == 1
            assert first.cancelled()
            assert not queue._getters

        run(main)

    def test_a_getter_that_was_woken_wakes_the_next(self, kind, run):
        async def main():
            queue = kind()
            first, second = (asyncio.create_task(queue.get()) for _ in range(2))
            await turns()
            queue.put_nowait(1)
            first.cancel()
            assert await second == 1
            assert first.cancelled()

        run(main)

    def test_a_getter_that_was_woken_for_an_item_that_is_gone(self, kind, run):
        async def main():
            queue = kind()
            first, second = (asyncio.create_task(queue.get()) for _ in range(2))
            await turns()
            queue.put_nowait(1)
            assert queue.get_nowait() == 1
            await turns()
            # It waits again, now behind the other.
            queue.put_nowait(2)
            assert await second == 2
            assert not first.done()
            queue.put_nowait(3)
            assert await first == 3

        run(main)

    def test_a_putter_that_was_not_woken(self, kind, run):
        async def main():
            queue = filled(kind, [0], maxsize=1)
            first, second = (asyncio.create_task(queue.put(number)) for number in (1, 2))
            await turns()
            first.cancel()
            await turns()
            assert len(queue._putters) == 1
            assert [await queue.get(), await queue.get()] == [0, 2]
            assert (first.cancelled(), await second) == (True, None)
            assert queue.empty()

        run(main)

    def test_a_putter_that_was_woken_wakes_the_next(self, kind, run):
        async def main():
            queue = filled(kind, [0], maxsize=1)
            first, second = (asyncio.create_task(queue.put(number)) for number in (1, 2))
            await turns()
            assert queue.get_nowait() == 0
            first.cancel()
            await second
            assert drain(queue) == [2]

        run(main)

    def test_cancelled_before_it_began(self, kind, run):
        async def main():
            queue = kind()
            getter = asyncio.create_task(queue.get())
            getter.cancel()
            await turns()
            assert getter.cancelled()
            assert not queue._getters

        run(main)

    @pytest.mark.parametrize("looked_at", [False, True], ids=["unseen", "seen"])
    def test_closing_a_coroutine_that_waits(self, kind, run, looked_at):
        async def main():
            queue = kind()
            coroutine = queue.get()
            waiter = coroutine.send(None)
            assert asyncio.isfuture(waiter)
            if looked_at:
                assert list(queue._getters) == [waiter]
            coroutine.close()
            assert waiter.cancelled()
            assert not queue._getters
            other = asyncio.create_task(queue.get())
            await turns()
            queue.put_nowait(1)
            assert await other == 1

        run(main)

    def test_an_exception_thrown_in(self, kind, run):
        async def main():
            queue = kind()
            first, second = queue.get(), asyncio.create_task(queue.get())
            waiter = first.send(None)
            await turns()
            queue.put_nowait(1)
            assert waiter.done()
            with pytest.raises(ZeroDivisionError):
                first.throw(ZeroDivisionError())
            assert await second == 1

        run(main)

    def test_a_waiter_that_others_cancel(self, kind, run):
        async def main():
            queue = kind()
            getter = asyncio.create_task(queue.get())
            await turns()
            queue._getters[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await getter
            queue.put_nowait(1)
            assert queue.get_nowait() == 1

        run(main)

    def test_time_limits_lose_nothing(self, kind, run):
        async def main():
            queue, got = kind(2), []

            async def consume():
                while True:
                    try:
                        got.append(await asyncio.wait_for(queue.get(), 0.0001))
                    except TimeoutError:
                        continue
                    queue.task_done()

            consumers = [asyncio.create_task(consume()) for _ in range(3)]
            for number in range(200):
                await queue.put(number)
                if number % 7 == 0:
                    await asyncio.sleep(0.0002)
            await queue.join()
            for consumer in consumers:
                consumer.cancel()
            await asyncio.wait(consumers)
            # A task that was cancelled at the very moment of its success keeps what it got to itself: that is
            # wait_for's affair. Here every item was worked on.
            assert sorted(got) == list(range(200))

        run(main)

    @pytest.mark.parametrize("seed", range(15))
    def test_no_item_and_no_wake_up_is_lost(self, kind, run, seed):
        """Producers and consumers, cancelled at random moments, put and get everything exactly once."""

        async def main():
            source = random.Random(seed)
            queue = kind(source.choice([0, 1, 2, 3]))
            numbers = itertools.count()
            put, got, tasks = [], [], []

            async def produce():
                item = next(numbers)
                await queue.put(item)
                put.append(item)

            async def consume():
                got.append(await queue.get())

            for _ in range(300):
                action = source.randrange(6)
                if action <= 1:
                    tasks.append(asyncio.create_task(produce()))
                elif action <= 3:
                    tasks.append(asyncio.create_task(consume()))
                elif action == 4 and tasks:
                    tasks.pop(source.randrange(len(tasks))).cancel()
                else:
                    await turns(source.randrange(4))
            await turns(100)
            # Nobody waits who could go on.
            assert queue.empty() or not queue._getters
            assert not queue._putters or queue.full()
            for task in tasks:
                task.cancel()
            await turns()
            assert not queue._getters
            assert not queue._putters
            assert sorted(got + drain(queue)) == sorted(put)

        run(main)


class TestJoin:
    def test_all_who_wait_are_woken(self, kind, run):
        async def main():
            queue = filled(kind, [1, 2])
            joined = [asyncio.create_task(queue.join()) for _ in range(3)]
            await turns()
            queue.task_done()
            await turns()
            assert not any(task.done() for task in joined)
            queue.task_done()
            assert [await task for task in joined] == [None] * 3
            assert await queue.join() is None

        run(main)

    def test_taking_is_not_finishing(self, kind, run):
        async def main():
            queue = filled(kind, [1])
            queue.get_nowait()
            joined = asyncio.create_task(queue.join())
            await turns()
            assert not joined.done()
            queue.put_nowait(2)
            queue.task_done()
            await turns()
            assert not joined.done()
            queue.task_done()
            await joined

        run(main)

    def test_cancelled(self, kind, run):
        async def main():
            queue = filled(kind, [1])
            first, second = (asyncio.create_task(queue.join()) for _ in range(2))
            await turns()
            first.cancel()
            await turns()
            queue.task_done()
            await second
            assert first.cancelled()

        run(main)

    def test_finished_more_often_than_put(self, kind):
        queue = kind()
        with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
            queue.task_done()


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="since 3.13 there is")
def test_there_is_no_shutdown(kind):
    assert not hasattr(kind(), "shutdown")
    assert not hasattr(kind(), "_is_shutdown")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")
class TestShutdown:
    def test_getters_and_putters_are_let_go(self, impl, kind, run):
        async def main():
            queue = kind(1)
            getters = [asyncio.create_task(queue.get()) for _ in range(2)]
            await turns()
            queue.shutdown()
            for getter in getters:
                with pytest.raises(impl.QueueShutDown):
                    await getter
            queue = filled(kind, [1], maxsize=1)
            putters = [asyncio.create_task(queue.put(number)) for number in (2, 3)]
            await turns()
            queue.shutdown()
            for putter in putters:
                with pytest.raises(impl.QueueShutDown):
                    await putter
            assert await queue.get() == 1
            with pytest.raises(impl.QueueShutDown):
                await queue.get()
            for call in (queue.get_nowait, lambda: queue.put_nowait(1)):
                with pytest.raises(impl.QueueShutDown):
                    call()
            with pytest.raises(impl.QueueShutDown):
                await queue.put(1)

        run(main)

    def test_what_is_in_can_still_be_had(self, kind, run):
        async def main():
            queue = filled(kind, [1, 2])
            queue.shutdown()
            assert queue._is_shutdown is True
            assert str(queue).endswith(" tasks=2 shutdown>")
            assert sorted([await queue.get(), queue.get_nowait()]) == [1, 2]
            joined = asyncio.create_task(queue.join())
            await turns()
            assert not joined.done()
            queue.task_done()
            queue.task_done()
            await joined

        run(main)

    def test_at_once(self, impl, kind, run):
        async def main():
            queue = filled(kind, [1, 2, 3])
            queue.get_nowait()
            joined = asyncio.create_task(queue.join())
            await turns()
            queue.shutdown(immediate=True)
            assert (queue.qsize(), queue._unfinished_tasks) == (0, 1)
            with pytest.raises(impl.QueueShutDown):
                await queue.get()
            await turns()
            assert not joined.done()
            queue.task_done()
            await joined

        run(main)

    def test_at_once_by_the_hooks_of_a_subclass(self, impl):
        dropped = []

        class Telling(impl.Queue):
            def _get(self):
                dropped.append(super()._get())

        queue = filled(Telling, [1, 2])
        queue.shutdown(True)
        assert dropped == [1, 2]
        assert queue._finished.is_set()

    def test_waiters_that_somebody_looked_at(self, impl, run):
        async def main():
            queue = impl.Queue()
            getters = [asyncio.create_task(queue.get()) for _ in range(2)]
            await turns()
            assert len(queue._getters) == 2
            queue.shutdown()
            assert not queue._getters
            results = await asyncio.gather(*getters, return_exceptions=True)
            assert [type(result) for result in results] == [impl.QueueShutDown] * 2

        run(main)


class TestLifetime:
    def test_items_are_let_go(self, kind):
        class Item:
            def __lt__(self, other):
                return False

        items = [Item() for _ in range(5)]
        alive = [weakref.ref(item) for item in items]
        queue = filled(kind, items)
        del items
        got = queue.get_nowait()
        assert sum(ref() is not None for ref in alive) == 5
        del got
        assert sum(ref() is not None for ref in alive) == 4
        del queue
        assert not any(ref() for ref in alive)

    @pytest.mark.parametrize("looked_at", [False, True], ids=["unseen", "seen"])
    def test_cycles_are_collected(self, kind, looked_at):
        queue = kind()
        queue.put_nowait(queue)
        if looked_at:
            assert queue._queue
        alive = weakref.ref(queue)
        del queue
        gc.collect()
        assert alive() is None

    def test_cycles_through_waiters_are_collected(self, impl, run):
        async def main():
            queue = impl.Queue()
            coroutine = queue.get()
            coroutine.send(None)
            queue.mine = coroutine
            alive = weakref.ref(queue)
            del queue, coroutine
            gc.collect()
            assert alive() is None

        run(main)

    def test_a_coroutine_never_awaited(self, kind):
        queue = kind()
        for call in (queue.get, lambda: queue.put(1), queue.join):
            with pytest.warns(RuntimeWarning, match=r"coroutine 'Queue\.\w+' was never awaited"):
                call()
                gc.collect()
        assert queue.empty()

    @pytest.mark.parametrize("looked_at", [False, True], ids=["unseen", "seen"])
    def test_no_growth(self, kind, run, looked_at):
        async def main():
            there, back = kind(1), kind()
            if looked_at:
                assert not any([there._queue, there._getters, there._putters, back._queue, back._getters])

            async def answers():
                while True:
                    back.put_nowait(await there.get())
                    there.task_done()

            async def exchange(count):
                for number in range(count):
                    await there.put(number)
                    impatient = asyncio.create_task(back.get())
                    await asyncio.sleep(0)
                    impatient.cancel()
                    await asyncio.wait([impatient])
                    if not impatient.cancelled():
                        continue
                    await back.get()

            other = asyncio.create_task(answers())
            await exchange(200)
            gc.collect()
            before = len(gc.get_objects())
            await exchange(2_000)
            gc.collect()
            growth = len(gc.get_objects()) - before
            other.cancel()
            await asyncio.wait([other])
            assert growth < 100

        run(main)

    def test_references_of_an_item(self, kind, run):
        async def main():
            queue, item = kind(), ("an", "item")
            before = sys.getrefcount(item)
            for _ in range(1_000):
                await queue.put(item)
                assert await queue.get() is item
                queue.put_nowait(item)
                assert queue.get_nowait() is item
            assert sys.getrefcount(item) == before

        run(main)

    @pytest.mark.parametrize("held", [False, True], ids=["dropped", "held"])
    def test_an_item_that_was_handed_over_is_let_go(self, kind, run, held):
        class Item:
            pass

        async def main():
            queue = kind()
            for wait in (False, True):
                if not wait:
                    queue.put_nowait(Item())
                else:
                    asyncio.get_running_loop().call_soon(lambda: queue.put_nowait(Item()))
                coroutines = [queue.get()]
                item = await (coroutines[0] if held else coroutines.pop())
                alive = weakref.ref(item)
                del item
                assert alive() is None

        run(main)

    def test_the_exception_that_hands_an_item_over(self, impl, run):
        async def main():
            queue = filled(impl.Queue, [("a", 1), ("b", 2), ("c", 3)])
            with pytest.raises(StopIteration) as first:
                queue.get().send(None)
            with pytest.raises(StopIteration) as second:
                next(iter(queue.get().__await__()))
            assert await queue.get() == ("c", 3)
            for caught, item in ((first, ("a", 1)), (second, ("b", 2))):
                assert type(caught.value) is StopIteration
                assert caught.value.value == item
                assert caught.value.args == (item,)

        run(main)

    def test_items_that_look_like_something_else(self, kind, run):
        async def main():
            queue = kind()
            for item in ((1, 2), StopIteration(3), ValueError("a value"), None, True, StopIteration):
                await queue.put(item)
                assert await queue.get() is item

        run(main)
