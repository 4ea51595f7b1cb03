"""`shield`: the inner future goes on when the outer one is cancelled."""

import asyncio
import gc
import sys
import weakref

import pytest

from tests.unit.programs import assert_no_growth, value


class TestOutcome:
    def test_result(self, impl, on):
        async def main():
            return await impl.shield(value("shielded"))

        assert on.run_until_complete(main()) == "shielded"

    def test_exception(self, impl, on):
        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            inner.set_exception(ValueError("inside"))
            with pytest.raises(ValueError, match=r"^inside$"):
                await outer

        on.run_until_complete(main())

    def test_cancellation_of_the_inner(self, impl, on):
        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            inner.cancel("inside")
            with pytest.raises(asyncio.CancelledError) as caught:
                await outer
            assert outer.cancelled()
            assert caught.value.args == ()  # the message stays inside

        on.run_until_complete(main())

    def test_what_is_done_needs_no_shield(self, impl, on):
        async def main():
            inner = on.create_future()
            inner.set_result(1)
            assert impl.shield(inner) is inner

        on.run_until_complete(main())

    def test_it_is_a_future_of_the_loop(self, impl, on):
        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            assert type(outer) is type(on.create_future())
            assert outer.get_loop() is on
            inner.set_result(None)
            await outer

        on.run_until_complete(main())

    def test_future_of_a_loop_that_does_not_run(self, impl, on):
        inner = on.create_future()
        outer = impl.shield(inner)
        on.call_soon(inner.set_result, "done")
        assert on.run_until_complete(outer) == "done"


class TestCancellationOfTheOuter:
    def test_the_inner_goes_on(self, impl, on):
        async def main():
            inner = asyncio.ensure_future(value("went on"))
            outer = impl.shield(inner)
            assert outer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await outer
            return await inner

        assert on.run_until_complete(main()) == "went on"

    def test_the_waiter_is_cancelled(self, impl, on):
        async def main():
            inner = on.create_future()

            async def wait():
                await impl.shield(inner)

            waiter = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            assert not inner.done()
            # Nothing is left of the shield.
            assert inner._callbacks in (None, [])

        on.run_until_complete(main())

    def test_two_shields(self, impl, on):
        async def main():
            inner = on.create_future()
            first, second = impl.shield(inner), impl.shield(inner)
            first.cancel()
            await asyncio.sleep(0)
            inner.set_result("kept")
            assert await second == "kept"
            assert first.cancelled()

        on.run_until_complete(main())

    def test_both_in_one_turn(self, impl, on, reports):
        """The inner one fails when the outer one is cancelled already, but its callbacks are still there."""

        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            outer.cancel()
            inner.set_exception(ValueError("nobody looks"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        on.run_until_complete(main())
        gc.collect()
        messages = [report["message"] for report in reports]
        if sys.version_info >= (3, 14):
            assert messages == ["Future exception was never retrieved"]
            reports.clear()
        else:
            assert messages == []

    def test_an_exception_later(self, impl, on, reports):
        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            outer.cancel()
            await asyncio.sleep(0)
            inner.set_exception(ValueError("nobody looks"))

        on.run_until_complete(main())
        gc.collect()
        assert [report["message"] for report in reports] == ["Future exception was never retrieved"]
        reports.clear()


class TestCallbacks:
    def test_names(self, impl, on):
        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            assert "shield.<locals>._inner_done_callback()" in repr(inner)
            assert "shield.<locals>._outer_done_callback()" in repr(outer)
            inner.set_result(None)
            await outer

        on.run_until_complete(main())

    def test_order(self, impl, on):
        log = []

        async def main():
            inner = on.create_future()
            inner.add_done_callback(lambda _: log.append("before"))
            outer = impl.shield(inner)
            inner.add_done_callback(lambda _: log.append(f"after, outer done: {outer.done()}"))
            outer.add_done_callback(lambda _: log.append("outer"))
            inner.set_result(None)
            on.call_soon(log.append, "soon")
            await outer

        on.run_until_complete(main())
        assert log == ["before", "after, outer done: True", "soon", "outer"]

    def test_memory(self, impl, on):
        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            return weakref.ref(inner), weakref.ref(outer)

        references = on.run_until_complete(main())
        gc.collect()
        assert [reference() for reference in references] == [None, None]

    def test_growth(self, impl, on):
        async def main(count):
            for _ in range(count):
                await impl.shield(value(1))

        assert_no_growth(on, main)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
class TestCallGraph:
    def test_the_caller_awaits_the_inner(self, impl, on):
        async def main():
            inner = on.create_future()
            outer = impl.shield(inner)
            assert inner._asyncio_awaited_by == {asyncio.current_task()}
            outer.cancel()
            await asyncio.sleep(0)
            assert not inner._asyncio_awaited_by

        on.run_until_complete(main())
