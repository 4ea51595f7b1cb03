"""`yibu.ps()` and `yibu.pstree()`: every task, what it waits for, who waits for it, and what is wrong."""

import asyncio
import contextlib
import dataclasses
import json
import re
import socket
import sys
import threading
import time

import pytest
import yibu
from yibu.inspection import encoding, snapshot
from yibu.inspection.sampling import Samples

pytestmark = pytest.mark.yibu_only


@pytest.fixture(params=["native", "stock primitives"])
def aio(request):
    """What the tasks wait with: yibu's primitives, or the standard library's on yibu's loop."""
    return yibu if request.param == "native" else asyncio


def look(aio, *coroutine_functions, turns=5):
    """Run each as a task of its own name until it waits; return the descriptions by name."""
    tree = see(*coroutine_functions, turns=turns)
    return {task.name: task for task in tree}


def see(*coroutine_functions, turns=5, keep=True):
    """The tree that is seen from within the loop, when the tasks wait."""

    async def main():
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(function(), name=function.__name__) for function in coroutine_functions]
        if not keep:
            del tasks
        for _ in range(turns):
            await yibu.sleep(0)
        tree = yibu.ps()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)
        return tree

    with yibu.Runner(loop_factory=yibu.new_event_loop) as runner:
        return runner.run(main())


class TestWords:
    """What a task waits for is said in words, for native coroutines as for the standard library's."""

    def test_sleep(self, aio):
        async def sleeper():
            await aio.sleep(100)

        seen = look(aio, sleeper)["sleeper"]
        assert seen.state == "waiting" and seen.kind == "sleep"
        left = float(re.fullmatch(r"sleep, ([\d.]+) s left", seen.waits_for)[1])
        assert 0 < left <= 100

    def test_lock(self, aio):
        lock = aio.Lock()

        async def writer():
            async with lock:
                await aio.sleep(100)

        async def reader():
            async with lock:
                pass

        async def other():
            await lock.acquire()

        seen = look(aio, writer, reader, other)
        assert seen["reader"].waits_for == "Lock held by task 'writer', 1 other waiter"
        assert seen["other"].waits_for == "Lock held by task 'writer', 1 other waiter"

    def test_condition(self, aio):
        condition = aio.Condition()

        async def waiter():
            async with condition:
                await condition.wait()

        async def holder():
            async with condition:
                await aio.sleep(100)

        async def outside():
            async with condition:
                pass

        seen = look(aio, waiter, holder, outside)
        assert seen["waiter"].waits_for == "Condition to be notified"
        assert seen["outside"].waits_for.endswith(" held by task 'holder'")

    def test_semaphore(self, aio):
        semaphore = aio.Semaphore(2)

        async def one():
            async with semaphore:
                await aio.sleep(100)

        async def two():
            async with semaphore:
                await aio.sleep(100)

        async def three():
            async with semaphore:
                pass

        assert look(aio, one, two, three)["three"].waits_for == "Semaphore held by tasks 'one' and 'two'"

    def test_event(self, aio):
        event = aio.Event()

        async def waiter():
            await event.wait()

        assert look(aio, waiter)["waiter"].waits_for == "Event to be set"

    def test_barrier(self, aio):
        barrier = aio.Barrier(3)

        async def first():
            await barrier.wait()

        assert look(aio, first)["first"].waits_for == "Barrier, 1 of 3 there"

    def test_queue(self, aio):
        empty, full = aio.Queue(), aio.Queue(1)

        async def getter():
            await empty.get()

        async def second():
            await empty.get()

        async def putter():
            await full.put(1)
            await full.put(2)

        async def joiner():
            await full.join()

        seen = look(aio, getter, second, putter, joiner)
        assert seen["getter"].waits_for == "Queue empty, 1 other getter"
        assert seen["putter"].waits_for == "Queue full (1 item)"
        assert seen["joiner"].waits_for == "Queue to be worked off, 1 item left"

    def test_task(self, aio):
        async def outer():
            await asyncio.get_running_loop().create_task(aio.sleep(100), name="inner")

        seen = look(aio, outer)
        assert seen["outer"].waits_for == "result of task 'inner'"
        assert seen["inner"].awaited_by == (seen["outer"].id,)

    def test_gather(self, aio):
        async def outer():
            await aio.gather(aio.sleep(0), aio.sleep(100), aio.sleep(100))

        seen = look(aio, outer)
        assert seen["outer"].waits_for == "gather of 3, 1 done"
        assert [task.awaited_by for task in seen.values()].count((seen["outer"].id,)) == 2

    def test_task_group(self, aio):
        async def outer():
            async with aio.TaskGroup() as group:
                group.create_task(aio.sleep(100), name="child")

        seen = look(aio, outer)
        assert seen["outer"].waits_for == "TaskGroup, 1 task left"
        assert seen["child"].awaited_by == (seen["outer"].id,)

    def test_wait(self, aio):
        async def outer():
            child = asyncio.get_running_loop().create_task(aio.sleep(100), name="child")
            await aio.wait([child])

        seen = look(aio, outer)
        assert seen["outer"].waits_for == "wait for 1, 0 done"
        assert seen["child"].awaited_by == (seen["outer"].id,)

    def test_wait_for(self, aio):
        async def outer():
            child = asyncio.get_running_loop().create_task(aio.sleep(100), name="child")
            await aio.wait_for(child, 100)

        seen = look(aio, outer)
        assert seen["outer"].waits_for == "result of task 'child'"
        assert seen["child"].awaited_by == (seen["outer"].id,)

    def test_shield(self):
        async def outer():
            child = asyncio.get_running_loop().create_task(yibu.sleep(100), name="child")
            await yibu.shield(child)

        seen = look(yibu, outer)
        assert seen["outer"].waits_for == "shielded result of task 'child'"
        assert seen["child"].awaited_by == (seen["outer"].id,)

    def test_as_completed(self):
        async def outer():
            child = asyncio.get_running_loop().create_task(yibu.sleep(100), name="child")
            for one in yibu.as_completed([child]):
                await one

        seen = look(yibu, outer)
        assert seen["outer"].kind == "as_completed"
        assert seen["child"].awaited_by == (seen["outer"].id,)

    def test_executor(self):
        goes_on = threading.Event()

        async def threaded():
            await yibu.to_thread(goes_on.wait)

        async def job():
            await asyncio.get_running_loop().run_in_executor(None, goes_on.wait)

        async def main():
            tasks = [yibu.create_task(one(), name=one.__name__) for one in (threaded, job)]
            for _ in range(3):
                await yibu.sleep(0)
            seen = {task.name: task for task in yibu.ps()}
            goes_on.set()
            await yibu.wait(tasks)
            return seen

        seen = yibu.run(main())
        for name in ("threaded", "job"):
            assert seen[name].waits_for.startswith("executor job Event.wait, ")
            assert seen[name].kind == "executor"

    def test_sockets(self, aio):
        ours, peer = socket.socketpair()
        with ours, peer, socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            ours.setblocking(False)

            async def acceptor():
                await asyncio.get_running_loop().sock_accept(server)

            async def receiver():
                await asyncio.get_running_loop().sock_recv(ours, 1)

            seen = look(aio, acceptor, receiver)
            assert seen["acceptor"].waits_for == f"accept on {server.getsockname()}"
            assert seen["receiver"].waits_for == f"recv on descriptor {ours.fileno()}"

    def test_streams(self, aio):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()

            async def reader():
                reader, writer = await aio.open_connection(*address)
                try:
                    await reader.readline()
                finally:
                    writer.close()

            async def patient():
                await aio.sleep(0.2)

            async def main():
                task = asyncio.get_running_loop().create_task(reader(), name="reader")
                await patient()
                seen = {task.name: task for task in yibu.ps()}
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                return seen

            with yibu.Runner(loop_factory=yibu.new_event_loop) as runner:
                seen = runner.run(main())
            assert seen["reader"].waits_for == f"read from {address}"
            assert [frame.function for frame in seen["reader"].stack][1] == "StreamReader.readline"

    def test_child_process(self):
        async def parent():
            process = await yibu.create_subprocess_exec("sleep", "100")
            try:
                await process.wait()
            finally:
                process.kill()
                await process.wait()

        async def main():
            task = asyncio.get_running_loop().create_task(parent(), name="parent")
            seen = None
            for _ in range(200):
                await yibu.sleep(0.01)
                seen = {task.name: task for task in yibu.ps()}["parent"]
                if seen.kind == "process":
                    break
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return seen

        with yibu.Runner(loop_factory=yibu.new_event_loop) as runner:
            assert re.fullmatch(r"child process \d+", runner.run(main()).waits_for)

    def test_a_future_of_the_program(self):
        async def waiter():
            await asyncio.get_running_loop().create_future()

        assert look(yibu, waiter)["waiter"].waits_for == "a Future"

    def test_what_raises_when_it_is_asked(self):
        class Strange(yibu.Barrier):
            @property
            def n_waiting(self):
                raise ZeroDivisionError("no")

        barrier = Strange(2)

        async def waiter():
            await barrier.wait()

        words = look(yibu, waiter)["waiter"].waits_for
        assert words == "something that cannot be described (ZeroDivisionError: no)"


class TestStates:
    def test_states(self):
        async def spins():
            while True:
                await yibu.sleep(0)

        async def waits():
            await yibu.sleep(100)

        seen = look(yibu, spins, waits)
        assert seen["spins"].state == "ready"
        assert seen["waits"].state == "waiting"
        assert [task.state for task in seen.values()].count("running") == 1

    def test_stacks(self):
        async def inner():
            await yibu.sleep(100)

        async def generator():
            await inner()
            yield 1

        async def outer():
            async for _ in generator():
                pass

        stack = look(yibu, outer)["outer"].stack
        assert [frame.function.rpartition(".")[2] for frame in stack] == [
            "outer",
            "generator",
            "inner",
            "sleep",
        ]
        assert {frame.file for frame in stack[:-1]} == {__file__}
        assert all(frame.line > 0 for frame in stack)

    def test_loops_and_threads(self):
        started, over = threading.Event(), threading.Event()

        async def serve():
            started.set()
            while not over.is_set():
                await yibu.sleep(0.01)

        thread = threading.Thread(target=yibu.run, args=(serve(),), name="second loop")
        thread.start()
        started.wait()
        try:
            tree = yibu.ps()
        finally:
            over.set()
            thread.join()
        loop = next(loop for loop in tree.loops if loop.thread == thread.ident)
        assert (loop.thread_name, loop.kind, loop.tasks) == ("second loop", "yibu.EventLoop", 1)
        assert [task.stack[0].function for task in tree if task.loop == loop.id] == [serve.__qualname__]

    def test_nothing_runs(self):
        tree = yibu.ps()
        assert len(tree) == 0 and str(tree).startswith("Process ")

    def test_tasks_of_the_standard_library(self):
        async def child():
            await asyncio.sleep(100)

        async def main():
            task = asyncio.Task(child(), name="stock")
            await yibu.sleep(0)
            await yibu.sleep(0)
            tree = yibu.ps()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return {task.name: task for task in tree}

        with yibu.Runner(loop_factory=yibu.new_event_loop) as runner:
            assert runner.run(main())["stock"].kind == "sleep"

    def test_the_snapshot_changes_nothing(self):
        """Looking at a queue leaves its waiters as they are."""
        queue = yibu.Queue()

        async def getter():
            return await queue.get()

        async def main():
            tasks = [yibu.create_task(getter()) for _ in range(3)]
            await yibu.sleep(0)
            for _ in range(3):
                yibu.ps()
            for number in range(3):
                queue.put_nowait(number)
            return await yibu.gather(*tasks)

        assert yibu.run(main()) == [0, 1, 2]


@pytest.mark.usefixtures("without_threads_of_the_tests")
class TestProblems:
    def problems(self, *functions, keep=True, turns=5):
        return {problem.kind: problem for problem in see(*functions, keep=keep, turns=turns).problems}

    def test_deadlock_of_two_locks(self, aio):
        first, second = aio.Lock(), aio.Lock()

        async def ab():
            async with first:
                await aio.sleep(0)
                async with second:
                    pass

        async def ba():
            async with second:
                await aio.sleep(0)
                async with first:
                    pass

        problem = self.problems(ab, ba)["deadlock"]
        assert problem.words == "'ab' waits for a Lock held by 'ba'; 'ba' waits for a Lock held by 'ab'"
        assert problem.certain and len(problem.tasks) == 2

    def test_deadlock_of_one(self, aio):
        lock = aio.Lock()

        async def twice():
            async with lock, lock:
                pass

        assert self.problems(twice)["deadlock"].words == "'twice' waits for a Lock held by 'twice'"

    def test_deadlock_of_tasks_that_wait_for_each_other(self):
        tasks = []

        async def first():
            await yibu.sleep(0)
            await yibu.wait(
                [tasks[1]]
            )  # not by `await`: each would pass a cancellation on to the other, for ever

        async def second():
            await yibu.sleep(0)
            await tasks[0]

        async def main():
            tasks.extend(yibu.create_task(one(), name=one.__name__) for one in (first, second))
            for _ in range(4):
                await yibu.sleep(0)
            seen = yibu.ps()
            tasks[0].cancel()
            return seen

        deadlock = next(problem for problem in yibu.run(main()).problems if problem.kind == "deadlock")
        assert "'first' waits for 'second' (wait for 1, 0 done); 'second' waits for" in deadlock.words

    def test_no_deadlock_with_a_time_limit(self, aio):
        first, second = aio.Lock(), aio.Lock()

        async def ab():
            async with first:
                await aio.sleep(0)
                async with aio.timeout(100), second:
                    pass

        async def ba():
            async with second:
                await aio.sleep(0)
                async with first:
                    pass

        assert "deadlock" not in self.problems(ab, ba)

    def test_those_who_wait_for_a_deadlock_are_not_in_it(self):
        lock = yibu.Lock()

        async def twice():
            async with lock, lock:
                pass

        async def behind():
            async with lock:
                pass

        problem = self.problems(twice, behind)["deadlock"]
        assert len(problem.tasks) == 1

    def test_orphaned_lock(self, aio):
        lock = aio.Lock()

        async def forgets():
            await lock.acquire()

        async def waits():
            async with lock:
                pass

        problem = self.problems(forgets, waits)["orphaned lock"]
        assert problem.words.startswith("'waits' waits for a Lock that no living task holds")
        assert not problem.certain

    def test_orphaned_lock_whose_holder_was_noted(self):
        lock = yibu.Lock()

        async def forgets():
            await lock.acquire()

        async def waits():
            async with lock:
                pass

        with yibu.inspect(socket=False):
            problem = self.problems(forgets, waits)["orphaned lock"]
        assert re.fullmatch(
            r"'waits' waits for a Lock taken [\d.]+ s ago by task 'forgets', which has ended", problem.words
        )

    def test_deadlock_of_locks_whose_holders_were_noted(self):
        first, second = yibu.Lock(), yibu.Lock()

        async def ab():
            await first.acquire()
            await yibu.sleep(0)
            await second.acquire()

        async def ba():
            await second.acquire()
            await yibu.sleep(0)
            await first.acquire()

        with yibu.inspect(socket=False):
            tree = see(ab, ba)
        problem = next(problem for problem in tree.problems if problem.kind == "deadlock")
        assert problem.words == "'ab' waits for a Lock held by 'ba'; 'ba' waits for a Lock held by 'ab'"
        words = {task.name: task.waits_for for task in tree}["ab"]
        assert re.fullmatch(r"Lock held for [\d.]+ s by task 'ba'", words)

    def test_lost_task(self):
        async def alone():
            await yibu.sleep(100)

        problems = self.problems(alone, keep=False)
        assert "task 'alone'" in problems["lost"].words and not problems["lost"].certain

    def test_no_lost_task(self):
        async def referred():
            await yibu.sleep(100)

        async def awaited():
            await yibu.gather(yibu.sleep(100), yibu.sleep(100))

        assert "lost" not in self.problems(referred, awaited)


class TestDescriptions:
    def test_a_sequence(self):
        async def one():
            await yibu.sleep(100)

        tree = see(one)
        assert len(tree) == 2 and tree[0] in list(tree) and tree[0:1] == (tree[0],)
        with pytest.raises(dataclasses.FrozenInstanceError):
            tree[0].name = "another"
        assert repr(tree) == "<TaskTree of 2 tasks, 0 problems>"

    def test_table(self):
        async def reader():
            await yibu.Queue().get()

        lines = str(see(reader)).splitlines()
        assert lines[0].endswith("2 tasks (1 running, 1 waiting)")
        row = next(line for line in lines if line.startswith("reader"))
        assert "Queue empty" in row and f"({__file__.rpartition('/')[2]}:" in row

    def test_tree(self):
        async def parent():
            await yibu.create_task(child(), name="child")

        async def child():
            await yibu.sleep(100)

        async def main():
            task = yibu.create_task(parent(), name="parent")
            for _ in range(3):
                await yibu.sleep(0)
            text = yibu.pstree()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return text

        text = yibu.run(main())
        assert "\n- parent waits for result of task 'child'\n" in text
        assert "\n  - child waits for sleep, " in text

    def test_as_json(self):
        async def one():
            await yibu.sleep(100)

        tree = see(one)
        assert encoding.decode(json.loads(encoding.encode(tree))) == tree

    def test_processor_time(self):
        """Of tasks whose loop is observed; the column is there when somebody's is known."""

        async def computes():
            while True:
                until = time.thread_time() + 0.01
                while time.thread_time() < until:
                    pass
                await yibu.sleep(0)

        async def waits():
            await yibu.sleep(100)

        async def main():
            tasks = [yibu.create_task(one(), name=one.__name__) for one in (computes, waits)]
            unknown = yibu.ps()
            with yibu.observe():
                limit = time.monotonic() + 30
                while time.monotonic() < limit:
                    await yibu.sleep(0)
                    known = yibu.ps()
                    if {task.name: task.cpu_time for task in known}["computes"] > 0.02:
                        break
            for task in tasks:
                task.cancel()
            await yibu.wait(tasks)
            return unknown, known

        unknown, known = yibu.run(main())
        assert {task.cpu_time for task in unknown} == {None} and "CPU TIME" not in str(unknown)
        times = {task.name: task.cpu_time for task in known}
        assert times["waits"] == 0 and times["computes"] > 0.02
        assert re.search(r"^TASK +STATE +AGE +CPU TIME +WAITS FOR +AT$", str(known), re.MULTILINE)
        assert re.search(r"^computes +ready +\d+ ms +", str(known), re.MULTILINE)
        assert json.loads(encoding.encode(known))["tasks"][0]["cpu_time"] == known[0].cpu_time
        assert encoding.decode(json.loads(encoding.encode(known))) == known

    def test_a_thousand_tasks_deep(self):
        """The tree of tasks that wait for each other is walked without recursion."""

        async def main():
            future = asyncio.get_running_loop().create_future()
            task = future
            for _ in range(3000):
                task = yibu.create_task(wait_for(task))
            await yibu.sleep(0)
            await yibu.sleep(0)
            text = yibu.pstree()
            future.set_result(None)
            await task
            return text

        async def wait_for(other):
            await other

        assert yibu.run(main()).count(" waits for result of task ") >= 2999


@pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs are new in 3.14")
class TestCallGraphs:
    """What `asyncio.capture_call_graph` shows, the tree shows."""

    def test_stacks_and_waiters_agree(self):
        async def leaf():
            await yibu.sleep(100)

        async def outer():
            async with yibu.TaskGroup() as group:
                group.create_task(leaf(), name="leaf")

        async def main():
            task = yibu.create_task(outer(), name="outer")
            for _ in range(3):
                await yibu.sleep(0)
            leaf = next(task for task in yibu.all_tasks() if task.get_name() == "leaf")
            graph = yibu.capture_call_graph(leaf)
            tree = {task.name: task for task in yibu.ps()}
            stack = [
                (entry.frame.f_code.co_qualname, entry.frame.f_lineno) for entry in reversed(graph.call_stack)
            ]
            waiters = [id(parent.future) for parent in graph.awaited_by]
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return stack, waiters, tree

        stack, waiters, tree = yibu.run(main())
        assert [(frame.function, frame.line) for frame in tree["leaf"].stack] == stack
        assert list(tree["leaf"].awaited_by) == waiters == [tree["outer"].id]


def test_from_another_thread_while_the_loop_is_blocked():
    """The tasks are described while a task blocks the loop."""
    blocked = threading.Event()
    trees = []

    def watch():
        blocked.wait()
        trees.append(yibu.ps())

    async def main():
        waiter = yibu.create_task(yibu.sleep(100), name="waiter")
        await yibu.sleep(0)
        thread = threading.Thread(target=watch)
        thread.start()
        blocked.set()
        while not trees:
            time.sleep(0.01)
        thread.join()
        waiter.cancel()

    yibu.run(main())
    states = {task.name: task.state for task in trees[0]}
    assert states["waiter"] == "waiting" and "running" in states.values()


def test_a_task_that_runs_shows_what_it_calls():
    def look():
        return yibu.ps()

    async def inner():
        return look()

    async def main():
        return await inner()

    (task,) = yibu.run(main())
    names = [frame.function.rpartition(".")[2] for frame in task.stack]
    assert task.state == "running" and names == ["main", "inner", "look"]
    assert task.place.function.endswith("look")


def test_a_task_is_described_as_it_was_when_it_was_asked():
    async def main():
        future = asyncio.get_running_loop().create_future()

        async def wait():
            await future

        task = yibu.create_task(wait(), name="waits")
        await yibu.sleep(0)

        def breathe():
            # The program goes on after the tasks were asked what they wait for.
            if sys._getframe(1).f_code.co_name == "_edges" and not future.done():
                future.set_result(None)

        seen = {one.name: one for one in snapshot.take(breathe)}["waits"]
        await task
        return seen

    seen = yibu.run(main())
    assert (seen.state, seen.waits_for) == ("waiting", "a Future")


def test_the_look_itself_does_not_count():
    samples = Samples()
    samples.ended = samples.begun + 1
    other = threading.get_ident() + 1
    samples._used = {threading.get_ident(): 0.9, other: 0.4}
    assert samples._computes(other)
