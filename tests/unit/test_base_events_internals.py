"""What libraries use of a loop under private names: `_ready`, `_scheduled`, `_selector`, `_run_once`."""

import asyncio
import functools
import heapq
import inspect
import selectors
import signal
import socket
import sys
import threading
import types

import pytest


@pytest.fixture
def log():
    return []


class TestReady:
    def test_counts_and_holds_what_runs_next(self, loop, log):
        assert len(loop._ready) == 0
        assert not loop._ready
        first, second = loop.call_soon(log.append, 1), loop.call_soon(log.append, 2)
        assert len(loop._ready) == 2
        assert first in loop._ready
        assert list(loop._ready) == [first, second]
        assert loop._ready[-1] is second
        loop.stop()
        loop.run_forever()
        assert log == [1, 2]
        assert not loop._ready

    def test_what_is_taken_out_does_not_run(self, loop, log):
        for number in range(5):
            loop.call_soon(log.append, number)
        first, last = loop._ready.popleft(), loop._ready.pop()
        loop._ready.remove(loop._ready[1])
        loop.stop()
        loop.run_forever()
        assert log == [1, 3]
        first._run()
        last._run()
        assert log == [1, 3, 0, 4]

    def test_what_is_put_in_runs(self, loop, log):
        timer = loop.call_later(1000, log.append, "timer")
        loop.call_soon(log.append, "second")
        loop._ready.append(timer)
        loop._ready.appendleft(asyncio.Handle(log.append, ("first",), loop))
        loop._ready.extend([asyncio.Handle(log.append, ("last",), loop)])
        loop.stop()
        loop.run_forever()
        assert log == ["first", "second", "timer", "last"]
        timer.cancel()

    def test_clear_drops_everything(self, loop, log):
        loop.call_soon(log.append, 1)
        loop._ready.clear()
        loop.stop()
        loop.run_forever()
        assert log == []
        with pytest.raises(IndexError):
            loop._ready.popleft()

    def test_steps_and_callbacks_of_futures_are_handles(self, loop, impl, log):
        async def main():
            future = loop.create_future()
            future.add_done_callback(lambda _future: log.append("callback"))
            waiting = impl.ensure_future(future, loop=loop)
            task = loop.create_task(impl.sleep(0, "result"))
            future.set_result(None)
            handles = [loop._ready.popleft() for _ in range(len(loop._ready))]
            assert all(isinstance(handle, asyncio.Handle) and not handle._cancelled for handle in handles)
            loop._ready.extend(handles)
            await waiting
            return await task

        assert loop.run_until_complete(main()) == "result"
        assert log == ["callback"]


class TestScheduled:
    def test_the_next_timer_comes_first(self, loop, log):
        late, soon = loop.call_later(50, log.append, 1), loop.call_later(5, log.append, 2)
        assert loop._scheduled[0] is soon
        assert {id(timer) for timer in loop._scheduled} == {id(late), id(soon)}
        assert loop._scheduled[0]._when == soon.when()
        late.cancel()
        soon.cancel()

    def test_what_is_popped_is_not_due(self, loop, log):
        loop.call_later(0, log.append, "popped")
        kept = loop.call_at(loop.time(), log.append, "kept")
        scheduled = loop._scheduled
        popped = heapq.heappop(scheduled)
        if popped is kept:
            popped = heapq.heapreplace(scheduled, kept)
        assert popped not in loop._scheduled
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        assert log == ["kept"]
        popped._run()
        assert log == ["kept", "popped"]

    def test_sleeps_and_time_limits_are_among_them(self, loop, impl):
        async def main():
            async with impl.timeout(100) as limit:
                task = loop.create_task(impl.sleep(50))
                await impl.sleep(0)
                timers = loop._scheduled
                assert [round(timer.when() - loop.time(), -1) for timer in sorted(timers)][-2:] == [50, 100]
                assert all(isinstance(timer, asyncio.TimerHandle) for timer in timers)
                task.cancel()
                limit.reschedule(loop.time() - 1)
                await impl.sleep(1)

        with pytest.raises(TimeoutError):
            loop.run_until_complete(main())

    def test_cancelled_timers_are_counted(self, loop):
        timers = [loop.call_later(100 + number, int) for number in range(10)]
        assert loop._timer_cancelled_count == 0
        timers[3].cancel()
        assert loop._timer_cancelled_count == 1


class TestSelector:
    def test_has_what_is_watched(self, loop):
        ours, peer = socket.socketpair()
        with ours, peer:
            loop.add_reader(ours, int)
            loop.add_writer(ours, int)
            assert loop._selector.get_map()[ours.fileno()].fd == ours.fileno()
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            assert loop._selector.get_key(ours.fileno()).events == both
            loop.remove_writer(ours)
            assert loop._selector.get_key(ours.fileno()).events == selectors.EVENT_READ
            loop.remove_reader(ours)
            with pytest.raises(KeyError):
                loop._selector.get_key(ours.fileno())

    def test_a_select_of_the_program_s_own_is_asked(self, loop, log):
        selector, timeouts = loop._selector, []
        original = selector.select

        def select(timeout=None):
            timeouts.append(timeout)
            return original(timeout)

        selector.select = select
        ours, peer = socket.socketpair()
        with ours, peer:
            peer.send(b"x")
            loop.add_reader(ours, lambda: (log.append("reader"), loop.remove_reader(ours)))
            loop.call_later(0.01, log.append, "timer")
            loop.call_later(0.02, loop.stop)
            loop.run_forever()
        del selector.select
        assert log == ["reader", "timer"]
        assert any(timeout is not None and 0 < timeout <= 0.02 for timeout in timeouts)
        count = len(timeouts)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert len(timeouts) == count

    def test_time_that_only_the_selector_moves(self, impl, log):
        """What test libraries with a clock of their own do: an hour passes at once."""

        loop = impl.new_event_loop()
        try:
            clock = [1000.0]
            loop.time = lambda: clock[0]
            original = loop._selector.select

            def select(timeout=None):
                clock[0] += timeout or 0
                return original(0)

            loop._selector.select = select
            loop.run_until_complete(impl.sleep(3600))
            assert clock[0] >= 4600
        finally:
            loop.close()


class TestTurnsByHand:
    def test_run_once_runs_what_is_ready(self, loop, log):
        loop.call_soon(lambda: (log.append("first"), loop.call_soon(log.append, "next turn")))
        loop.call_soon(log.append, "second")
        loop._run_once()
        assert log == ["first", "second"]
        loop._run_once()
        assert log == ["first", "second", "next turn"]

    def test_run_once_waits_for_a_timer(self, loop, log):
        loop.call_later(0.005, log.append, "timer")
        while not log:
            loop._run_once()
        assert log == ["timer"]

    @pytest.mark.yibu_only  # asyncio's own turn would run out of handles
    def test_run_once_in_a_callback(self, loop, log):
        def outer():
            loop.call_soon(log.append, "inner")
            loop._run_once()
            log.append("outer")

        loop.call_soon(outer)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert log == ["inner", "outer"]

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
    def test_setup_and_cleanup_of_a_run(self, loop, impl):
        loop._run_forever_setup()
        try:
            assert loop.is_running()
            assert asyncio.get_running_loop() is loop
            task = loop.create_task(impl.sleep(0, "done"))
            while not task.done():
                loop._run_once()
        finally:
            loop._run_forever_cleanup()
        assert not loop.is_running()
        assert asyncio._get_running_loop() is None
        assert task.result() == "done"


class TestOthers:
    def test_signal_handlers(self, loop, log):
        assert dict(loop._signal_handlers) == {}
        loop.add_signal_handler(signal.SIGWINCH, log.append, 1)
        handle = loop._signal_handlers[signal.SIGWINCH]
        assert (handle._callback, handle._args) == (log.append, (1,))
        loop.remove_signal_handler(signal.SIGWINCH)
        assert signal.SIGWINCH not in loop._signal_handlers

    def test_check_callback(self, loop):
        async def coroutine_function():
            pass

        loop._check_callback(int, "call_soon")
        with pytest.raises(TypeError, match=r"coroutines cannot be used with call_soon\(\)"):
            loop._check_callback(coroutine_function, "call_soon")
        with pytest.raises(TypeError, match=r"a callable object was expected by call_at\(\), got 1"):
            loop._check_callback(1, "call_at")

    @pytest.mark.parametrize("bound", [False, True])
    @pytest.mark.parametrize("kind", ["async def", "marked", "partial", "ordinary", "of C"])
    def test_which_callbacks_are_refused(self, loop, kind, bound):
        async def coroutine_function(_self=None):
            pass

        def marked(_self=None):
            pass

        if kind == "marked":
            if sys.version_info < (3, 12):
                pytest.skip("marks came with 3.12")
            inspect.markcoroutinefunction(marked)
        made = {
            "async def": coroutine_function,
            "marked": marked,
            "partial": functools.partial(coroutine_function),
            "ordinary": marked,
            "of C": print,
        }[kind]
        if bound:
            made = types.MethodType(made, object())
        if kind in ("ordinary", "of C"):
            loop._check_callback(made, "call_soon")
        else:
            with pytest.raises(TypeError, match="coroutines cannot be used"):
                loop._check_callback(made, "call_soon")

    def test_call_soon_without_checks(self, loop, log):
        handle = loop._call_soon(log.append, (1,), None)
        assert isinstance(handle, asyncio.Handle)
        loop.stop()
        loop.run_forever()
        assert log == [1]

    def test_clock_resolution(self, loop, log):
        assert 0 < loop._clock_resolution < 0.01
        loop._clock_resolution = 10.0
        loop.call_later(5, log.append, "due")
        loop._run_once()
        assert log == ["due"]

    def test_executor_shutdown_called(self, loop):
        assert loop._executor_shutdown_called is False
        loop._executor_shutdown_called = True
        with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
            loop.run_in_executor(None, int)
        loop._executor_shutdown_called = False

    def test_thread_id_can_be_set(self, loop):
        assert loop._thread_id is None
        loop._thread_id = 17
        assert loop.is_running()
        loop._thread_id = None
        assert not loop.is_running()


class TestWaitingByHand:
    """A program that calls `_selector.select()` itself, as nest_asyncio does, is woken by other threads."""

    @pytest.mark.parametrize("before", [True, False], ids=["posted before", "posted meanwhile"])
    def test_call_soon_threadsafe(self, loop, before):
        done = []
        waiting = threading.Event()

        def post():
            if not before:
                waiting.wait(10)
            loop.call_soon_threadsafe(done.append, 1)

        thread = threading.Thread(target=post)
        thread.start()
        if before:
            thread.join()
        waiting.set()
        loop._selector.select(None)
        thread.join()
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert done == [1]
