"""What is shown of a process beside its tasks: locks, queues, connections, executors, blockages, metrics."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import dataclasses
import functools
import json
import os
import sys
import threading
import time
import types

import pytest
import yibu
from yibu.inspection import blockages, encoding, endpoints, executors, growing, observed, parts, probe
from yibu.inspection.breath import Breath
from yibu.inspection.descriptions import PACKAGE, Frame
from yibu.inspection.parts import ExecutorDescription, WorkerDescription
from yibu.inspection.sampling import Samples
from yibu.observing import recent

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(60)]


async def look(*, probing=False):
    """What another thread sees of this process, after it went through JSON."""
    tree = await asyncio.to_thread(observed.take, 0.05, Breath(), probing=probing)
    decoded = encoding.decode(json.loads(encoding.encode(tree)))
    assert decoded == tree
    return decoded


def names(tree, ids):
    by_id = {task.id: task.name for task in tree}
    return {by_id[one] for one in ids}


def written(address):
    host, port = address
    return f"{host}:{port}"


@pytest.fixture
def run():
    """Run a coroutine function on a loop of yibu's."""
    return yibu.run


class TestResources:
    def test_a_lock_with_its_holder_and_waiters(self, run):
        async def main():
            lock, leave = yibu.Lock(), yibu.Event()

            async def hold():
                async with lock:
                    await leave.wait()

            tasks = [yibu.create_task(hold(), name=name) for name in ("holder", "first", "second")]
            await yibu.sleep(0)
            tree = await look()
            leave.set()
            await yibu.wait(tasks)
            return tree

        tree = run(main())
        lock = next(one for one in tree.resources if one.kind == "lock")
        assert (lock.name, lock.waiting, lock.wanted) == ("Lock", 2, ("waiter",))
        assert names(tree, lock.waiters) == {"first", "second"}
        assert names(tree, lock.holders) == {"holder"}
        assert {one.kind for one in tree.resources} == {"lock", "event"}

    def test_queues(self, run):
        async def main():
            empty, full, used = yibu.Queue(), yibu.Queue(2), yibu.Queue()

            async def put():
                for number in range(3):
                    await full.put(number)

            async def use(queue):
                for number in range(5):
                    queue.put_nowait(number)
                await yibu.sleep(100)

            tasks = [
                yibu.create_task(empty.get(), name="getter"),
                yibu.create_task(put(), name="putter"),
                yibu.create_task(use(used), name="user"),
            ]
            await yibu.sleep(0)
            tree = await look()
            for task in tasks:
                task.cancel()
            await yibu.wait(tasks)
            return tree

        tree = run(main())
        queues = {one.items: one for one in tree.resources if one.kind == "queue"}
        assert queues[0].wanted == ("getter",) and names(tree, queues[0].waiters) == {"getter"}
        assert queues[2].wanted == ("putter",) and queues[2].limit == 2
        assert queues[5].waiting == 0 and queues[5].growth == 0
        assert names(tree, queues[5].users) >= {"user"}

    def test_ten_thousand_waiters_are_counted(self, run):
        async def main():
            queue = yibu.Queue()
            tasks = [yibu.create_task(queue.get()) for _ in range(300)]
            await yibu.sleep(0)
            tree = await look()
            for task in tasks:
                task.cancel()
            await yibu.wait(tasks)
            return tree

        queue = next(one for one in run(main()).resources if one.kind == "queue")
        assert queue.waiting == 300 and len(queue.waiters) == 100


PLACES = {
    "a variable": lambda queue: queue,
    "an attribute of one": lambda queue: types.SimpleNamespace(waiting=queue),
    "a dict": lambda queue: {"waiting": queue},
    "an attribute of an item": lambda queue: [types.SimpleNamespace(waiting=queue)],
}


class TestGrowingQueues:
    @pytest.mark.parametrize("where", PLACES)
    def test_that_only_a_module_names(self, run, where, monkeypatch):
        module = types.ModuleType("shop")
        module.__file__ = "/srv/shop.py"
        queue = yibu.Queue()
        module.orders = PLACES[where](queue)
        monkeypatch.setitem(sys.modules, "shop", module)

        async def sizes_after_more():
            for number in range(100):
                queue.put_nowait(number)
            return growing.sizes(lambda: None)

        (problem,) = growing.problems(run(sizes_after_more()), run(sizes_after_more()))
        assert problem.words.startswith(
            "a Queue has 200 items, 100 more than a moment ago; it is shop.orders"
        )


class TestConnections:
    def test_bytes_peers_and_what_waits(self, run):
        async def main():
            accepted = asyncio.get_running_loop().create_future()
            over = yibu.Event()

            async def serve(reader, writer):
                writer.write(await reader.readexactly(1000))
                await writer.drain()
                writer.transport.pause_reading()
                accepted.set_result(writer)
                await over.wait()
                writer.transport.abort()

            async with await yibu.start_server(serve, "127.0.0.1", 0) as server:
                host, port = server.sockets[0].getsockname()
                reader, writer = await yibu.open_connection(host, port)
                writer.write(b"x" * 1000)
                await reader.readexactly(1000)
                theirs = await accepted
                writer.transport.set_write_buffer_limits(high=1000)
                # More than any buffer of the kernel takes, and nobody reads it.
                writer.write(bytes(32 << 20))
                tree = await look()
                own = writer.get_extra_info("sockname")
                exposed = theirs.transport.get_extra_info("peername")
                writer.transport.abort()
                over.set()
                for one in (writer, theirs):
                    with contextlib.suppress(ConnectionError):
                        await one.wait_closed()
            return tree, (host, port), own, exposed

        tree, server, own, exposed = run(main())
        there = next(one for one in tree.connections if one.peer == written(own))
        here = next(one for one in tree.connections if one.peer == written(server))
        assert exposed == own
        assert (here.kind, here.local, here.protocol) == ("TCP", written(own), "StreamReaderProtocol")
        assert here.received == 1000 and here.sent > 1000 and here.reading
        assert here.unsent > here.high_water == 1000
        assert there.sent == 1000 and not there.reading and there.unsent == 0

    def test_datagrams_and_unix_sockets(self, run, tmp_path):
        async def main():
            loop = asyncio.get_running_loop()
            udp, _ = await loop.create_datagram_endpoint(yibu.DatagramProtocol, ("127.0.0.1", 0))
            path = str(tmp_path / "socket")

            async def serve(reader, writer):
                await reader.read()
                writer.close()

            async with await yibu.start_unix_server(serve, path):
                reader, writer = await yibu.open_unix_connection(path)
                tree = await look()
                writer.write_eof()
                await reader.read()
                writer.close()
            address = udp.get_extra_info("sockname")
            udp.close()
            return tree, address, path

        tree, address, path = run(main())
        udp = next(one for one in tree.connections if one.kind == "UDP")
        assert udp.local == written(address) and udp.peer == "" and udp.received is None
        assert repr(path) in {one.peer for one in tree.connections if one.kind == "Unix"}

    def test_closed_ones_are_not_shown(self, run):
        async def main():
            async with await yibu.start_server(
                lambda _reader, writer: writer.close(), "127.0.0.1", 0
            ) as server:
                reader, writer = await yibu.open_connection(*server.sockets[0].getsockname())
                await reader.read()
                writer.close()
                await writer.wait_closed()
                return await look()

        assert run(main()).connections == ()


def wait_for(event):
    event.wait()


def test_the_executor(run):
    async def main():
        loop = asyncio.get_running_loop()
        go_on, started = threading.Event(), threading.Semaphore(0)

        def work():
            started.release()
            wait_for(go_on)

        most = min(32, (os.cpu_count() or 1) + 4)
        jobs = [loop.run_in_executor(None, work) for _ in range(most + 2)]
        # Not in the executor, whose threads are all busy.
        seen = []

        def see():
            for _ in range(most):
                started.acquire()
            try:
                seen.append(observed.take(0.0, Breath()))
            finally:
                go_on.set()

        looking = threading.Thread(target=see)
        looking.start()
        await asyncio.gather(*jobs)
        looking.join()
        return seen[0], most

    tree, most = run(main())
    (executor,) = tree.executors
    assert (executor.threads, executor.queued) == (most, 2)
    (job,) = executor.jobs
    assert job.function.endswith("work") and (job.running, job.queued) == (most, 2)
    assert all(
        worker.frame.function in ("wait_for", "test_the_executor.<locals>.main.<locals>.work")
        for worker in executor.workers
    )


@pytest.mark.parametrize("how", ["alone", "in a context"])
def test_an_executor_whose_threads_are_all_in_c(run, how):
    """No frame of theirs is the program's, and none is idle."""
    go_on = threading.Lock()
    go_on.acquire()
    seen = []

    async def main():
        loop = yibu.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(2))
        jobs = []
        for _ in range(3):
            acquire = functools.partial(contextvars.Context().run, go_on.acquire)
            jobs.append(loop.run_in_executor(None, go_on.acquire if how == "alone" else acquire))

        def look():
            while not seen:
                tree = observed.take(0.01, Breath())
                seen[:] = [problem.words for problem in tree.problems if problem.kind == "full executor"]

        looking = threading.Thread(target=look)
        looking.start()
        while not seen:
            await yibu.sleep(0.01)
        looking.join()
        while jobs:
            go_on.release()  # one of them takes it
            _done, jobs = await yibu.wait(jobs, return_when=yibu.FIRST_COMPLETED)

    run(main())
    assert "1 job of the default executor waits, and all 2 threads of it stay where they are: 2 at" in seen[0]
    assert "acquire (" in seen[0]


def test_an_executor_that_takes_jobs_is_not_full():
    frame = Frame("work", "own.py", 1)
    pools = [
        ExecutorDescription(1, "x", 1, queued, (), (WorkerDescription("a", frame),)) for queued in (5, 4)
    ]
    assert executors.problems((pools[0],), (pools[1],)) == []
    assert len(executors.problems((pools[1],), (pools[0],))) == 1


@pytest.mark.parametrize("full", [True, False])
def test_an_executor_without_a_free_thread(run, full):
    """It is named while jobs wait and no thread moves on; busy threads alone are no problem."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(2))
        go_on = threading.Event()
        jobs = [loop.run_in_executor(None, wait_for, go_on) for _ in range(3 if full else 2)]
        seen = []

        def see():
            try:
                while True:
                    tree = observed.take(0.0, Breath())
                    frames = [worker.frame for worker in tree.executors[0].workers]
                    seen[:] = [problem.words for problem in tree.problems if problem.kind == "full executor"]
                    if seen or (not full and len(frames) == 2 and None not in frames):
                        break
            finally:
                go_on.set()

        looking = threading.Thread(target=see)
        looking.start()
        await asyncio.gather(*jobs)
        looking.join()
        return seen

    found = run(main())
    assert len(found) == full
    begin = (
        "1 job of the default executor waits, and all 2 threads of it stay where they are: 2 at wait_for ("
    )
    assert all(words.startswith(begin) for words in found)


def test_names_of_jobs():
    context = contextvars.copy_context()
    job = functools.partial(context.run, functools.partial(wait_for, None))
    assert endpoints.function_name(job) == "wait_for"
    assert endpoints.function_name(functools.partial(context.run)) == "Context.run"


class TestMetrics:
    def test_of_each_loop(self, run):
        async def main():
            await yibu.sleep(0.01)
            return await look()

        (loop,) = (one for one in run(main()).loops if one.thread)
        assert loop.metrics.steps > 0 and loop.metrics.functions is None and loop.lag is None

    def test_functions_while_somebody_observes(self, run):
        async def work():
            await yibu.sleep(0)

        async def main():
            with yibu.observe():
                await work()
                await yibu.create_task(work())
                return await look()

        (loop,) = (one for one in run(main()).loops if one.thread)
        assert any(function.name.endswith("work") for function in loop.metrics.functions)

    def test_how_late_a_loop_is(self, run):
        async def main():
            loop = asyncio.get_running_loop()
            assert probe.lag(id(loop)) is None
            probe.post()
            time.sleep(0.02)
            probe.post()  # the first one is still to run
            blocked = probe.lag(id(loop))
            await yibu.sleep(0)
            late = probe.lag(id(loop))
            tree = await look(probing=True)
            return blocked, late, next(one.lag for one in tree.loops if one.id == id(loop))

        blocked, late, fresh = run(main())
        assert 0.02 <= blocked <= late and fresh > 0


class TestBlockages:
    def test_are_kept(self, run):
        async def main():
            with yibu.watch(0.02, lambda blockage: None):
                await asyncio.create_task(block(), name="the blocker")
                while not any(one.over for one in recent.all_seen()):
                    await yibu.sleep(0.01)
                return await look()

        async def block():
            await yibu.sleep(0)
            time.sleep(0.2)

        recent._seen.clear()
        tree = run(main())
        blockage = tree.blockages[0]
        assert tree.watch_threshold == 0.02
        assert blockage.over and blockage.task == "the blocker" and blockage.seconds >= 0.02
        assert blockage.stack[-1].function.endswith("block")
        problem = next(one for one in tree.problems if one.kind == "blockages")
        assert f"block ({__file__}:" in problem.words
        assert "has blocked the loop once in the last minute" in problem.words
        assert "in task 'the blocker'" in problem.words

    def test_those_of_one_line_are_one_problem(self):
        frames = (Frame("main", "/srv/app.py", 3), Frame("sleep", "/usr/lib/python3.13/time.py", 1))
        first = parts.BlockageDescription(
            1, 1, time.time(), True, 0.25, "computes", "a", "MainThread", "", frames
        )
        others = [
            dataclasses.replace(first, number=2, seconds=0.5),
            dataclasses.replace(first, number=3, over=False),
            dataclasses.replace(first, number=4, when=time.time() - 1000),
        ]
        (problem,) = blockages.problems([first, *others])
        assert problem.words == (
            "main (/srv/app.py:3) has blocked the loop 2 times in the last minute, for up to 0.50 s "
            "in task 'a' (computes)"
        )

    def test_only_so_many(self):
        recent._seen.clear()
        loop = yibu.new_event_loop()
        blockage = yibu.observing.Blockage(
            loop, 0, False, 1.0, "computes", None, None, "MainThread", 1, (), None, 0.0, 0.0, None
        )
        for number in range(100):
            recent.note(dataclasses.replace(blockage, number=number))
        loop.close()
        assert [one.number for one in recent.all_seen()] == list(range(99, 69, -1))
        recent._seen.clear()

    def test_onlookers_watch_until_they_are_gone(self, monkeypatch):
        onlookers = blockages.Onlookers()
        assert blockages.threshold() is None
        onlookers.look()
        onlookers.look()
        assert blockages.threshold() == 0.1
        onlookers.leave_if_gone()
        assert blockages.threshold() == 0.1
        monkeypatch.setattr(blockages, "PATIENCE", -1.0)
        onlookers.leave_if_gone()
        assert blockages.threshold() is None

    def test_onlookers_leave_the_programs_own_watchdog(self):
        with yibu.watch(0.5, lambda blockage: None):
            onlookers = blockages.Onlookers()
            onlookers.look()
            assert blockages.threshold() == 0.5
            onlookers.leave()
            assert blockages.threshold() == 0.5


def test_what_a_loop_is_at_is_no_function_of_yibus():
    samples = Samples()
    own, native = Frame("main", "own.py", 1), Frame("LoopInternals.x", f"{PACKAGE}loop_internals.py", 2)
    samples._stacks[7] = (own, native)
    assert samples.stack_of(0, 7) == (own,)
