"""Whatever a program nests without limit works or ends in RecursionError, on large stacks and on small ones.

Each program runs in an interpreter of its own, in a thread of that stack size, and must end with status 0.
"""

import sys
import textwrap

import pytest

STACKS = {"8 MiB": 8 << 20, "256 KiB": 256 << 10}

DEPTH = 50_000

START = """
    import asyncio, gc, os, sys, threading

    sys.unraisablehook = lambda *args: None
    stack, depth = map(int, sys.argv[1:])

    async def turns(count=3):
        for _ in range(count):
            await asyncio.sleep(0)

    def nested(make, inner, depth=depth):
        for _ in range(depth):
            inner = make(inner)
        return inner

    def attempt(function, *args):
        try:
            function(*args)
        except RecursionError:
            pass

    async def never(task):
        try:
            await task
        except (RecursionError, asyncio.CancelledError):
            pass
"""

END = """
    async def silent():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        await main()
        if leave:
            print("ended well")
        sys.stdout.flush()
        if leave:
            os._exit(0)

    def run():
        with asyncio.Runner(loop_factory=aio.new_event_loop) as runner:
            runner.run(silent())

    threading.stack_size(stack)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    print("ended")
"""

CALLS = {
    "cancelling a chain of tasks": """
        async def main():
            async def link(inner):
                return await inner
            last = nested(lambda inner: asyncio.ensure_future(link(inner)), aio.Future())
            await turns()
            attempt(last.cancel)
    """,
    "cancelling a cycle of tasks": """
        async def main():
            tasks = {}
            async def wait(other):
                await asyncio.sleep(0)
                await tasks[other]
            tasks["a"] = asyncio.ensure_future(wait("b"))
            tasks["b"] = asyncio.ensure_future(wait("a"))
            await turns()
            attempt(tasks["a"].cancel)
    """,
    "cancelling gather() in gather()": """
        async def main():
            attempt(nested(aio.gather, aio.Future()).cancel)
    """,
    "cancelling gather() in shield() in tasks": """
        async def main():
            async def link(inner):
                return await aio.gather(aio.shield(inner))
            last = nested(lambda inner: asyncio.ensure_future(link(inner)), aio.Future(), depth // 10)
            await turns()
            attempt(last.cancel)
    """,
    "wait_for() in wait_for()": """
        async def main():
            task = asyncio.ensure_future(nested(lambda inner: aio.wait_for(inner, None), aio.Future()))
            await turns(2)
            task.cancel()
            await never(task)
    """,
    "wait_for() in wait_for() with time limits": """
        async def main():
            outer = nested(lambda inner: aio.wait_for(inner, 9), aio.Future(), depth // 10)
            task = asyncio.ensure_future(outer)
            await turns(2)
            task.cancel()
            await never(task)
    """,
    "closing wait_for() in wait_for()": """
        async def main():
            outer = nested(lambda inner: aio.wait_for(inner, None), aio.Future())
            attempt(outer.send, None)
            attempt(outer.close)
    """,
    "throwing into wait_for() in wait_for()": """
        async def main():
            outer = nested(lambda inner: aio.wait_for(inner, None), aio.Future())
            attempt(outer.send, None)
            try:
                attempt(outer.throw, KeyError())
            except (KeyError, RuntimeError):
                pass
    """,
    "the text of a chain of tasks": """
        async def main():
            async def link(inner):
                return await inner
            last = nested(lambda inner: asyncio.ensure_future(link(inner)), aio.Future())
            await turns()
            attempt(repr, last)
    """,
    "the text of queues in queues": """
        async def main():
            def put(inner):
                queue = aio.Queue()
                queue.put_nowait(inner)
                return queue
            attempt(repr, nested(put, None))
    """,
    "the text of results in results": """
        async def main():
            def done(inner):
                future = aio.Future()
                future.set_result(inner)
                return future
            attempt(repr, nested(done, None))
    """,
    "the text of handles of handles": """
        async def main():
            loop = asyncio.get_running_loop()
            attempt(repr, nested(lambda inner: loop.call_later(100, inner), int))
    """,
}

DEATHS = {
    "queues": """
        def link(inner):
            queue = aio.Queue()
            queue.put_nowait(inner)
            return queue
    """,
    "priority queues": """
        def link(inner):
            queue = aio.PriorityQueue()
            queue.put_nowait(inner)
            return queue
    """,
    "results": """
        def link(inner):
            future = aio.Future()
            future.set_result(inner)
            return future
    """,
    "callbacks": """
        def link(inner):
            future = aio.Future()
            future.add_done_callback(lambda future: inner)
            return future
    """,
    "exceptions": """
        def link(inner):
            future, error = aio.Future(), ValueError(inner)
            future.set_exception(error)
            future.exception()
            return future
    """,
    "handles": """
        def link(inner):
            return aio.Handle(int, (inner,), asyncio.get_running_loop())
    """,
    "attributes of locks": """
        def link(inner):
            lock = aio.Lock()
            lock.inner = inner
            return lock
    """,
    "conditions": """
        def link(inner):
            condition = aio.Condition()
            condition.inner = inner
            return condition
    """,
    "stream readers": """
        def link(inner):
            reader = aio.StreamReader(loop=asyncio.get_running_loop())
            reader.inner = inner
            return reader
    """,
    "stream protocols": """
        def link(inner):
            return aio.StreamReaderProtocol(aio.StreamReader(), lambda reader, writer: inner)
    """,
    "runners": """
        def link(inner):
            return aio.Runner(loop_factory=lambda: inner)
    """,
    "loops": """
        def link(inner):
            loop = aio.new_event_loop()
            loop.set_exception_handler(lambda loop, context: inner)
            loop.close()
            return loop
    """,
    "instances of subclasses": """
        class Link(aio.Event):
            pass
        def link(inner):
            event = Link()
            event.inner = inner
            return event
    """,
    "coroutines": """
        def link(inner):
            return aio.wait_for(inner, None)
    """,
    "suspended tasks": """
        async def wait(inner):
            await aio.Future()
        def link(inner):
            task = asyncio.ensure_future(wait(inner))
            return task
    """,
    "gathering futures": """
        def link(inner):
            return aio.gather(inner if inner else aio.Future())
    """,
}


OUTCOMES = """
        sys.setrecursionlimit(100_000)

        def leave_now():
            print("ended well", flush=True)
            os._exit(0)

        def done(result):
            future = aio.Future()
            future.set_result(result)
            return future

        async def fails():
            await aio.sleep(0)
            raise KeyError

        async def deep(depth, innermost):
            if depth:
                return await aio.wait_for(deep(depth - 1, innermost), 9)
            return await innermost()

        async def outcome(awaitable):
            try:
                return await awaitable
            except BaseException as error:
                return type(error).__name__
"""

NATIVES = {
    "a result": """
        async def main():
            assert await nested(lambda inner: aio.wait_for(inner, 9), aio.sleep(0, "result")) == "result"
    """,
    "a result that is there": """
        async def main():
            assert await nested(lambda inner: aio.wait_for(inner, None), done("result")) == "result"
    """,
    "an exception": """
        async def main():
            assert await outcome(nested(lambda inner: aio.wait_for(inner, 9), fails())) == "KeyError"
    """,
    "a cancellation": """
        async def main():
            future = aio.Future()
            task = asyncio.ensure_future(nested(lambda inner: aio.wait_for(inner, 9), future))
            await turns()
            task.cancel()
            assert await outcome(task) == "CancelledError"
            assert future.cancelled()
    """,
    "a cancellation that is caught": """
        async def main():
            async def stubborn():
                try:
                    await aio.Future()
                except asyncio.CancelledError:
                    await aio.sleep(0)
                    return "stayed"
            task = asyncio.ensure_future(nested(lambda inner: aio.wait_for(inner, None), stubborn()))
            await turns()
            task.cancel()
            assert await task == "stayed"
    """,
    "a time limit in the middle": """
        async def main():
            inner = nested(lambda inner: aio.wait_for(inner, None), aio.Future())
            outer = nested(lambda inner: aio.wait_for(inner, 9), aio.wait_for(inner, 0.001))
            assert await outcome(outer) == "TimeoutError"
    """,
    "an exception thrown in": """
        async def main():
            outer = nested(lambda inner: aio.wait_for(inner, None), aio.Future())
            outer.send(None)
            try:
                outer.throw(KeyError())
            except KeyError:
                pass
            else:
                raise AssertionError("nothing was raised")
    """,
    "closed": """
        async def main():
            future = aio.Future()
            outer = nested(lambda inner: aio.wait_for(inner, None), future)
            assert outer.send(None) is future
            outer.close()
            assert not future.done()
    """,
    "closed, and the innermost one goes on": """
        async def main():
            async def stubborn():
                while True:
                    try:
                        await aio.Future()
                    except GeneratorExit:
                        pass
            innermost = stubborn()
            outer = nested(lambda inner: aio.wait_for(inner, None), innermost)
            outer.send(None)
            try:
                outer.close()
            except RuntimeError as error:
                assert str(error) == "coroutine ignored GeneratorExit"
            else:
                raise AssertionError("nothing was raised")
            leave_now()
    """,
    "of other kinds": """
        async def main():
            queue, event, lock = aio.Queue(), aio.Event(), aio.Lock()
            for inner, end in [(queue.get(), lambda: queue.put_nowait(1)), (event.wait(), event.set),
                               (lock.acquire(), int)]:
                task = asyncio.ensure_future(nested(lambda inner: aio.wait_for(inner, None), inner))
                await turns()
                end()
                assert await task in (1, True)
    """,
}


IN_TURN = {
    "a result": """
        async def main():
            assert await deep(depth, lambda: aio.sleep(0, "result")) == "result"
    """,
    "an exception": """
        async def main():
            assert await outcome(deep(depth, fails)) == "KeyError"
    """,
    "a cancellation": """
        async def main():
            task = asyncio.ensure_future(deep(depth, aio.Future))
            await turns()
            task.cancel()
            assert await outcome(task) == "CancelledError"
    """,
    "a time limit": """
        async def main():
            assert await outcome(aio.wait_for(deep(depth, aio.Future), 0.001)) == "TimeoutError"
    """,
    "closed": """
        async def main():
            outer = deep(depth, aio.Future)
            outer.send(None)
            outer.close()
    """,
}


def run(impl, body, stack, depth, *, leave):
    source = "\n".join([START, body, f"    leave = {leave}", END])
    process = impl.run_source(source, str(stack), str(depth), python_options=("-W", "ignore"))
    assert process.returncode == 0, f"status {process.returncode}\n{process.stderr[-2000:]}"
    assert leave or process.stdout == "ended\n"
    return process


def shifted(source):
    """`source`, as far to the left as the other parts of the program."""
    return textwrap.indent(textwrap.dedent(source), "    ")


@pytest.mark.yibu_only
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("name", CALLS)
def test_nested_calls(impl, name, stack):
    run(impl, shifted(CALLS[name]), stack, DEPTH, leave=True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="wait_for() with a limit makes a task")
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("name", NATIVES)
def test_natives_in_natives(impl, name, stack):
    """Python coroutines that await each other need no stack, so neither may the native ones."""
    # asyncio throws and closes by nested calls, for which a small stack has little room.
    depth = 10_000 if stack > 1 << 20 else 300
    source = shifted(OUTCOMES) + shifted(NATIVES[name])
    assert run(impl, source, stack, depth, leave=True).stdout == "ended well\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python coroutines nest calls, too")
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("name", IN_TURN)
def test_natives_and_python_coroutines_in_turn(impl, name, stack):
    depth = 5_000 if stack > 1 << 20 else 300
    source = shifted(OUTCOMES) + shifted(IN_TURN[name])
    assert run(impl, source, stack, depth, leave=True).stdout == "ended well\n"


@pytest.mark.yibu_only
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_nested_deaths(impl, stack):
    """All in one process: the test is that it goes on."""
    bodies = [shifted(body) + "    links.append(link)" for body in DEATHS.values()]
    main = """
    async def main():
        for link in links:
            last = None
            for _ in range(depth):
                last = link(last)
            await turns()
            del last
            gc.collect()
    """
    run(impl, "\n".join(["    links = []", *bodies, main]), stack, DEPTH // 5, leave=False)


@pytest.mark.parametrize(
    "between", ["coroutine", "async_around(coroutine)"], ids=["natives", "natives and Python"]
)
def test_coroutines_that_never_ran_are_reported_once_each(impl, between):
    """The outer ones end in a RecursionError; the inner ones say later that nobody awaited them."""
    finished = impl.run_source(
        f"""
        async def async_around(coroutine):
            return await coroutine

        async def main():
            coroutine = aio.sleep(0, "done")
            for _ in range(20_000):
                coroutine = aio.wait_for({between}, 9)
            try:
                print(await coroutine)
            except RecursionError:
                print("too deep")
            del coroutine
            await aio.sleep(0)

        aio.run(main())
        """
    )
    assert finished.returncode == 0
    assert finished.stdout in {"too deep\n", "done\n"}
    assert "Exception ignored" not in finished.stderr
    assert "RecursionError" not in finished.stderr
