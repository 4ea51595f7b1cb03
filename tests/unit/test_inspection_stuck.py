"""`yibu.ps()` names tasks that wait in a circle through queues, events and conditions, and no tasks
that other code can wake."""

import asyncio
import functools
import gc
import signal
import threading

import pytest
import yibu
from yibu.inspection.reach import Reach
from yibu.inspection.wakers import Wakers

from tests.unit.stuck import tree_of

pytestmark = [pytest.mark.yibu_only, pytest.mark.usefixtures("without_threads_of_the_tests")]


@pytest.fixture(params=["native", "stock primitives"])
def aio(request):
    """What the tasks wait with: yibu's primitives, or the standard library's on yibu's loop."""
    return yibu if request.param == "native" else asyncio


def start(coroutine, name=None):
    return asyncio.get_running_loop().create_task(coroutine, name=name or coroutine.__name__)


def problems(function, kind="deadlock"):
    """Run the function as a task; the problems of a kind that are seen when all wait."""
    return [problem for problem in tree_of(function, "outer").problems if problem.kind == kind]


def words(function):
    found = problems(function)
    assert not any(problem.certain for problem in found)
    return [problem.words for problem in found]


class TestCircles:
    def test_a_consumer_that_waits_for_the_producer(self, aio):
        async def outer():
            queue = aio.Queue()

            async def producer():
                queue.put_nowait(1)
                await queue.join()

            async def consumer(awaited):
                await queue.get()
                await awaited
                queue.task_done()

            first = start(producer())
            await aio.wait([first, start(consumer(first))])

        assert words(outer) == [
            (
                "'consumer' waits for 'producer' (result of task 'producer'); "
                "'producer' waits for 'consumer' (Queue to be worked off, 1 item left)"
            )
        ]

    def test_by_a_chain(self, aio):
        async def outer():
            queue, lock = aio.Queue(), aio.Lock()

            async def producer():
                async with lock:
                    queue.put_nowait(1)
                    await queue.join()

            async def writer():
                async with lock:
                    pass

            async def consumer():
                await queue.get()
                await start(writer())
                queue.task_done()

            await aio.gather(start(producer()), start(consumer()))

        assert words(outer) == [
            (
                "'consumer' waits for 'writer' (result of task 'writer'); 'writer' waits for a Lock held by "
                "'producer'; 'producer' waits for 'consumer' (Queue to be worked off, 1 item left)"
            )
        ]

    def test_task_done_was_forgotten(self, aio):
        async def outer():
            queue = aio.Queue()

            async def consumer():
                while True:
                    await queue.get()

            task = start(consumer())
            queue.put_nowait(1)
            await queue.join()
            task.cancel()

        assert words(outer) == [
            (
                "'consumer' waits for 'outer' (Queue empty); "
                "'outer' waits for 'consumer' (Queue to be worked off, 1 item left)"
            )
        ]

    def test_the_consumer_has_ended(self, aio):
        async def outer():
            queue = aio.Queue()

            async def consumer():
                await queue.get()

            task = start(consumer())
            queue.put_nowait(1)
            await task
            await queue.join()

        (found,) = words(outer)
        assert found == "'outer' waits for a Queue to be worked off, 1 item left, and nobody takes from it"

    def test_two_events(self, aio):
        async def outer():
            first, second = aio.Event(), aio.Event()

            async def one():
                await first.wait()
                second.set()

            async def two():
                await second.wait()
                first.set()

            async with aio.TaskGroup() as group:
                group.create_task(one(), name="one")
                group.create_task(two(), name="two")

        (found,) = words(outer)
        assert found == "'one' waits for 'two' (Event to be set); 'two' waits for 'one' (Event to be set)"

    def test_objects_with_methods(self, aio):
        class Stage:
            def __init__(self):
                self.queue = aio.Queue(1)
                self.following = None

            async def run(self):
                while True:
                    await self.following.queue.put(await self.queue.get())
                    await self.following.queue.put(None)

        async def outer():
            one, two = Stage(), Stage()
            one.following, two.following = two, one
            one.queue.put_nowait(1)
            two.queue.put_nowait(2)
            await aio.gather(start(one.run(), "one"), start(two.run(), "two"))

        assert words(outer) == [
            "'one' waits for 'two' (Queue full (1 item)); 'two' waits for 'one' (Queue full (1 item))"
        ]

    def test_a_condition(self, aio):
        async def outer():
            condition = aio.Condition()

            async def notifies(awaited):
                await awaited
                async with condition:
                    condition.notify_all()

            async def waits():
                async with condition:
                    await condition.wait()

            first = start(waits())
            await aio.gather(first, start(notifies(first)))

        assert words(outer) == [
            (
                "'notifies' waits for 'waits' (result of task 'waits'); "
                "'waits' waits for 'notifies' (Condition to be notified)"
            )
        ]


class TestOthersCanWake:
    """A consumer that waits for the task that joins: a circle, unless other code may call `task_done()`."""

    def circle(self, aio, arranged):
        async def outer():
            queue = aio.Queue()

            async def producer():
                queue.put_nowait(1)
                await queue.join()

            async def consumer(awaited):
                await queue.get()
                await awaited

            undo = await arranged(queue)
            try:
                first = start(producer())
                await aio.wait([first, start(consumer(first))])
            finally:
                undo()

        return words(outer)

    def test_no_other_code(self, aio):
        async def arranged(queue):
            return lambda: None

        assert len(self.circle(aio, arranged)) == 1

    def test_a_task(self, aio):
        async def arranged(queue):
            async def acknowledges():
                await asyncio.sleep(100)
                queue.task_done()

            return start(acknowledges()).cancel

        assert not self.circle(aio, arranged)

    def test_a_task_that_only_looks(self, aio):
        async def arranged(queue):
            async def looks():
                while True:
                    await asyncio.sleep(100)
                    print(queue.qsize())

            return start(looks()).cancel

        assert len(self.circle(aio, arranged)) == 1

    def test_the_callback_of_a_task(self, aio):
        async def arranged(queue):
            task = start(asyncio.sleep(100), "handler")
            task.add_done_callback(lambda _task: queue.task_done())
            return task.cancel

        assert not self.circle(aio, arranged)

    def test_a_timer(self, aio):
        async def arranged(queue):
            return asyncio.get_running_loop().call_later(100, functools.partial(queue.task_done)).cancel

        assert not self.circle(aio, arranged)

    def test_a_signal(self, aio):
        async def arranged(queue):
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, queue.task_done)
            return lambda: loop.remove_signal_handler(signal.SIGUSR1)

        assert not self.circle(aio, arranged)

    def test_a_thread(self, aio):
        async def arranged(queue):
            loop, over = asyncio.get_running_loop(), threading.Event()

            def work(acknowledge):
                over.wait()
                if not loop.is_closed():
                    loop.call_soon_threadsafe(acknowledge)

            thread = threading.Thread(target=work, args=(queue.task_done,))
            thread.start()

            def undo():
                queue._unfinished_tasks += 1  # for the call that comes now
                over.set()
                thread.join()

            return undo

        assert not self.circle(aio, arranged)

    def test_a_job_of_the_executor(self, aio):
        async def arranged(queue):
            over = threading.Event()
            job = asyncio.get_running_loop().run_in_executor(None, over.wait)
            job.add_done_callback(lambda _job: queue.task_done())

            def undo():
                queue._unfinished_tasks += 1  # for the call that comes now
                over.set()

            return undo

        assert not self.circle(aio, arranged)

    def test_a_protocol(self, aio):
        async def arranged(queue):
            class Protocol(asyncio.DatagramProtocol):
                def datagram_received(self, data, address):
                    queue.task_done()

            loop = asyncio.get_running_loop()
            transport, _protocol = await loop.create_datagram_endpoint(Protocol, ("127.0.0.1", 0))
            return transport.close

        assert not self.circle(aio, arranged)


def test_waiting_for_ever_is_no_deadlock(aio):
    async def outer():
        stop, queue = aio.Event(), aio.Queue()

        async def consumer():
            while True:
                await queue.get()

        task = start(consumer())
        await stop.wait()
        task.cancel()

    assert not words(outer)


def test_a_periodic_report_is_no_time_limit(aio):
    async def outer():
        lock = aio.Lock()

        async def twice():
            async with lock, lock:
                pass

        task = start(twice())

        def report(tasks):
            for one in tasks:
                print(one.get_name(), one.done())

        timer = asyncio.get_running_loop().call_later(100, report, [task])
        try:
            await task
        finally:
            timer.cancel()

    assert len(problems(outer)) == 1


def test_a_timer_that_ends_the_waiting_by_an_attribute(aio):
    class Job:
        def abort(self):
            self.task.cancel()

    async def outer():
        lock, job = aio.Lock(), Job()

        async def twice():
            async with lock, lock:
                pass

        job.task = start(twice())
        timer = asyncio.get_running_loop().call_later(100, job.abort)
        try:
            await job.task
        finally:
            timer.cancel()

    assert not problems(outer)


def test_nothing_is_kept_of_what_was_looked_at(aio):
    async def outer():
        await aio.gather(aio.Event().wait(), aio.Queue().get())

    gc.collect()
    gc.disable()
    try:
        problems(outer)
        assert not [one for one in gc.get_objects() if type(one) is Reach]
    finally:
        gc.enable()


class TestDropped:
    async def sleeper(self):
        await yibu.sleep(100)

    def named(self, function):
        return [problem.words for problem in problems(function, "lost")]

    @pytest.mark.parametrize("count", [1, 3])
    def test_gather(self, count):
        async def outer():
            yibu.gather(*(start(self.sleeper(), f"child {number}") for number in range(count)))
            await yibu.sleep(100)

        children = {1: "task 'child 0'", 3: "tasks 'child 0', 'child 1' and 'child 2'"}[count]
        assert [words.partition(":")[0] for words in self.named(outer)] == [
            f"nobody awaits the gather() of {children}, and nothing refers to it"
        ]

    def test_shield(self):
        async def outer():
            yibu.shield(start(self.sleeper(), "child"))
            await yibu.sleep(100)

        (found,) = self.named(outer)
        assert found.startswith("nobody awaits the shield() of task 'child', and")

    @pytest.mark.parametrize(
        ("name", "make"),
        [
            ("gather", lambda child: yibu.gather(yibu.gather(child("a"), child("b")), child("c"))),
            ("gather", lambda child: yibu.gather(yibu.shield(child("a")), child("b"), child("c"))),
            ("shield", lambda child: yibu.shield(yibu.gather(child("a"), child("b"), child("c")))),
            ("shield", lambda child: yibu.shield(yibu.shield(yibu.gather(*map(child, "abc"))))),
        ],
    )
    def test_one_within_another(self, name, make):
        async def outer():
            make(lambda child: start(self.sleeper(), child))
            await yibu.sleep(100)

        (found,) = self.named(outer)
        assert found.startswith(f"nobody awaits the {name}() of tasks 'a', 'b' and 'c', and nothing refers")

    @pytest.mark.parametrize("how", ["kept", "awaited", "a callback"])
    def test_one_within_another_that_is_not_dropped(self, how):
        async def outer():
            within = yibu.gather(self.sleeper(), yibu.shield(self.sleeper()))
            around = yibu.shield(yibu.gather(within, self.sleeper()))
            del within
            if how == "awaited":
                await around
            elif how == "a callback":
                around.add_done_callback(lambda future: future.cancelled())
                del around
            await yibu.sleep(100)

        assert not self.named(outer)

    def test_what_is_kept(self):
        async def outer():
            kept = yibu.gather(self.sleeper(), self.sleeper()), yibu.shield(self.sleeper())
            task = start(self.sleeper())
            yibu.gather(task)
            yibu.gather(self.sleeper()).add_done_callback(lambda future: future.cancelled())
            try:
                await yibu.gather(self.sleeper(), yibu.shield(self.sleeper()))
            finally:
                for future in kept:
                    future.cancel()
                del kept

        assert not self.named(outer)


def test_a_crowd_is_looked_at_once(aio, monkeypatch):
    """Thousands of stuck tasks that wait for the same: what they can reach is searched once for each."""
    made = []
    monkeypatch.setattr(Reach, "go", lambda self, go=Reach.go: (made.append(self), go(self)))

    async def outer():
        queue = aio.Queue()

        async def consumer():
            await queue.get()

        async with aio.TaskGroup() as group:
            for _ in range(500):
                group.create_task(consumer())

    assert len(words(outer)) == 1
    assert len(made) <= 510


def test_each_task_of_a_chain_is_freed_once(aio, monkeypatch):
    """From one end of a pipeline to the other, whose first stage waits for the time."""
    freed = []

    def add_free(self, indexes, add_free=Wakers.add_free):
        freed.extend(indexes)
        return add_free(self, indexes)

    monkeypatch.setattr(Wakers, "add_free", add_free)

    async def outer():
        queues = [aio.Queue() for _ in range(50)]

        async def source():
            await aio.sleep(100)
            queues[0].put_nowait(1)

        async def stage(number):
            queues[number].put_nowait(await queues[number - 1].get())

        async def after(task):
            await task

        async with aio.TaskGroup() as group:
            group.create_task(source())
            last = [group.create_task(stage(number)) for number in range(1, 50)][-1]
            for _ in range(50):
                last = group.create_task(after(last))

    assert not problems(outer)
    assert len(freed) == len(set(freed)) <= 101


class Sullen:
    """Objects of it say nothing of their class."""

    @property
    def __class__(self):
        raise RuntimeError("class")


def test_objects_that_raise_when_they_are_asked_for_their_class(aio):
    async def outer():
        sullen = [Sullen()]
        queues = [aio.Queue(), aio.Queue()]

        async def move(source, target):
            target.put_nowait((await source.get(), sullen))

        await aio.gather(start(move(*queues), "forth"), start(move(*reversed(queues)), "back"))

    (found,) = words(outer)
    assert found == "'back' waits for 'forth' (Queue empty); 'forth' waits for 'back' (Queue empty)"
