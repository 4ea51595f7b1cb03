"""`wait` and `as_completed`, on the implementation's loop and on others."""

import asyncio
import gc
import inspect
import sys
import weakref

import pytest

since_3_13 = pytest.mark.skipif(sys.version_info < (3, 13), reason="came with Python 3.13")


def new_future():
    return asyncio.get_running_loop().create_future()


async def value(result, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


async def fail(turns=0):
    await value(None, turns)
    raise ZeroDivisionError


def spawn(coroutine):
    return asyncio.get_running_loop().create_task(coroutine)


class TestWait:
    def test_it_is_a_coroutine_function(self, impl):
        if sys.version_info >= (3, 12):
            assert inspect.iscoroutinefunction(impl.wait)
        parameters = inspect.signature(impl.wait).parameters
        assert list(parameters) == ["fs", "timeout", "return_when"]
        assert parameters["timeout"].kind is parameters["timeout"].KEYWORD_ONLY
        assert parameters["return_when"].default == impl.ALL_COMPLETED

    @pytest.mark.parametrize(
        ("arguments", "keywords", "text"),
        [
            ((), {}, r"wait\(\) missing 1 required positional argument: 'fs'"),
            (([], 1), {}, r"wait\(\) takes 1 positional argument but 2 were given"),
            (([],), {"loop": None}, r"wait\(\) got an unexpected keyword argument 'loop'"),
        ],
    )
    def test_misuse(self, impl, arguments, keywords, text):
        with pytest.raises(TypeError, match=text):
            impl.wait(*arguments, **keywords)

    def test_what_cannot_be_waited_for(self, impl, drive):
        async def main():
            future = new_future()
            coroutine = value(1)
            for wrong in (future, coroutine):
                with pytest.raises(
                    TypeError, match=rf"^expect a list of futures, not {type(wrong).__name__}$"
                ):
                    await impl.wait(wrong)
            for empty in ([], (), set(), {}):
                with pytest.raises(ValueError, match=r"^Set of Tasks/Futures is empty\.$"):
                    await impl.wait(empty)
            with pytest.raises(TypeError, match=r"^'int' object is not iterable$"):
                await impl.wait(1)
            with pytest.raises(TypeError, match=r"^Passing coroutines is forbidden, use tasks explicitly\.$"):
                await impl.wait([future, coroutine])
            for when in ("SOME", None, 1):
                with pytest.raises(ValueError, match=rf"^Invalid return_when value: {when}$"):
                    await impl.wait([future], return_when=when)
            coroutine.close()

        drive(main())

    def test_outside_a_loop(self, impl):
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.wait([1]).send(None)

    def test_all(self, impl, drive):
        async def main():
            tasks = [spawn(value(1)), spawn(fail(2)), spawn(value(2, 5))]
            done, pending = await impl.wait(iter(tasks))
            assert (type(done), type(pending)) == (set, set)
            assert (done, pending) == (set(tasks), set())
            assert [task.done() for task in tasks] == [True] * 3
            assert type(tasks[1].exception()) is ZeroDivisionError

        drive(main())

    def test_done_ones_need_one_turn(self, impl, drive):
        async def main():
            future = new_future()
            future.set_result(1)
            order = []
            asyncio.get_running_loop().call_soon(order.append, "other")
            done, pending = await impl.wait([future, future], timeout=3600)
            assert (done, pending, order) == ({future}, set(), ["other"])

        drive(main())

    def test_the_given_set_is_left_alone(self, impl, drive):
        async def main():
            given = {spawn(value(1)), new_future()}
            before = set(given)
            done, pending = await impl.wait(given, return_when=impl.FIRST_COMPLETED)
            assert given == before
            assert done is not given
            assert pending is not given
            assert done | pending == given

        drive(main())

    def test_first(self, impl, drive):
        async def main():
            slow, failing = new_future(), spawn(fail(1))
            done, pending = await impl.wait([slow, failing], return_when=impl.FIRST_COMPLETED)
            assert (done, pending) == ({failing}, {slow})
            assert not slow._callbacks
            assert type(failing.exception()) is ZeroDivisionError

        drive(main())

    def test_first_exception(self, impl, drive):
        async def main():
            slow, quick, failing, cancelled = new_future(), spawn(value(1)), spawn(fail(5)), new_future()
            cancelled.cancel()
            given = [slow, quick, failing, cancelled]
            done, pending = await impl.wait(given, return_when=impl.FIRST_EXCEPTION)
            assert (done, pending) == ({quick, failing, cancelled}, {slow})

        drive(main())

    def test_first_exception_marks_it_as_seen(self, impl, drive):
        async def main():
            failing = spawn(fail())
            await impl.wait([failing], return_when=impl.FIRST_COMPLETED)
            seen = failing._log_traceback
            await impl.wait([failing, new_future()], return_when=impl.FIRST_EXCEPTION)
            return seen, failing._log_traceback

        assert drive(main()) == (True, False)

    @pytest.mark.parametrize("timeout", [0, -1, 0.001])
    def test_timeout(self, impl, drive, timeout):
        async def main():
            slow, quick = new_future(), new_future()
            quick.set_result(1)
            done, pending = await impl.wait([slow, quick], timeout=timeout)
            assert (done, pending) == ({quick}, {slow})
            assert not slow._callbacks
            assert not slow.cancelled()

        drive(main())

    def test_cancelled(self, impl, drive):
        async def main():
            futures = [new_future(), new_future()]
            waiting = spawn(impl.wait(futures, timeout=3600))
            await asyncio.sleep(0)
            assert [len(future._callbacks) for future in futures] == [1, 1]
            waiting.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert [(future.cancelled(), bool(future._callbacks)) for future in futures] == [
                (False, False),
                (False, False),
            ]

        drive(main())

    def test_cancelled_when_it_was_about_to_end(self, impl, drive):
        async def main():
            future = new_future()
            waiting = spawn(impl.wait([future]))
            await asyncio.sleep(0)
            future.set_result(1)
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        drive(main())

    def test_every_kind_of_future(self, impl, drive):
        class Future(impl.Future):
            pass

        class Duck:
            """Has what `wait` needs, and nothing else."""

            _asyncio_future_blocking = False

            def __init__(self):
                self.callbacks = []

            def done(self):
                return not self.callbacks

            def cancelled(self):
                return False

            def exception(self):
                return None

            def add_done_callback(self, callback):
                self.callbacks.append(callback)

            def remove_done_callback(self, callback):
                self.callbacks = [each for each in self.callbacks if each != callback]

            def finish(self):
                callbacks, self.callbacks = self.callbacks, []
                for callback in callbacks:
                    callback(self)

        async def main():
            loop = asyncio.get_running_loop()
            for when in (impl.FIRST_COMPLETED, impl.FIRST_EXCEPTION, impl.ALL_COMPLETED):
                duck, own, stock, native = Duck(), Future(), asyncio.Future(), impl.Future()
                for future in (own, stock, native):
                    loop.call_soon(future.set_result, 1)
                loop.call_soon(duck.finish)
                done, pending = await impl.wait([duck, own, stock, native], return_when=when)
                assert done | pending == {duck, own, stock, native}
                assert when == impl.FIRST_COMPLETED or not pending
                assert duck.callbacks == []

        drive(main())


class TestAsCompleted:
    def test_signature(self, impl):
        parameters = inspect.signature(impl.as_completed).parameters
        assert list(parameters) == ["fs", "timeout"]
        assert parameters["timeout"].kind is parameters["timeout"].KEYWORD_ONLY
        assert not inspect.iscoroutinefunction(impl.as_completed)

    def test_what_cannot_be_iterated(self, impl, drive):
        async def main():
            expected = (
                "expects an iterable of awaitables"
                if sys.version_info >= (3, 13)
                else ("expect an iterable of futures")
            )
            coroutine = value(1)
            for wrong in (new_future(), coroutine):
                with pytest.raises(TypeError, match=rf"^{expected}, not {type(wrong).__name__}$"):
                    next(impl.as_completed(wrong))
            with pytest.raises(TypeError, match=r"^'int' object is not iterable$"):
                next(impl.as_completed(1))
            with pytest.raises(
                TypeError, match=r"^An asyncio.Future, a coroutine or an awaitable is required$"
            ):
                next(impl.as_completed([1]))
            coroutine.close()

        drive(main())

    def test_nothing(self, impl, drive):
        async def main():
            assert list(impl.as_completed([])) == []
            assert list(impl.as_completed([], timeout=1)) == []

        drive(main())

    def test_order(self, impl, drive):
        async def main():
            coroutines = [value("third", 5), value("second", 3), value("first", 1)]
            return [await each for each in impl.as_completed(coroutines)]

        assert drive(main()) == ["first", "second", "third"]

    def test_it_hands_out_coroutines_once(self, impl, drive):
        async def main():
            iterator = impl.as_completed([value(1), value(1, 2)])
            assert iter(iterator) is iterator
            coroutines = list(iterator)
            assert [asyncio.iscoroutine(each) for each in coroutines] == [True, True]
            assert list(iterator) == []
            assert [await each for each in coroutines] == [1, 1]
            with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
                await coroutines[0]

        drive(main())

    def test_each_awaitable_counts_once(self, impl, drive):
        async def main():
            future = new_future()
            future.set_result(1)
            task = spawn(value(2))
            return sorted([await each for each in impl.as_completed([future, task, future, task])])

        assert drive(main()) == [1, 2]

    def test_exceptions_come_out(self, impl, drive):
        async def main():
            outcomes = []
            cancelled = new_future()
            cancelled.cancel()
            for each in impl.as_completed([value(1), fail(2), cancelled]):
                try:
                    outcomes.append(await each)
                except (ZeroDivisionError, asyncio.CancelledError) as error:
                    outcomes.append(type(error))
            return outcomes

        outcomes = drive(main())
        assert set(outcomes) == {1, asyncio.CancelledError, ZeroDivisionError}
        assert outcomes[-1] is ZeroDivisionError

    def test_timeout(self, impl, drive):
        async def main():
            quick, slow = new_future(), new_future()
            quick.set_result(1)
            outcomes = []
            for each in impl.as_completed([quick, slow, new_future()], timeout=0.001):
                try:
                    outcomes.append(await each)
                except TimeoutError as error:
                    outcomes.append((type(error), error.args))
            assert not slow.done()
            assert not slow._callbacks
            return outcomes

        assert drive(main()) == [1, (TimeoutError, ()), (TimeoutError, ())]

    def test_a_timeout_that_is_not_needed(self, impl, drive):
        async def main():
            return [await each for each in impl.as_completed([value(1), value(1, 3)], timeout=3600)]

        assert drive(main()) == [1, 1]

    def test_coroutines_get_theirs_in_the_order_in_which_they_wait(self, impl, drive):
        async def main():
            order = []

            async def wait(name, coroutine):
                order.append((name, await coroutine))

            futures = [new_future() for _ in range(3)]
            first, second, third = impl.as_completed(futures)
            tasks = [spawn(wait(2, second)), spawn(wait(3, third)), spawn(wait(1, first))]
            await asyncio.sleep(0)
            for number, future in enumerate(futures):
                future.set_result(number)
            await asyncio.wait(tasks)
            return order

        assert drive(main()) == [(2, 0), (3, 1), (1, 2)]

    @pytest.mark.parametrize("moment", ["waiting", "woken"])
    def test_a_cancelled_wait_loses_nobody(self, impl, drive, moment):
        async def main():
            future, other = new_future(), new_future()
            first, second = impl.as_completed([future, other])
            waiting, next_in_line = spawn(first), spawn(second)
            await asyncio.sleep(0)
            if moment == "woken":
                future.set_result("result")
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            if moment == "waiting":
                future.set_result("result")
            return await next_in_line

        assert drive(main()) == "result"

    def test_the_first_wait_binds_it_to_a_loop(self, impl, drive, make_loop):
        async def main():
            first, second = impl.as_completed([new_future(), new_future()])
            first.send(None)
            return first, second

        first, second = drive(main())
        with pytest.raises(RuntimeError, match=r"is bound to a different event loop$"):
            make_loop().run_until_complete(second)
        first.close()

    def test_without_a_loop(self, impl):
        coroutine = value(1)
        asyncio.set_event_loop(None)
        with pytest.raises(RuntimeError, match=r"^There is no current event loop"):
            list(impl.as_completed([coroutine]))
        coroutine.close()

    @pytest.mark.skipif(sys.version_info >= (3, 13), reason="a generator before 3.13")
    def test_it_begins_with_the_first_next(self, impl, drive):
        async def main():
            future = new_future()
            iterator = impl.as_completed([future])
            assert not future._callbacks
            coroutine = next(iterator)
            assert len(future._callbacks) == 1
            coroutine.close()

        drive(main())

    @since_3_13
    def test_it_begins_at_once(self, impl, drive):
        async def main():
            future = new_future()
            iterator = impl.as_completed([future])
            assert len(future._callbacks) == 1
            del iterator

        drive(main())

    @since_3_13
    def test_async_iteration_gives_the_futures(self, impl, drive):
        async def main():
            tasks = [spawn(value("second", 3)), spawn(value("first", 1))]
            iterator = impl.as_completed([*tasks, value("third", 5)])
            assert aiter(iterator) is iterator
            seen = [each async for each in iterator]
            assert seen[:2] == [tasks[1], tasks[0]]
            assert isinstance(seen[2], asyncio.Task)
            assert [each.result() for each in seen] == ["first", "second", "third"]
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)

        drive(main())

    @since_3_13
    def test_async_iteration_with_a_timeout(self, impl, drive):
        async def main():
            task = spawn(value(1))
            seen = []
            with pytest.raises(TimeoutError):
                async for each in impl.as_completed([task, new_future()], timeout=0.001):
                    seen.append(each)
            assert seen == [task]

        drive(main())

    @since_3_13
    def test_iterating_in_both_ways(self, impl, drive):
        async def main():
            iterator = impl.as_completed([value(1, 1), value(2, 3), value(3, 5)])
            assert await next(iterator) == 1
            second = await anext(iterator)
            assert second.result() == 2
            assert [await each for each in iterator] == [3]

        drive(main())

    @since_3_13
    def test_nothing_is_taken_before_anext_is_awaited(self, impl, drive):
        async def main():
            iterator = impl.as_completed([value(1)])
            ahead = anext(iterator)
            (only,) = iterator
            with pytest.raises(StopAsyncIteration):
                await ahead
            assert await only == 1

        drive(main())

    @since_3_13
    def test_attributes(self, impl, drive):
        async def main():
            iterator = impl.as_completed([])
            assert type(iterator).__name__ == "_AsCompletedIterator"
            iterator.attribute = 1
            assert vars(iterator)["attribute"] == 1

        drive(main())


class TestCrowd:
    """So many that cancelling each would not end within the time limit if it looked at all the others."""

    COUNT = 60_000

    @pytest.mark.yibu_only  # stock looks at all of them
    @pytest.mark.parametrize("order", [1, -1])
    @pytest.mark.parametrize("way", ["wait", "shield"])
    def test_of_waits_for_one_future(self, impl, make_loop, way, order):
        async def main():
            future = new_future()
            if way == "wait":
                waits = [spawn(impl.wait([future])) for _ in range(self.COUNT)]
            else:
                waits = [impl.shield(future) for _ in range(self.COUNT)]
            await asyncio.sleep(0)
            for each in waits[::order]:
                each.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert all(each.cancelled() for each in waits)
            assert not future._callbacks
            future.set_result("done")

        make_loop().run_until_complete(main())

    def test_callbacks_keep_their_order(self, impl, make_loop):
        """Whatever is removed from among many, the rest runs in the order in which it was added."""

        async def main():
            future, log = new_future(), []
            shields = []
            for number in range(300):
                shields.append(impl.shield(future))
                shields[-1].add_done_callback(lambda _, number=number: log.append(number))
            future.add_done_callback(lambda _: log.append("last"))
            kept = [number for number in range(300) if number % 3]
            for number in range(0, 300, 3):
                shields[number].cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(future._callbacks) >= len(kept) + 1
            log.clear()
            future.set_result(None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert log == ["last", *kept]

        make_loop().run_until_complete(main())


class TestMemory:
    def test_nothing_stays(self, impl, make_loop):
        async def main():
            slow = new_future()
            references = []
            for _ in range(3):
                quick = spawn(value(1))
                await impl.wait([quick, slow], timeout=3600, return_when=impl.FIRST_COMPLETED)
                references.append(weakref.ref(quick))
                quick = spawn(value(1))
                assert await next(impl.as_completed([quick], timeout=3600)) == 1
                references.append(weakref.ref(quick))
                quick = None
            assert not slow._callbacks
            return references

        references = make_loop().run_until_complete(main())
        gc.collect()
        assert [reference() for reference in references] == [None] * 6

    @pytest.mark.yibu_only  # stock's stays until all futures are done
    @pytest.mark.parametrize("begun", [0, 1])
    def test_an_abandoned_iterator(self, impl, make_loop, begun):
        async def main():
            slow = new_future()
            iterator = impl.as_completed([slow, value(1)], timeout=3600)
            for _ in range(begun):
                assert await next(iterator) == 1
            if not begun:
                next(iterator).close()
            reference = weakref.ref(iterator)
            assert slow._callbacks
            del iterator
            assert reference() is None
            assert not slow._callbacks
            for _ in range(3):
                await asyncio.sleep(0)

        loop = make_loop()
        loop.run_until_complete(main())

    def test_a_coroutine_keeps_its_iterator(self, impl, make_loop):
        async def main():
            future = new_future()
            coroutine = next(impl.as_completed([future]))
            gc.collect()
            future.set_result("result")
            assert await coroutine == "result"

        make_loop().run_until_complete(main())

    def test_an_iterator_in_a_cycle_with_its_futures(self, impl):
        async def main():
            future = new_future()
            iterator = impl.as_completed([future], timeout=3600)
            future.iterator = iterator
            future.coroutine = next(iterator)
            future.coroutine.send(None)
            return weakref.ref(future)

        loop = impl.new_event_loop()
        reference = loop.run_until_complete(main())
        loop.close()
        del loop
        gc.collect()
        assert reference() is None
