"""`_ready` and `_scheduled` of a loop are a deque and a heap to who holds them: no change of them is lost."""

import asyncio
import bisect
import copy
import heapq
import sys
import threading
import weakref
from collections import deque

import pytest


@pytest.fixture
def log():
    return []


@pytest.fixture
def turn(loop):
    """Run one turn of the loop."""

    def turn():
        loop.call_soon(loop.stop)
        loop.run_forever()

    return turn


class TestReady:
    def test_it_is_a_deque(self, loop, log):
        first, second = loop.call_soon(log.append, 1), loop.call_soon(log.append, 2)
        ready = loop._ready
        assert ready is loop._ready
        assert isinstance(ready, deque)
        assert ready.maxlen is None
        assert ready == deque([first, second])
        assert deque([first, second]) == ready
        assert ready != deque([first])
        assert list(reversed(ready)) == [second, first]
        assert ready + deque([first]) == deque([first, second, first])
        assert deque([first]) + ready == deque([first, first, second])
        assert ready * 2 == 2 * ready == deque([first, second] * 2)
        assert copy.copy(ready) == ready.copy() == deque([first, second])
        assert (ready.index(second), ready.index(second, 1), ready.count(first)) == (1, 1, 1)
        with pytest.raises(ValueError, match="not in deque"):
            ready.index(first, 1)
        with pytest.raises(TypeError):
            hash(ready)
        with pytest.raises(IndexError):
            ready[2]
        ready.clear()

    def test_changes_in_place(self, loop, log, turn):
        def handle(number):
            return asyncio.Handle(log.append, (number,), loop)

        ready = loop._ready
        ready += [handle(3), handle(4)]
        ready.extendleft([handle(2), handle(1)])
        ready.append(handle(5))
        ready.rotate(1)
        ready.reverse()
        ready[0], removed = handle(40), ready[0]
        ready.insert(1, handle(7))
        del ready[2]
        ready *= 2
        turn()
        removed._run()
        assert log == [40, 7, 2, 1, 5] * 2 + [4]

    def test_held_it_shows_what_comes(self, loop, log, turn):
        ready = loop._ready
        handle = loop.call_soon(log.append, 1)
        assert list(ready) == [handle]
        assert ready.pop() is handle
        turn()
        assert log == []

    def test_a_change_ends_an_iteration(self, loop):
        loop.call_soon(int)
        with pytest.raises(RuntimeError, match="mutated"):
            for _ in loop._ready:
                loop.call_soon(int)
        loop._ready.clear()

    @pytest.mark.parametrize(
        "look",
        [
            list,
            lambda ready: None in ready,
            copy.copy,
            lambda ready: next(iter(ready), None),
            lambda ready: next(reversed(ready), None),
            lambda ready: ready.count(None),
        ],
        ids=["list", "in", "copy", "iter", "reversed", "count"],
    )
    def test_a_thread_that_looks_leaves_the_loop_running(self, loop, look):
        looks = 0

        async def busy():
            while looks < 300:
                await asyncio.gather(*(asyncio.sleep(0) for _ in range(20)))

        interval = sys.getswitchinterval()
        thread = threading.Thread(
            target=loop.run_until_complete, args=(loop.create_task(busy()),), daemon=True
        )
        try:
            sys.setswitchinterval(1e-5)
            thread.start()
            while thread.is_alive() and looks < 3000:
                look(loop._ready)
                looks += 1
            thread.join(30)
        finally:
            sys.setswitchinterval(interval)
        assert not thread.is_alive()

    def test_a_thread_that_changes_it_leaves_the_loop_running(self, loop):
        # On asyncio the change is one step; here the loop may find nothing ready meanwhile.
        changes = 0

        async def busy():
            while changes < 300:
                await asyncio.gather(*(asyncio.sleep(0) for _ in range(20)))

        interval = sys.getswitchinterval()
        thread = threading.Thread(
            target=loop.run_until_complete, args=(loop.create_task(busy()),), daemon=True
        )
        try:
            sys.setswitchinterval(1e-5)
            thread.start()
            while thread.is_alive() and changes < 3000:
                loop._ready.rotate(0)
                changes += 1
            thread.join(30)
        finally:
            sys.setswitchinterval(interval)
        assert not thread.is_alive()

    def test_put_in_its_place(self, loop, log, turn):
        loop.call_soon(log.append, "gone")
        loop._ready = deque([asyncio.Handle(log.append, ("new",), loop)])
        turn()
        assert log == ["new"]


class TestScheduled:
    @pytest.mark.parametrize(
        "add",
        [
            lambda loop, timer: loop._scheduled.append(timer),
            lambda loop, timer: loop._scheduled.insert(0, timer),
            lambda loop, timer: loop._scheduled.extend([timer]),
            lambda loop, timer: heapq.heappush(loop._scheduled, timer),
            lambda loop, timer: bisect.insort(loop._scheduled, timer),
            lambda loop, timer: loop._scheduled.__iadd__([timer]),
            lambda loop, timer: setattr(loop, "_scheduled", [timer]),
        ],
    )
    def test_what_is_put_in_runs(self, loop, log, turn, add):
        timer = asyncio.TimerHandle(loop.time(), log.append, (1,), loop)
        add(loop, timer)
        turn()
        turn()
        assert log == [1]
        assert timer not in loop._scheduled

    def test_a_held_list_is_the_heap(self, loop, log, turn):
        scheduled = loop._scheduled
        assert scheduled is loop._scheduled
        assert isinstance(scheduled, list)
        late = loop.call_later(1000, log.append, "late")
        soon = loop.call_later(0, log.append, "soon")
        assert scheduled[0] is soon
        assert len(scheduled) == 2
        loop.call_later(0, lambda: log.append(list(scheduled)))
        while len(log) < 2:
            turn()
        assert log == ["soon", [late]]
        assert heapq.heappop(scheduled) is late
        assert loop._scheduled == []
        heapq.heappush(scheduled, asyncio.TimerHandle(loop.time(), log.append, ("pushed",), loop))
        turn()
        turn()
        assert log[2:] == ["pushed"]
        assert scheduled == []

    def test_a_held_list_has_the_order_of_a_new_one(self, loop):
        """A test of aioesphomeapi walks over the list and runs what is due by a clock of its own."""
        scheduled = loop._scheduled
        timers = [loop.call_later(delay, int) for delay in (1000, 5000, 2000, 3000)]
        timers[0].cancel()
        held = list(scheduled)
        del scheduled
        assert held == list(loop._scheduled)

    def test_a_held_list_stays_a_heap(self, loop):
        scheduled = loop._scheduled
        timers = [loop.call_later(delay, int) for delay in (1000, 4000, 2000, 5000, 6000, 3000)]
        assert heapq.heappop(scheduled) is timers[0]
        soon = loop.call_later(500, int)
        assert heapq.heappop(scheduled) is soon
        late = loop.call_later(4500, int)
        assert loop._scheduled is scheduled
        in_order = sorted([*timers[1:], late], key=lambda timer: timer.when())
        assert [heapq.heappop(scheduled) for _ in in_order] == in_order

    def test_taken_out_it_does_not_run(self, loop, log, turn):
        loop.call_later(0, log.append, 1)
        scheduled = loop._scheduled
        heapq.heappop(scheduled)
        turn()
        turn()
        assert log == []

    def test_inside_the_loop(self, loop, impl):
        async def main():
            scheduled = loop._scheduled
            sleeping = loop.create_task(impl.sleep(1000))
            await impl.sleep(0)
            assert len(scheduled) == 1
            ran = loop.create_future()
            timer = asyncio.TimerHandle(loop.time(), ran.set_result, (1,), loop)
            heapq.heappush(scheduled, timer)
            await ran
            assert len(scheduled) == 1
            sleeping.cancel()
            await impl.wait([sleeping])
            return scheduled

        scheduled = loop.run_until_complete(main())
        assert all(timer.cancelled() for timer in scheduled)

    def test_closing_empties_it(self, loop):
        scheduled, ready = loop._scheduled, loop._ready
        loop.call_later(1000, int)
        loop.call_soon(int)
        loop.close()
        assert (list(scheduled), list(ready)) == ([], [])

    def test_a_dropped_loop_goes_at_once(self, impl):
        loop = impl.new_event_loop()
        timer = loop.call_later(1000, int)
        assert (loop._scheduled, len(loop._ready)) == ([timer], 0)
        loop.close()
        gone = weakref.ref(loop)
        del loop, timer
        assert gone() is None


class TestHandlesOfPrograms:
    @pytest.fixture
    def handle_class(self, log):
        class Handle(asyncio.Handle):
            def _run(self):
                log.append("mine")
                super()._run()

        return Handle

    @pytest.fixture
    def timer_class(self, log):
        class Timer(asyncio.TimerHandle):
            def _run(self):
                log.append("mine")
                super()._run()

        return Timer

    def test_run_by_their_method(self, loop, log, turn, handle_class, timer_class):
        loop._ready.append(handle_class(log.append, (1,), loop))
        loop._ready.append(timer_class(0, log.append, (2,), loop))
        heapq.heappush(loop._scheduled, timer_class(loop.time(), log.append, (3,), loop))
        turn()
        turn()
        assert log == ["mine", 1, "mine", 2, "mine", 3]

    def test_they_are_what_is_shown(self, loop, log, handle_class, timer_class):
        handle, timer = handle_class(int, (), loop), timer_class(loop.time() + 9, int, (), loop)
        loop._ready.append(handle)
        loop._scheduled.append(timer)
        assert loop._ready[0] is handle
        assert loop._scheduled[0] is timer
        assert loop._ready.popleft() is handle
        loop._scheduled.remove(timer)
        assert loop._scheduled == []

    def test_cancelled_they_do_not_run(self, loop, log, turn, handle_class, timer_class):
        handle, timer = handle_class(int, (), loop), timer_class(loop.time(), int, (), loop)
        loop._ready.append(handle)
        loop._scheduled.append(timer)
        handle.cancel()
        timer.cancel()
        turn()
        turn()
        assert log == []

    def test_what_run_raises_ends_the_loop(self, loop, log):
        class Handle(asyncio.Handle):
            def _run(self):
                raise LookupError("from _run")

        loop._ready.append(Handle(int, (), loop))
        with pytest.raises(LookupError):
            loop.run_forever()

    def test_any_object_that_runs(self, loop, log, turn):
        class Thing:
            _cancelled = False

            def _run(self):
                log.append("thing")

        thing = Thing()
        loop._ready.append(thing)
        assert loop._ready[-1] is thing
        turn()
        assert log == ["thing"]
