"""Functions of modules, and the selector, that a program replaces: asyncio itself calls what is there."""

import asyncio
import contextvars
import functools
import inspect
import math
import selectors
import sys
import time
import types
from asyncio import events, futures, queues, runners, selector_events, tasks, timeouts

import pytest

SINCE_3_13 = pytest.mark.skipif(sys.version_info < (3, 13), reason="since 3.13 there is")


class Awaitable:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()


async def all_completed(*awaitables):
    for completed in asyncio.as_completed(awaitables):
        await completed


async def output_of(program):
    child = await asyncio.create_subprocess_exec(program, stdout=asyncio.subprocess.PIPE)
    return await child.communicate()


@pytest.fixture
def count(monkeypatch):
    """Replace a function of a module by one that notes its calls and calls the original."""

    def count(module, name):
        calls, original = [], getattr(module, name)

        def function(*args, **keywords):
            calls.append(args)
            return original(*args, **keywords)

        monkeypatch.setattr(module, name, function)
        return calls

    return count


@pytest.fixture
def installed(impl):
    """asyncio's modules as programs find them: with yibu's names, unless asyncio itself is tested."""
    if not hasattr(impl, "install"):
        yield
        return
    impl.install()
    yield
    impl.uninstall()


class TestFunctions:
    def test_wait(self, installed, count):
        calls = count(tasks, "_wait")

        async def main():
            task = asyncio.ensure_future(asyncio.sleep(0))
            assert await asyncio.wait([task]) == ({task}, set())

        asyncio.run(main())
        assert len(calls) == 1

    @pytest.mark.parametrize(
        ("module", "name", "use"),
        [
            (functools, "partial", lambda: asyncio.to_thread(int)),
            (inspect, "isawaitable", lambda: asyncio.shield(Awaitable())),
            pytest.param(math, "isnan", lambda: asyncio.sleep(0.001), marks=SINCE_3_13),
            pytest.param(queues, "Queue", lambda: all_completed(asyncio.sleep(0)), marks=SINCE_3_13),
            (tasks, "gather", lambda: output_of("true")),
        ],
        ids=["partial", "isawaitable", "isnan", "Queue", "gather"],
    )
    def test_what_functions_use(self, installed, count, module, name, use):
        async def main():
            await use()

        calls = count(module, name)
        asyncio.run(main())
        assert calls

    def test_the_resolution_of_the_clock(self, make_loop, monkeypatch):
        coarse = types.SimpleNamespace(resolution=0.25)
        monkeypatch.setattr(time, "get_clock_info", lambda name: coarse)
        assert make_loop()._clock_resolution == 0.25

    def test_what_is_left_at_the_end(self, installed, count):
        all_tasks, gathered = count(tasks, "all_tasks"), count(tasks, "gather")

        async def main():
            return asyncio.ensure_future(asyncio.sleep(9))

        assert asyncio.run(main()).cancelled()
        assert all_tasks
        assert len(gathered) == 1

    def test_cancelling_all_tasks(self, installed, monkeypatch):
        left = []
        monkeypatch.setattr(runners, "_cancel_all_tasks", left.append)

        async def main():
            return asyncio.get_running_loop()

        assert left == [asyncio.run(main())]

    def test_time_limit_of_wait_for(self, installed, count):
        if not hasattr(tasks, "timeouts"):
            pytest.skip("wait_for() has no timeout() before 3.12")
        calls = count(timeouts, "timeout")
        asyncio.run(asyncio.wait_for(asyncio.sleep(0), 9))
        assert calls == [(9,)]

    def test_class_of_time_limits(self, installed, monkeypatch):
        class Limit(timeouts.Timeout):
            pass

        monkeypatch.setattr(timeouts, "Timeout", Limit)

        async def main():
            async with asyncio.timeout(9) as limit:
                await asyncio.sleep(0)
                return type(limit)

        assert asyncio.run(main()) is Limit

    def test_the_running_loop(self, installed, count):
        calls = count(events, "_set_running_loop")

        async def main():
            return asyncio.get_running_loop()

        loop = asyncio.run(main())
        assert (loop,) in calls
        assert calls[-1] == (None,)

    def test_the_chain_to_a_thread(self, installed, count):
        calls = count(futures, "_chain_future")
        assert asyncio.run(asyncio.to_thread(int)) == 0
        assert calls

    def test_copies_of_the_context(self, installed, count):
        calls = count(contextvars, "copy_context")

        async def main():
            before = len(calls)
            asyncio.get_running_loop().call_soon(int)
            return len(calls) - before

        assert asyncio.run(main()) == 1

    def test_put_back(self, installed, count, monkeypatch):
        calls = count(tasks, "_wait")
        monkeypatch.undo()

        async def main():
            await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0))])

        asyncio.run(main())
        assert calls == []


class TestSelectors:
    def test_another_class(self, impl, make_loop, monkeypatch):
        waits = []

        class Meter(selectors.DefaultSelector):
            def select(self, timeout=None):
                waits.append(timeout)
                return super().select(timeout)

        monkeypatch.setattr(selectors, "DefaultSelector", Meter)
        make_loop().run_until_complete(asyncio.sleep(0.001))
        assert waits

    def test_a_method_of_the_class(self, impl, loop, monkeypatch):
        """Also for a loop that was there before."""
        waits, original = [], selectors.DefaultSelector.select

        def select(self, timeout=None):
            waits.append(timeout)
            return original(self, timeout)

        monkeypatch.setattr(selectors.DefaultSelector, "select", select)
        loop.run_until_complete(asyncio.sleep(0.001))
        if not type(loop).__module__.startswith("asyncio"):
            assert loop._selector is not None
        assert waits

    def test_what_becomes_of_the_events(self, impl, make_loop, monkeypatch):
        seen, original = [], selector_events.BaseSelectorEventLoop._process_events

        def process(self, event_list):
            seen.append(event_list)
            return original(self, event_list)

        monkeypatch.setattr(selector_events.BaseSelectorEventLoop, "_process_events", process)
        make_loop().run_until_complete(asyncio.sleep(0))
        assert seen


class TestRefused:
    @pytest.mark.parametrize("name", ["_read_ready", "_force_close", "_fatal_error"])
    def test_steps_of_transports(self, impl, run, pair, count, name):
        """They are called, or nothing is connected."""
        count(selector_events._SelectorSocketTransport, name)
        ours, _theirs = pair

        async def main():
            loop = asyncio.get_running_loop()
            is_asyncio = type(loop).__module__.startswith("asyncio")
            try:
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            except TypeError as error:
                assert not is_asyncio
                assert name in str(error)
            else:
                assert is_asyncio
                transport.abort()
                await asyncio.sleep(0)

        run(main())
