"""asyncio.staggered: attempts that start one after the other, until one succeeds; none is left behind."""

import asyncio
import gc
import itertools
import sys
import weakref
from asyncio import staggered

import pytest

from tests.unit.programs import assert_no_growth
from tests.unit.streams import turns

# With 3.12.9 and 3.13.2 the race began to wait for its attempts, whatever ends it.
WAITS = "on_completed_fut" in staggered.staggered_race.__code__.co_cellvars
LATER = pytest.mark.skipif("config.getoption('--impl') == 'asyncio' and not WAITS", reason="since 3.12.9")


@pytest.fixture
def run(run_on_each_loop):
    return run_on_each_loop


@pytest.fixture
def race(impl):
    """`staggered_race`, which has no name in the package."""
    return staggered.staggered_race if impl.is_stock else impl.module._yibu.staggered_race


class Attempts:
    """Coroutine functions that record when they begin and how they end, and do what they are told."""

    def __init__(self, *ends):
        self.events = []
        self.ends = ends
        self.gates = [asyncio.get_running_loop().create_future() for _ in ends]

    def functions(self):
        return [lambda number=number: self.attempt(number) for number in range(len(self.ends))]

    async def attempt(self, number):
        self.events.append(f"begin {number}")
        end = self.ends[number]
        try:
            if end == "wait":
                await self.gates[number]
            elif end == "fail later":
                await asyncio.sleep(0)
            if isinstance(end, BaseException):
                raise end
            if end == "fail later":
                raise OSError(number)
            return f"result {number}"
        finally:
            self.events.append(f"end {number}")


class TestRace:
    def test_nobody(self, run, race):
        async def main():
            assert await race([], None) == (None, None, [])
            assert await race(iter(()), 1) == (None, None, [])

        run(main)

    def test_the_first_wins(self, run, race):
        async def main():
            attempts = Attempts("win", "win")
            assert await race(attempts.functions(), None) == ("result 0", 0, [None])
            assert attempts.events == ["begin 0", "end 0"]

        run(main)

    def test_the_next_starts_when_one_fails(self, run, race):
        async def main():
            error = ValueError("at once")
            attempts = Attempts(error, "fail later", "win", "win")
            result, number, exceptions = await race(attempts.functions(), None)
            assert (result, number) == ("result 2", 2)
            assert exceptions[0] is error
            assert type(exceptions[1]) is OSError
            assert exceptions[2:] == [None]
            assert [event for event in attempts.events if "begin" in event] == [
                "begin 0",
                "begin 1",
                "begin 2",
            ]

        run(main)

    def test_all_fail(self, run, race):
        async def main():
            attempts = Attempts("fail later", ValueError("no"), "fail later")
            result, number, exceptions = await race(attempts.functions(), None)
            assert (result, number) == (None, None)
            assert [type(error) for error in exceptions] == [OSError, ValueError, OSError]

        run(main)

    @pytest.mark.parametrize("delay", [0, 0.001])
    def test_the_next_starts_after_the_delay(self, run, race, delay):
        async def main():
            attempts = Attempts("wait", "wait", "win")
            result, number, exceptions = await race(attempts.functions(), delay)
            assert (result, number) == ("result 2", 2)
            assert [type(error) for error in exceptions[:2]] == [asyncio.CancelledError] * 2
            assert exceptions[2] is None
            assert attempts.events[:3] == ["begin 0", "begin 1", "begin 2"]
            assert sorted(attempts.events[3:]) == ["end 0", "end 1", "end 2"]

        run(main)

    def test_without_a_delay_one_at_a_time(self, run, race):
        async def main():
            attempts = Attempts("wait", "win")
            task = asyncio.ensure_future(race(attempts.functions(), None))
            await turns(10)
            assert attempts.events == ["begin 0"]
            attempts.gates[0].set_result(None)
            assert (await task)[:2] == ("result 0", 0)
            assert attempts.events == ["begin 0", "end 0"]

        run(main)

    def test_an_early_one_wins_late(self, run, race):
        async def main():
            attempts = Attempts("wait", "wait", "wait")
            task = asyncio.ensure_future(race(attempts.functions(), 0))
            while len(attempts.events) < 3:
                await asyncio.sleep(0)
            attempts.gates[1].set_result(None)
            result, number, exceptions = await task
            assert (result, number) == ("result 1", 1)
            assert exceptions[1] is None

        run(main)

    def test_a_function_that_raises_itself(self, run, race):
        async def win():
            return "won"

        def fail():
            raise ZeroDivisionError

        async def main():
            result, number, exceptions = await race([fail, win], None)
            assert (result, number) == ("won", 1)
            assert type(exceptions[0]) is ZeroDivisionError

        run(main)

    def test_functions_are_taken_as_they_are_needed(self, run, race):
        taken = []

        async def win():
            return None

        def functions():
            for number in itertools.count():
                taken.append(number)
                yield win

        async def main():
            assert await race(functions(), None) == (None, 0, [None])
            assert taken == [0]

        run(main)

    def test_arguments(self, run, race):
        async def win():
            return 1

        async def main():
            loop = asyncio.get_running_loop()
            assert await race(coro_fns=[win], delay=None, loop=loop) == (1, 0, [None])
            assert await race([win], 5, loop=None) == (1, 0, [None])
            with pytest.raises(TypeError):
                race([win])
            with pytest.raises(TypeError):
                race([win], None, loop)
            with pytest.raises(TypeError, match="'int' object is not iterable"):
                await race(5, None)

        run(main)


class TestCancellation:
    @LATER
    def test_cancels_every_attempt(self, run, race):
        async def main():
            attempts = Attempts("wait", "wait", "wait")
            task = asyncio.ensure_future(race(attempts.functions(), 0))
            while len(attempts.events) < 3:
                await asyncio.sleep(0)
            task.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match="enough"):
                await task
            assert sorted(attempts.events[3:]) == ["end 0", "end 1", "end 2"]

        run(main)

    @LATER
    def test_waits_for_those_that_take_their_time(self, run, race):
        async def main():
            go, cancelled = asyncio.Event(), asyncio.Event()

            async def slow():
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    cancelled.set()
                    await go.wait()

            task = asyncio.ensure_future(race([slow], None))
            await turns()
            task.cancel()
            await cancelled.wait()
            await turns()
            assert not task.done()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main)

    @LATER
    def test_an_attempt_that_ignores_it_and_wins(self, run, race):
        async def main():
            async def stubborn():
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    return "won"

            task = asyncio.ensure_future(race([stubborn], None))
            await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main)

    def test_before_it_began(self, run, race):
        async def main():
            attempts = Attempts("win")
            task = asyncio.ensure_future(race(attempts.functions(), None))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert attempts.events == []

        run(main)


class TestProgrammingErrors:
    @LATER
    def test_an_iterator_that_fails(self, run, race):
        def functions():
            raise ZeroDivisionError
            yield

        async def main():
            if sys.version_info < (3, 12):
                with pytest.raises(ZeroDivisionError):
                    await race(functions(), None)
                return
            with pytest.raises(ExceptionGroup, match="staggered race failed") as caught:
                await race(functions(), None)
            assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]

        run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
class TestEagerTasks:
    @LATER
    @pytest.mark.parametrize("delay", [None, 0])
    def test_run_all_the_same(self, run, race, impl, delay):
        async def main():
            asyncio.get_running_loop().set_task_factory(impl.eager_task_factory)
            attempts = Attempts("fail later", ValueError("no"), "win")
            result, number, exceptions = await race(attempts.functions(), delay)
            assert (result, number) == ("result 2", 2)
            assert exceptions[2] is None
            assert len(exceptions) == 3

        run(main)


class TestWhatIsLeft:
    def test_nothing(self, run, race):
        class Marker:
            pass

        dead = []

        async def main():
            marker = Marker()
            dead.append(weakref.ref(marker))

            async def fail():
                raise OSError(marker)

            async def win():
                return marker

            await race([fail, win], None)

        run(main)
        gc.collect()
        assert dead[0]() is None

    def test_no_growth(self, loop, race):
        async def fail():
            raise OSError

        async def win():
            return None

        async def rounds(count):
            for _ in range(count // 10):
                await race([fail, win], 1)

        assert_no_growth(loop, rounds)


def test_in_debug_mode(loop, race):
    """The loop looks at every callback there."""

    async def attempt():
        await asyncio.sleep(0)
        return "done"

    loop.set_debug(True)
    assert loop.run_until_complete(race([attempt], None)) == ("done", 0, [None])
