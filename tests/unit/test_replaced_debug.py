"""`get_debug` of a loop that a program replaces: futures, tasks, handles ask it; the loop reads `_debug`."""

import asyncio

import pytest


@pytest.fixture(params=["instance", "subclass", "asyncio's class"])
def says_debug(request, impl, make_loop, monkeypatch):
    """Make a loop whose `get_debug` says what it is told, while `_debug` stays False."""

    def make(answer):
        def get_debug(self=None):
            return answer

        if request.param == "subclass":
            plain = make_loop()
            return make_loop(type("Loop", (type(plain),), {"get_debug": get_debug}))
        loop = make_loop()
        if request.param == "instance":
            loop.get_debug = get_debug
        else:
            monkeypatch.setattr(asyncio.BaseEventLoop, "get_debug", get_debug)
        return loop

    return make


async def nothing():
    pass


class TestGetDebug:
    def test_what_is_made_remembers_its_source(self, says_debug):
        loop = says_debug(True)
        assert loop._debug is False
        future = loop.create_future()
        made = [future, loop.call_soon(int), loop.call_soon_threadsafe(int)]
        made += [loop.call_later(1000, int), loop.call_at(0, int)]
        task = loop.create_task(nothing())
        for thing in [*made, task]:
            assert __file__ in [frame.filename for frame in thing._source_traceback[-2:]]
            assert "created at" in repr(thing)
        loop.run_until_complete(task)

    def test_no_more_so_after_a_false_answer(self, says_debug):
        loop = says_debug(False)
        loop.set_debug(True)
        made = [loop.create_future(), loop.call_soon(int), loop.call_later(1000, int)]
        task = loop.create_task(nothing())
        for thing in [*made, task]:
            assert not thing._source_traceback
        loop.run_until_complete(task)

    def test_checks_read_the_flag(self, says_debug):
        loop = says_debug(True)
        loop.call_soon(nothing)
        loop._ready.clear()
        loop._debug = True
        with pytest.raises(TypeError, match="coroutines cannot be used"):
            loop.call_soon(nothing)

    def test_the_answer_is_asked_for_each_time(self, loop):
        answers = iter([False, True, False])
        loop.get_debug = lambda: next(answers)
        sources = [loop.create_future()._source_traceback for _ in range(3)]
        del loop.get_debug
        assert [bool(source) for source in sources] == [False, True, False]

    def test_its_error_comes_out(self, loop):
        def get_debug():
            raise LookupError("no answer")

        loop.get_debug = get_debug
        for make in (loop.create_future, lambda: loop.call_soon(int), lambda: loop.call_later(1, int)):
            with pytest.raises(LookupError):
                make()
        del loop.get_debug
        loop.stop()
        loop.run_forever()

    def test_inside_a_running_loop(self, says_debug):
        loop = says_debug(True)

        async def main():
            child = asyncio.ensure_future(asyncio.sleep(0))
            waiting = asyncio.ensure_future(asyncio.Event().wait())
            await child
            future = waiting._fut_waiter
            waiting.cancel()
            return child._source_traceback, future._source_traceback

        assert all(loop.run_until_complete(main()))
