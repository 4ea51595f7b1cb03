"""`gather`: order of callbacks, cancellation at each point, duplicates, other people's futures and loops."""

import asyncio
import gc
import inspect
import sys
import weakref

import pytest

from tests.unit.programs import assert_no_growth, failing, forever, value


class Awaitable:
    """Something that can be awaited and is no coroutine, equal to others of its kind."""

    def __init__(self, key):
        self.key = key
        self.awaited = 0

    def __eq__(self, other):
        return isinstance(other, Awaitable) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __await__(self):
        self.awaited += 1
        yield from asyncio.sleep(0).__await__()
        return self.key


class TestResults:
    def test_order_of_the_arguments(self, impl, on):
        async def main():
            first, second = on.create_future(), on.create_future()
            gathering = impl.gather(first, value(2), second)
            on.call_soon(second.set_result, 3)
            on.call_soon(first.set_result, 1)
            return await gathering

        assert on.run_until_complete(main()) == [1, 2, 3]

    def test_nothing(self, impl, on):
        async def main():
            empty = impl.gather()
            assert type(empty) is type(on.create_future())
            assert empty.done()
            assert empty.get_loop() is on
            return await empty

        assert on.run_until_complete(main()) == []

    def test_it_is_a_future(self, impl, on):
        async def main():
            gathering = impl.gather(value(1))
            assert isinstance(gathering, asyncio.Future)
            assert isinstance(gathering, impl.Future)
            assert asyncio.isfuture(gathering)
            assert repr(gathering).startswith("<_GatheringFuture pending")
            assert type(gathering).__name__ == "_GatheringFuture"
            await gathering

        on.run_until_complete(main())

    def test_duplicates_are_awaited_once(self, impl, on):
        async def main():
            coroutine, future = value("c"), on.create_future()
            on.call_soon(future.set_result, "f")
            gathering = impl.gather(coroutine, future, coroutine, future)
            children = gathering._children
            assert children[0] is children[2]
            assert children[1] is children[3] is future
            return await gathering

        assert on.run_until_complete(main()) == ["c", "f", "c", "f"]

    def test_equal_awaitables_are_one(self, impl, on):
        one, same, other = Awaitable("one"), Awaitable("one"), Awaitable("other")

        async def main():
            return await impl.gather(one, other, same)

        assert on.run_until_complete(main()) == ["one", "other", "one"]
        assert (one.awaited, same.awaited) == (1, 0)

    def test_awaitables_must_be_hashable(self, impl, on):
        class Unhashable(Awaitable):
            __hash__ = None

        async def main():
            with pytest.raises(TypeError, match="unhashable type"):
                impl.gather(Unhashable(1))

        on.run_until_complete(main())

    def test_exceptions_as_results(self, impl, on):
        error = ValueError("one")

        async def main():
            cancelled, silent = on.create_future(), on.create_future()
            on.call_soon(cancelled.cancel, "why")
            on.call_soon(silent.cancel)
            return await impl.gather(failing(error), cancelled, value(1), silent, return_exceptions=True)

        results = on.run_until_complete(main())
        assert results[0] is error
        assert type(results[1]) is asyncio.CancelledError
        assert results[1].args == ("why",)
        assert results[2] == 1
        assert results[3].args == ("",)

    def test_first_exception(self, impl, on):
        log = []

        async def sibling():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append("the sibling goes on")

        async def main():
            second = asyncio.ensure_future(sibling())
            with pytest.raises(ZeroDivisionError, match=r"^first$"):
                await impl.gather(failing(ZeroDivisionError("first")), second)
            await second

        on.run_until_complete(main())
        assert log == ["the sibling goes on"]

    def test_later_exceptions_are_not_reported(self, impl, on, reports):
        async def main():
            with pytest.raises(ValueError, match=r"^first$"):
                await impl.gather(failing(ValueError("first")), failing(ValueError("second")))
            await asyncio.sleep(0)

        on.run_until_complete(main())
        gc.collect()
        assert reports == []

    def test_unretrieved(self, impl, on, reports):
        async def main():
            gathering = impl.gather(failing(ValueError("lost")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert gathering.done()

        on.run_until_complete(main())
        gc.collect()
        assert [report["message"] for report in reports] == ["_GatheringFuture exception was never retrieved"]
        assert reports[0]["exception"].args == ("lost",)
        reports.clear()


class TestArguments:
    def test_parameters(self, impl):
        parameters = inspect.signature(impl.gather).parameters
        assert [(p.name, p.kind) for p in parameters.values()] == [
            ("coros_or_futures", inspect.Parameter.VAR_POSITIONAL),
            ("return_exceptions", inspect.Parameter.KEYWORD_ONLY),
        ]

    def test_unknown_keyword(self, impl):
        with pytest.raises(TypeError, match=r"^gather\(\) got an unexpected keyword argument 'loop'"):
            impl.gather(loop=None)

    def test_no_awaitable(self, impl, on):
        async def main():
            with pytest.raises(TypeError, match=r"^An asyncio.Future, a coroutine or an awaitable is "):
                impl.gather(1)

        on.run_until_complete(main())

    def test_an_error_half_way(self, impl, on, reports):
        async def main():
            child = asyncio.ensure_future(failing(ValueError("nobody waits")))
            with pytest.raises(TypeError):
                impl.gather(child, 1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert child.done()

        on.run_until_complete(main())
        gc.collect()
        assert reports == []  # asyncio takes the exception for retrieved

    def test_two_loops(self, impl, on, make_loop):
        ours, theirs = on.create_future(), make_loop().create_future()

        async def main():
            with pytest.raises(ValueError, match=r"^The future belongs to a different loop than the one "):
                impl.gather(ours, theirs)

        on.run_until_complete(main())

    def test_futures_of_a_loop_that_does_not_run(self, impl, on):
        children = [on.create_future(), on.create_future()]
        gathering = impl.gather(*children)
        assert gathering.get_loop() is on
        for number, child in enumerate(children):
            child.set_result(number)
        assert on.run_until_complete(gathering) == [0, 1]


class TestOrder:
    def test_callbacks_come_in_turn(self, impl, on):
        """The one callback per child stands among the child's others, where asyncio's stands."""
        log = []

        async def main():
            child = on.create_future()
            child.add_done_callback(lambda _: log.append("before"))
            gathering = impl.gather(child)
            child.add_done_callback(lambda _: log.append(f"after, gathering done: {gathering.done()}"))
            gathering.add_done_callback(lambda _: log.append("gathered"))
            child.set_result(1)
            on.call_soon(log.append, "soon")
            await gathering
            log.append("awaited")

        on.run_until_complete(main())
        assert log == ["before", "after, gathering done: True", "soon", "gathered", "awaited"]

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="called back at the next turn before 3.12")
    def test_done_children_are_gathered_at_once(self, impl, on):
        async def main():
            done = on.create_future()
            done.set_result("done")
            assert impl.gather(done, done).result() == ["done", "done"]
            failed = on.create_future()
            failed.set_exception(ValueError())
            assert isinstance(impl.gather(done, failed).exception(), ValueError)

        on.run_until_complete(main())

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_eager_children(self, impl, loop, run):
        async def at_once(result):
            return result

        async def main():
            loop.set_task_factory(impl.eager_task_factory)
            gathering = impl.gather(at_once(1), at_once(2))
            assert gathering.done()
            return gathering.result()

        assert run(main()) == [1, 2]

    def test_the_callback_has_a_name(self, impl, on):
        async def main():
            child = on.create_future()
            gathering = impl.gather(child)
            assert "cb=[gather.<locals>._done_callback()" in repr(child)
            callback = child._callbacks[0][0]
            assert child.remove_done_callback(callback) == 1
            child.set_result(None)
            await asyncio.sleep(0)
            assert not gathering.done()

        on.run_until_complete(main())


class TestCancellation:
    def test_of_the_waiter(self, impl, on):
        async def main():
            children = [asyncio.ensure_future(forever()) for _ in range(3)]
            waiter = asyncio.ensure_future(_await(impl.gather(*children)))
            await asyncio.sleep(0)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            assert all(child.cancelled() for child in children)

        on.run_until_complete(main())

    def test_message(self, impl, on):
        async def main():
            gathering = impl.gather(forever())
            await asyncio.sleep(0)
            assert gathering.cancel("enough") is True
            with pytest.raises(asyncio.CancelledError) as caught:
                await gathering
            assert caught.value.args == ("enough",)
            # The children were cancelled; to the gathering future that is an exception.
            assert not gathering.cancelled()
            assert gathering._cancel_requested

        on.run_until_complete(main())

    def test_nothing_left_to_cancel(self, impl, on):
        async def main():
            child = on.create_future()
            gathering = impl.gather(child)
            child.set_result(1)
            assert gathering.cancel() is False
            assert await gathering == [1]
            assert gathering.cancel() is False

        on.run_until_complete(main())

    def test_children_that_refuse(self, impl, on):
        """With `return_exceptions` too, a gathering that was cancelled ends so."""

        async def stubborn():
            try:
                await forever()
            except asyncio.CancelledError:
                return "stayed"

        async def main():
            gathering = impl.gather(stubborn(), return_exceptions=True)
            await asyncio.sleep(0)
            assert gathering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gathering

        on.run_until_complete(main())

    def test_of_a_child(self, impl, on):
        async def main():
            child, other = asyncio.ensure_future(forever()), asyncio.ensure_future(forever())
            gathering = impl.gather(child, other)
            await asyncio.sleep(0)
            child.cancel("alone")
            with pytest.raises(asyncio.CancelledError) as caught:
                await gathering
            assert caught.value.args == ("alone",)
            assert not gathering.cancelled()
            assert not other.done()
            other.cancel()
            await asyncio.sleep(0)

        on.run_until_complete(main())

    def test_nested(self, impl, on):
        async def main():
            leaf = asyncio.ensure_future(forever())
            inner = impl.gather(leaf)
            outer = impl.gather(inner, value(1))
            await asyncio.sleep(0)
            outer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await outer
            assert leaf.cancelled()
            assert isinstance(inner.exception(), asyncio.CancelledError)

        on.run_until_complete(main())

    def test_overridden_cancel(self, impl, on):
        class Child(impl.Future):
            def cancel(self, msg=None):
                log.append(msg)
                return super().cancel(msg=msg)

        log = []

        async def main():
            gathering = impl.gather(Child(loop=on))
            gathering.cancel("asked")
            with pytest.raises(asyncio.CancelledError):
                await gathering

        on.run_until_complete(main())
        assert log == ["asked"]


class TestForeignFutures:
    def test_future_likes(self, impl, on):
        class Like:
            """All that asyncio asks of a future, and no base class."""

            _asyncio_future_blocking = False

            def __init__(self, result=None, error=None):
                self.outcome = result, error
                self.callbacks = []
                self.is_done = False

            def get_loop(self):
                return on

            def add_done_callback(self, callback, *, context=None):
                self.callbacks.append(callback)

            def finish(self):
                self.is_done = True
                for callback in self.callbacks:
                    on.call_soon(callback, self)

            def done(self):
                return self.is_done

            def cancelled(self):
                return False

            def exception(self):
                return self.outcome[1]

            def result(self):
                return self.outcome[0]

        error = ValueError()

        async def main():
            good, bad = Like("good"), Like(error=error)
            gathering = impl.gather(good, bad, value(1), return_exceptions=True)
            good.finish()
            bad.finish()
            return await gathering

        assert on.run_until_complete(main()) == ["good", error, 1]

    def test_tasks_of_the_standard_library(self, impl, on):
        stock = asyncio.tasks._PyTask

        async def main():
            tasks = [stock(value(number), loop=on) for number in range(3)]
            return await impl.gather(*tasks)

        assert on.run_until_complete(main()) == [0, 1, 2]

    def test_task_factory(self, impl, on):
        made = []

        def factory(loop, coroutine, **keywords):
            made.append(impl.Task(coroutine, loop=loop, **keywords))
            return made[-1]

        async def main():
            on.set_task_factory(factory)
            gathering = impl.gather(value(1), value(2))
            assert gathering._children == made
            assert not any(task._log_destroy_pending for task in made)
            return await gathering

        assert on.run_until_complete(main()) == [1, 2]

    def test_replaced_create_task(self, impl, loop, run):
        made, create_task = [], loop.create_task

        def replaced(coroutine, **keywords):
            made.append(coroutine)
            return create_task(coroutine, **keywords)

        async def main():
            loop.create_task = replaced
            return await impl.gather(value(1), value(2))

        assert run(main()) == [1, 2]
        assert len(made) == 2


class TestMemory:
    def test_no_cycle_is_left(self, impl, on):
        class Result:
            """Something that can be referred to weakly."""

        async def main():
            return await impl.gather(value(Result()), value(Result()))

        gc.disable()
        try:
            results = on.run_until_complete(main())
            references = [weakref.ref(result) for result in results]
            del results
            assert [reference() for reference in references] == [None, None]
        finally:
            gc.enable()

    def test_abandoned(self, impl, on):
        """Futures that wait for each other are collected when nobody else has them."""

        async def main():
            child = on.create_future()
            gathering = impl.gather(child)
            return weakref.ref(child), weakref.ref(gathering)

        references = on.run_until_complete(main())
        gc.collect()
        assert [reference() for reference in references] == [None, None]

    def test_growth(self, impl, on):
        async def main(count):
            for _ in range(count):
                await impl.gather(value(1), value(2))

        assert_no_growth(on, main)


class TestDebugMode:
    def test_source(self, impl, on):
        async def main():
            on.set_debug(True)
            gathering = impl.gather(value(1))
            assert __file__ in [frame.filename for frame in gathering._source_traceback]
            await gathering

        on.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
class TestCallGraph:
    def test_the_caller_awaits_the_children(self, impl, on):
        async def main():
            child = asyncio.ensure_future(forever())
            gathering = impl.gather(child)
            assert child._asyncio_awaited_by == {asyncio.current_task()}
            gathering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gathering
            assert not child._asyncio_awaited_by

        on.run_until_complete(main())

    def test_a_child_that_outlives_the_gathering(self, impl, on):
        async def main():
            child = asyncio.ensure_future(forever())
            with pytest.raises(ValueError, match=r"^over$"):
                await impl.gather(child, failing(ValueError("over")))
            assert not child._asyncio_awaited_by
            child.cancel()
            await asyncio.sleep(0)

        on.run_until_complete(main())


async def _await(awaitable):
    return await awaitable
