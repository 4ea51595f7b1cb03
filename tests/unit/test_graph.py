"""asyncio.graph: who waits for whom, what a task runs, and both as text (new in 3.14)."""

import asyncio
import inspect
import io
import sys
import threading

import pytest

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs are new in 3.14")


def names(graph):
    """The functions of this file on a graph's call stack."""
    codes = [entry.frame.f_code for entry in graph.call_stack]
    return [code.co_name for code in codes if code.co_filename == __file__]


def all_names(graph):
    """All functions on a graph's call stack, asyncio's own too; and those of the tasks that wait."""
    stack = [entry.frame.f_code.co_name for entry in graph.call_stack]
    return stack, [all_names(parent)[0] for parent in graph.awaited_by]


def waiters(graph):
    """The names of the tasks that wait, with those that wait for them, and so on."""
    return {parent.future.get_name(): waiters(parent) for parent in graph.awaited_by}


async def leaf(seen, look):
    """Looks from within a task, when all who are going to wait for it do."""
    for _ in range(5):
        await asyncio.sleep(0)
    seen.append(look())


class TestWhoWaits:
    """Every way to wait shows the task that waits, and ceases to show it."""

    @pytest.fixture
    def seen(self, impl, run, loop):
        """Have `wait(child)` wait for a task that captures its own graph; return that graph and the child."""

        def see(wait):
            seen = []

            async def main():
                child = loop.create_task(leaf(seen, impl.capture_call_graph), name="child")
                await loop.create_task(wait(child), name="waiter")
                return child

            child = run(loop.create_task(main(), name="main"))
            assert not child._asyncio_awaited_by
            return seen[0]

        return see

    def test_await(self, seen):
        async def wait(child):
            await child

        graph = seen(wait)
        assert names(graph) == ["leaf"]
        assert waiters(graph) == {"waiter": {"main": {}}}
        assert names(graph.awaited_by[0]) == ["wait"]
        assert names(graph.awaited_by[0].awaited_by[0]) == ["main"]

    def test_gather(self, impl, seen):
        async def wait(child):
            await impl.gather(child, impl.sleep(0))

        graph = seen(wait)
        assert waiters(graph) == {"waiter": {"main": {}}}
        assert names(graph.awaited_by[0]) == ["wait"]

    def test_wait(self, impl, seen):
        async def wait(child):
            await impl.wait([child], timeout=30)

        graph = seen(wait)
        assert waiters(graph) == {"waiter": {"main": {}}}
        assert names(graph.awaited_by[0]) == ["wait"]

    def test_wait_for(self, impl, seen):
        async def wait(child):
            await impl.wait_for(child, 30)

        assert waiters(seen(wait)) == {"waiter": {"main": {}}}

    def test_shield(self, impl, seen):
        async def wait(child):
            await impl.shield(child)

        assert waiters(seen(wait)) == {"waiter": {"main": {}}}

    def test_as_completed(self, impl, seen):
        async def wait(child):
            for each in impl.as_completed([child]):
                await each

        assert waiters(seen(wait)) == {"waiter": {"main": {}}}

    def test_task_group(self, impl, seen):
        async def wait(child):
            async with impl.TaskGroup() as group:

                async def inner():
                    await child

                group.create_task(inner(), name="inner")

        assert waiters(seen(wait)) == {"inner": {"waiter": {"main": {}}}}

    def test_timeout(self, impl, seen):
        async def wait(child):
            async with impl.timeout(30):
                await child

        assert waiters(seen(wait)) == {"waiter": {"main": {}}}

    def test_two_at_once(self, impl, seen):
        async def wait(child):
            async def other():
                await child

            await impl.gather(child, impl.create_task(other(), name="other"))

        assert waiters(seen(wait)) == {"waiter": {"main": {}}, "other": {"waiter": {"main": {}}}}

    def test_a_child_that_outlives_gather(self, impl, run, loop):
        async def fail():
            raise LookupError

        async def main():
            survivor = impl.create_task(impl.sleep(3600))
            with pytest.raises(LookupError):
                await impl.gather(survivor, fail())
            assert impl.capture_call_graph(survivor).awaited_by == ()
            survivor.cancel()

        run(main())


class TestTelling:
    def test_add_and_discard(self, impl, loop, run):
        async def main():
            future, waiter = loop.create_future(), asyncio.current_task()
            assert future._asyncio_awaited_by is None
            assert impl.future_add_to_awaited_by(future, waiter) is None
            impl.future_add_to_awaited_by(future, waiter)
            assert future._asyncio_awaited_by == {waiter}
            assert waiters(impl.capture_call_graph(future)) == {waiter.get_name(): {}}
            impl.future_discard_from_awaited_by(future, waiter)
            impl.future_discard_from_awaited_by(future, waiter)
            assert not future._asyncio_awaited_by

        run(main())

    def test_strangers_are_passed_over(self, impl, loop):
        future = loop.create_future()
        for tell in impl.future_add_to_awaited_by, impl.future_discard_from_awaited_by:
            assert tell(future, "stranger") is None
            assert tell("stranger", future) is None
        assert future._asyncio_awaited_by is None

    def test_wrong_arguments(self, impl, loop):
        for tell in impl.future_add_to_awaited_by, impl.future_discard_from_awaited_by:
            with pytest.raises(TypeError):
                tell(loop.create_future())

    @pytest.mark.yibu_only
    def test_futures_of_stock_asyncio(self, impl, loop):
        stock = asyncio.Future(loop=loop)
        waiter = asyncio.Future(loop=loop)
        impl.future_add_to_awaited_by(stock, waiter)
        assert stock._asyncio_awaited_by == {waiter}
        native = loop.create_future()
        impl.future_add_to_awaited_by(native, waiter)
        assert [graph.future for graph in impl.capture_call_graph(native).awaited_by] == [waiter]
        impl.future_discard_from_awaited_by(stock, waiter)
        assert not stock._asyncio_awaited_by


class TestCapture:
    def test_is_made_of_asyncio_s_classes(self, impl, run):
        async def main():
            return impl.capture_call_graph()

        graph = run(main())
        assert type(graph) is asyncio.FutureCallGraph is impl.FutureCallGraph
        assert {type(entry) for entry in graph.call_stack} == {impl.FrameCallGraphEntry}
        assert graph.awaited_by == ()

    def test_depth_and_limit_of_the_current_task(self, impl, run):
        async def main():
            def inner(**options):
                return names(impl.capture_call_graph(**options))

            return [
                inner(),
                inner(depth=2),
                inner(depth=3),
                inner(limit=1),
                inner(limit=-1),
                inner(limit=0),
                inner(limit=5),
            ]

        async def outer():
            return await main()

        everything = ["inner", "main", "outer"]
        expected = [
            everything,
            everything[1:],
            everything[2:],
            everything[-1:],
            everything[:1],
            [],
            everything,
        ]
        assert run(outer()) == expected

    def test_limit_of_another_task(self, impl, run, loop):
        async def inner():
            await loop.create_future()

        async def outer():
            await inner()

        async def main():
            task = loop.create_task(outer())
            await asyncio.sleep(0)
            found = [names(impl.capture_call_graph(task, limit=limit)) for limit in (None, 1, -1, 0, 9)]
            task.cancel()
            return found

        assert run(main()) == [["inner", "outer"], ["outer"], ["inner"], [], ["inner", "outer"]]

    def test_depth_beyond_the_stack(self, impl, run):
        async def main():
            impl.capture_call_graph(depth=100_000)

        with pytest.raises(ValueError, match="call stack is not deep enough"):
            run(main())

    def test_generators_are_on_the_stack(self, impl, run):
        async def numbers():
            yield impl.capture_call_graph()

        async def main():
            def generator():
                yield impl.capture_call_graph()

            async for graph in numbers():
                assert names(graph) == ["numbers", "main"]
            assert names(next(generator())) == ["generator", "main"]

        run(main())

    def test_an_eager_task_s_stack_is_its_own(self, impl, run, loop):
        async def child():
            return names(impl.capture_call_graph())

        async def main():
            loop.set_task_factory(impl.eager_task_factory)
            return await loop.create_task(child())

        assert run(main()) == ["child"]

    def test_through_native_coroutines(self, impl, run, loop):
        """A stack goes on behind a coroutine of asyncio's own."""

        async def child():
            await loop.create_future()

        async def main():
            task = loop.create_task(impl.wait_for(child(), None))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            found = names(impl.capture_call_graph(task))
            task.cancel()
            return found

        assert run(main()) == ["child"]

    def test_asyncios_coroutines_between_those_of_the_program(self, impl, run, loop):
        seen = []

        async def inner():
            seen.append(all_names(impl.capture_call_graph()))
            seen.append(impl.format_call_graph())
            await impl.sleep(0)
            seen.append(all_names(impl.capture_call_graph()))

        async def middle():
            await impl.wait_for(inner(), 30)

        async def outer():
            await impl.wait_for(middle(), 30)

        async def main():
            await outer()
            await loop.create_task(impl.wait_for(inner(), 30))

        run(loop.create_task(main()))
        through = ["inner", "wait_for", "middle", "wait_for", "outer", "main"], []
        alone = ["inner", "wait_for"], [["main"]]
        assert seen[0] == seen[2] == through
        assert seen[3] == seen[5] == alone
        assert seen[1].count("in async wait_for()") == 2

    @pytest.mark.parametrize(
        ("make", "stack"),
        [
            (lambda impl, child: impl.wait([child]), ["_wait", "wait"]),
            (lambda impl, child: next(iter(impl.as_completed([child]))), ["get", "_wait_for_one"]),
            (lambda impl, child: impl.wait_for(child, 30), ["wait_for"]),
        ],
        ids=["wait", "as_completed", "wait_for"],
    )
    def test_asyncios_coroutines_that_wait(self, impl, run, loop, make, stack):
        async def main():
            child = loop.create_future()
            task = loop.create_task(make(impl, child))
            await impl.sleep(0)
            graph = impl.capture_call_graph(task)
            assert all_names(graph)[0] == stack
            text = impl.format_call_graph(task)
            for entry in graph.call_stack:
                assert entry.frame.f_generator.cr_code is entry.frame.f_code
                assert f"in async {entry.frame.f_code.co_qualname}()" in text
            child.set_result(None)
            await task

        run(main())

    def test_finished_tasks(self, impl, run, loop):
        async def fail():
            raise LookupError

        async def main():
            task = loop.create_task(fail())
            await asyncio.wait([task])
            assert isinstance(task.exception(), LookupError)
            graph = impl.capture_call_graph(task)
            assert (graph.future, graph.call_stack, graph.awaited_by) == (task, (), ())

        run(main())

    def test_without_a_task(self, impl, run, loop):
        seen = []

        async def main():
            loop.call_soon(lambda: seen.append((impl.capture_call_graph(), impl.format_call_graph())))
            await asyncio.sleep(0)

        run(main())
        assert seen == [(None, "")]

    def test_without_a_loop(self, impl, loop):
        future = loop.create_future()
        assert impl.capture_call_graph(future).future is future
        with pytest.raises(RuntimeError, match=r"^capture_call_graph\(\) is called outside of a running "):
            impl.capture_call_graph()

    @pytest.mark.parametrize("wrong", [1, "future", object()])
    def test_not_a_future(self, impl, run, wrong):
        text = "object does not appear to be compatible with asyncio.Future$"
        with pytest.raises(TypeError, match=text):
            impl.capture_call_graph(wrong)

        async def main():
            with pytest.raises(TypeError, match=text):
                impl.format_call_graph(wrong)

        run(main())

    def test_from_another_thread(self, impl, run, loop):
        async def main():
            task = asyncio.current_task()
            thread = threading.Thread(target=lambda: seen.append(impl.capture_call_graph(task)))
            thread.start()
            thread.join()

        seen = []
        run(loop.create_task(main(), name="main"))
        assert seen[0].future.get_name() == "main"

    def test_a_very_long_chain(self, impl, run, loop):
        """Ends in an exception, not in a crash, when it is too long to be followed."""

        async def wait(other):
            await other

        async def main():
            tasks = [loop.create_future()]
            for _ in range(200_000):
                tasks.append(loop.create_task(wait(tasks[-1])))
            await asyncio.sleep(0)
            try:
                with pytest.raises(RecursionError):
                    impl.capture_call_graph(tasks[0])
            finally:
                tasks[0].set_result(None)
                await tasks[-1]

        run(main())


class TestText:
    def test_format(self, impl, run, loop):
        async def inner(future):
            await future

        async def outer(future):
            await inner(future)

        async def main():
            future = loop.create_future()
            task = loop.create_task(outer(future), name="the task")
            await asyncio.sleep(0)
            text = impl.format_call_graph(future)
            expected = [
                f"* Future(id={id(future):#x})",
                "  + Awaited by:",
                f"    * Task(name='the task', id={id(task):#x})",
                "      + Call stack:",
                f"      |   File {__file__!r}, line {first(inner) + 1}, in async {inner.__qualname__}()",
                f"      |   File {__file__!r}, line {first(outer) + 1}, in async {outer.__qualname__}()",
            ]
            assert text.split("\n") == expected
            future.set_result(None)
            await task

        run(main())

    def test_every_kind_of_frame(self, impl, run):
        async def numbers():
            def generator():
                def function():
                    return impl.format_call_graph()

                yield function()

            yield next(generator())

        async def main():
            return [text async for text in numbers()]

        (text,) = run(main())
        kinds = [line.partition(", in ")[2] for line in text.split("\n")[2:]]
        assert [kind.replace("TestText.test_every_kind_of_frame.<locals>.", "") for kind in kinds] == [
            "numbers.<locals>.generator.<locals>.function()",
            "generator numbers.<locals>.generator()",
            "async generator numbers()",
            "async main()",
        ]

    def test_print(self, impl, run, capsys):
        async def main():
            file = io.StringIO()
            impl.print_call_graph(file=file, depth=2)
            impl.print_call_graph(limit=0)
            return file.getvalue(), impl.format_call_graph()

        printed, formatted = run(main())
        kinds = [
            [line.partition(", in ")[2] for line in text.splitlines()[2:]] for text in (printed, formatted)
        ]
        assert kinds[0] == kinds[1] == [f"async {type(self).__name__}.test_print.<locals>.main()"]
        assert capsys.readouterr().out.startswith("* Task(name='Task-")


def first(function):
    """The line of a function's `async def`."""
    return inspect.getsourcelines(function)[1]
