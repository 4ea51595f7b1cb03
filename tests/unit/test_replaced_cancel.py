"""`cancel` of handles that a program replaces: asyncio's own calls of it reach the program's."""

import asyncio
import socket

import pytest


@pytest.fixture(params=["asyncio's class", "own class"])
def cancels(request, impl, monkeypatch):
    """Have the classes of handles note who is cancelled."""
    seen = []
    home = asyncio if request.param == "asyncio's class" else impl

    def replace(name, original):
        def cancel(self):
            seen.append((name, type(self).__name__))
            original(self)

        return cancel

    for name in ("Handle", "TimerHandle"):
        cls = getattr(home, name)
        monkeypatch.setattr(cls, "cancel", replace(name, cls.cancel))
    return seen


ONCE = [("TimerHandle", "TimerHandle"), ("Handle", "TimerHandle")]


class TestTimers:
    def test_sleep_cancels_after_the_end_too(self, impl, run, cancels):
        async def main():
            await impl.sleep(0)
            assert cancels == []
            await impl.sleep(0.001)

        run(main())
        assert cancels == ONCE

    def test_a_cancelled_sleep(self, impl, run, cancels):
        async def main():
            task = asyncio.ensure_future(impl.sleep(1000))
            await impl.sleep(0)
            task.cancel()
            await impl.wait([task])

        run(main())
        assert cancels == ONCE

    def test_timeout(self, impl, run, cancels):
        async def main():
            async with impl.timeout(1000) as limit:
                limit.reschedule(None)
                assert cancels == ONCE
                limit.reschedule(asyncio.get_running_loop().time() + 1000)
            assert cancels == ONCE * 2
            with pytest.raises(TimeoutError):
                async with impl.timeout(0):
                    await asyncio.get_running_loop().create_future()

        run(main())
        assert cancels == ONCE * 2

    def test_wait_that_is_over(self, impl, run, cancels):
        async def main():
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, 1)
            await impl.wait([future], timeout=1000)

        run(main())
        assert cancels == ONCE * 2

    def test_wait_that_takes_too_long(self, impl, run, cancels):
        async def main():
            await impl.wait([asyncio.get_running_loop().create_future()], timeout=0.001)

        run(main())
        assert cancels == ONCE

    def test_wait_for(self, impl, run, cancels):
        async def main():
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, 1)
            await impl.wait_for(future, 1000)

        run(main())
        assert set(cancels) == set(ONCE)

    def test_as_completed(self, impl, run, cancels):
        async def main():
            future = asyncio.get_running_loop().create_future()
            future.set_result(1)
            for each in impl.as_completed([future], timeout=1000):
                await each

        run(main())
        assert cancels == ONCE

    def test_replaced_while_the_timer_runs(self, impl, run, monkeypatch):
        seen = []
        original = asyncio.TimerHandle.cancel

        async def main():
            task = asyncio.ensure_future(impl.sleep(1000))
            async with impl.timeout(2000):
                await impl.sleep(0)
                replacement = lambda self: (seen.append(round(self.when(), -3)), original(self))  # noqa: E731
                monkeypatch.setattr(asyncio.TimerHandle, "cancel", replacement)
                task.cancel()
                await impl.wait([task])

        run(main())
        assert len(seen) == 2

    def test_one_that_does_nothing(self, impl, loop, monkeypatch):
        monkeypatch.setattr(asyncio.TimerHandle, "cancel", lambda self: None)
        ran = []

        async def main():
            loop.call_later(0, ran.append, 1).cancel()
            async with impl.timeout(0.002):
                pass
            while not ran:
                await impl.sleep(0.001)

        loop.run_until_complete(main())
        assert ran == [1]


class TestWatchers:
    @pytest.fixture
    def peers(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            yield ours

    def test_removed_and_replaced(self, loop, cancels, peers):
        loop.add_reader(peers, int)
        loop.add_reader(peers, int)
        assert cancels == [("Handle", "Handle")]
        loop.add_writer(peers, int)
        assert loop.remove_writer(peers)
        assert loop.remove_reader(peers)
        assert cancels == [("Handle", "Handle")] * 3
        assert not loop.remove_reader(peers)
        assert len(cancels) == 3


class TestOrderOfWait:
    """All callbacks are taken off before anybody is asked whether it is done."""

    def test_order(self, impl, run):
        log = []

        class Future(asyncio.Future):
            def done(self):
                log.append("done")
                return super().done()

            def remove_done_callback(self, callback):
                log.append("remove")
                return super().remove_done_callback(callback)

        async def main():
            futures = [Future(), Future()]
            for future in futures:
                future.set_result(1)
            await impl.wait(futures)
            assert log[-4:] == ["remove", "remove", "done", "done"]

        run(main())

    def test_cancelled_nobody_is_asked(self, impl, run):
        log = []

        class Future(asyncio.Future):
            def done(self):
                log.append("done")
                return super().done()

        async def main():
            futures = [Future(), Future()]
            task = asyncio.ensure_future(impl.wait(futures))
            await impl.sleep(0)
            log.clear()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert log == []
