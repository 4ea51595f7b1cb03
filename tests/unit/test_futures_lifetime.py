"""asyncio.futures: reports of what nobody retrieved, references, and futures of other kinds."""

import asyncio
import concurrent.futures
import gc
import threading
import weakref

import pytest

from tests.unit.programs import turn


@pytest.fixture
def future(loop):
    return loop.create_future()


class TestNeverRetrieved:
    def test_reported_when_the_future_goes(self, loop, reports):
        future = loop.create_future()
        error = ValueError("lost")
        future.set_exception(error)
        text = repr(future)
        del future
        gc.collect()
        (context,) = reports
        assert set(context) == {"message", "exception", "future"}
        assert context["message"] == "Future exception was never retrieved"
        assert context["exception"] is error
        assert repr(context["future"]) == text

    def test_subclass_is_named(self, impl, loop, reports):
        class MyFuture(impl.Future):
            pass

        future = MyFuture(loop=loop)
        future.set_exception(ValueError("lost"))
        del future
        gc.collect()
        assert [context["message"] for context in reports] == ["MyFuture exception was never retrieved"]

    def test_debug_adds_the_origin(self, impl, loop, reports):
        loop.set_debug(True)
        future = impl.Future(loop=loop)
        future.set_exception(ValueError("lost"))
        del future
        gc.collect()
        (context,) = reports
        assert set(context) == {"message", "exception", "future", "source_traceback"}
        assert context["source_traceback"][-1].name == "test_debug_adds_the_origin"

    @pytest.mark.parametrize("retrieve", ["result", "exception", "await", "flag"])
    def test_not_reported_once_retrieved(self, loop, retrieve):
        future = loop.create_future()
        future.set_exception(ValueError("found"))
        assert future._log_traceback is True
        if retrieve == "exception":
            future.exception()
        elif retrieve == "flag":
            future._log_traceback = False
        else:
            with pytest.raises(ValueError):
                future.result() if retrieve == "result" else loop.run_until_complete(future)
        assert future._log_traceback is False
        del future
        gc.collect()

    def test_not_reported_for_results_and_cancellation(self, loop):
        for finish in (lambda f: f.set_result(1), lambda f: f.cancel(), lambda f: None):
            future = loop.create_future()
            finish(future)
            assert future._log_traceback is False
            del future
        gc.collect()

    def test_the_report_may_keep_the_future(self, make_loop):
        """The handler may store the future: it is alive again, and it is reported once."""
        loop, kept = make_loop(), []
        loop.set_exception_handler(lambda _, context: kept.append(context["future"]))
        future = loop.create_future()
        future.set_exception(ValueError("lost"))
        del future
        gc.collect()
        assert len(kept) == 1
        assert repr(kept[0]) == "<Future finished exception=ValueError('lost')>"
        assert kept[0].done()
        kept[0].exception()
        kept.clear()
        gc.collect()
        assert kept == []

    def test_a_failing_handler_is_harmless(self, make_loop, caplog):
        loop = make_loop()

        def handler(_, context):
            raise ZeroDivisionError("handler")

        loop.set_exception_handler(handler)
        future = loop.create_future()
        future.set_exception(ValueError("lost"))
        del future
        gc.collect()
        assert "Unhandled error in exception handler" in caplog.text

    def test_log_flag_can_only_be_cleared(self, future):
        with pytest.raises(ValueError, match=r"^_log_traceback can only be set to False$"):
            future._log_traceback = True
        future._log_traceback = False

    def test_in_a_reference_cycle(self, loop, reports):
        class Node:
            """Anything that can hold a future."""

        node = Node()
        node.future = loop.create_future()
        node.future.add_done_callback(lambda _, node=node: None)
        node.future.set_exception(ValueError("lost"))
        turn(loop)
        node.itself = node
        del node
        gc.collect()
        assert [context["message"] for context in reports] == ["Future exception was never retrieved"]


class TestMemory:
    def test_weak_reference(self, loop):
        future = loop.create_future()
        reference = weakref.ref(future)
        assert reference() is future
        del future
        assert reference() is None

    def test_collected_in_a_cycle(self, loop):
        future = loop.create_future()
        reference = weakref.ref(future)
        future.add_done_callback(lambda _, future=future: None)
        del future
        gc.collect()
        assert reference() is None

    def test_result_in_a_cycle_with_its_future(self, loop):
        future = loop.create_future()
        reference = weakref.ref(future)
        future.set_result([future])
        del future
        gc.collect()
        assert reference() is None

    def test_a_finished_future_forgets_its_callbacks(self, loop):
        class Callback:
            def __call__(self, _):
                """Does nothing, weakly."""

        future, callback = loop.create_future(), Callback()
        reference = weakref.ref(callback)
        future.add_done_callback(callback)
        del callback
        future.set_result(None)
        turn(loop)
        gc.collect()
        assert reference() is None

    def test_tracked_by_the_collector(self, future):
        assert gc.is_tracked(future)
        assert future._loop in gc.get_referents(future)

    def test_awaiting_an_exception_leaves_no_cycle(self, run, loop):
        """The exception's traceback must not keep the future that holds the exception alive."""
        references = []

        def fail_soon():
            future = loop.create_future()
            loop.call_soon(future.set_exception, ValueError("no"))
            references.append(weakref.ref(future))
            return future

        async def main():
            with pytest.raises(ValueError):
                await fail_soon()

        gc.collect()
        gc.disable()
        try:
            run(main())
            assert references[0]() is None
        finally:
            gc.enable()


class TestIsfutureAndWrapFuture:
    def test_isfuture(self, impl, future):
        assert impl.isfuture(future) and asyncio.isfuture(future)
        assert not impl.isfuture(type(future))
        assert not impl.isfuture(concurrent.futures.Future())
        assert not impl.isfuture(None)

    def test_isfuture_asks_the_class(self, impl):
        class Like:
            _asyncio_future_blocking = False

        class Unlike:
            def __getattr__(self, name):
                return False

        assert impl.isfuture(Like())
        assert not impl.isfuture(Unlike())

    def test_wrap_future_of_a_future_is_itself(self, impl, future):
        assert impl.wrap_future(future) is future

    def test_wrap_future_result(self, impl, loop, run):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=loop)
        assert isinstance(outer, asyncio.Future)
        thread = threading.Thread(target=inner.set_result, args=("from a thread",))
        loop.call_soon(thread.start)
        assert run(outer) == "from a thread"
        thread.join()

    def test_wrap_future_exception(self, impl, loop, run):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=loop)
        inner.set_exception(ValueError("no"))
        with pytest.raises(ValueError, match=r"^no$"):
            run(outer)

    def test_cancelling_either_cancels_the_other(self, impl, loop):
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=loop)
        outer.cancel()
        turn(loop)
        assert inner.cancelled()
        inner = concurrent.futures.Future()
        outer = impl.wrap_future(inner, loop=loop)
        inner.cancel()
        turn(loop)
        turn(loop)
        assert outer.cancelled()

    def test_not_a_future(self, impl, loop):
        with pytest.raises(AssertionError):
            impl.wrap_future(1, loop=loop)

    def test_await_a_future_like(self, run, loop):
        """Anything with a blocking flag, callbacks and a loop can be awaited by a task."""

        class Like:
            _asyncio_future_blocking = False

            def __init__(self):
                self.callbacks, self.value = [], None

            def get_loop(self):
                return loop

            def add_done_callback(self, callback, *, context=None):
                self.callbacks.append((callback, context))

            def cancel(self, msg=None):
                return False

            def result(self):
                return self.value

            def __await__(self):
                self._asyncio_future_blocking = True
                yield self
                return self.result()

            def finish(self, value):
                self.value = value
                for callback, context in self.callbacks:
                    loop.call_soon(callback, self, context=context)

        async def main():
            like = Like()
            loop.call_soon(like.finish, "like a future")
            return await like

        assert run(main()) == "like a future"
