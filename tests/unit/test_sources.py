"""`_source_traceback`: the stack is captured at once, and made a StackSummary when it is asked for."""

import asyncio
import gc
import traceback
import weakref

import pytest

# A loop of asyncio makes futures in a method of Python code, whose frame is the innermost one.
KINDS = [pytest.param("future", marks=pytest.mark.yibu_only), "task", "soon", "later", "threadsafe"]


async def nothing():
    pass


def make(loop, kind):
    """Make one. The caller's frame is the innermost one but for this function's."""
    if kind == "future":
        return loop.create_future()
    if kind == "task":
        return loop.create_task(nothing())
    if kind == "soon":
        return loop.call_soon(print)
    if kind == "later":
        return loop.call_later(1000, print)
    return loop.call_soon_threadsafe(print)


@pytest.fixture
def debugged(loop):
    loop.set_debug(True)
    yield loop
    loop._ready.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_the_stack_is_that_of_the_moment(debugged, kind):
    made, expected = make(debugged, kind), traceback.extract_stack()
    found = made._source_traceback
    assert type(found) is traceback.StackSummary and made._source_traceback is found
    assert found[-1].name == "make" and found[-1].line.startswith("return loop.c")
    assert [tuple(frame) for frame in found[-6:-1]] == [tuple(frame) for frame in expected[-5:]]
    assert traceback.format_list(found)[-1].startswith(f'  File "{__file__}", line ')
    if kind == "task":
        debugged.run_until_complete(made)
    elif kind != "future":
        made.cancel()


@pytest.mark.parametrize("depth", [4, 7])
def test_the_depth_is_that_of_asyncio(debugged, monkeypatch, depth):
    monkeypatch.setattr(asyncio.constants, "DEBUG_STACK_DEPTH", depth)
    # asyncio removes two frames of its own.
    assert depth - 2 <= len(debugged.call_soon(print)._source_traceback) <= depth


@pytest.mark.yibu_only
def test_a_depth_of_one_is_the_caller(debugged, monkeypatch):
    monkeypatch.setattr(asyncio.constants, "DEBUG_STACK_DEPTH", 1)
    (frame,) = debugged.create_future()._source_traceback
    assert frame.name == "test_a_depth_of_one_is_the_caller"


def test_a_source_line_that_only_a_loader_knows(debugged):
    class Loader:
        def get_source(self, name):
            return "async def nothing(): pass\nmade = loop.call_soon(print)\n"

    names = {"__name__": "loaded", "__loader__": Loader(), "loop": debugged}
    exec(compile(Loader().get_source("loaded"), "there/loaded.py", "exec"), names)
    last = names["made"]._source_traceback[-1]
    assert (last.filename, last.lineno, last.line) == ("there/loaded.py", 2, "made = loop.call_soon(print)")


@pytest.mark.parametrize("shown", [False, True])
def test_what_a_source_refers_to_is_collected(debugged, shown):
    class Known:
        pass

    names = {"loop": debugged, "known": Known()}
    exec("made = loop.create_future()", names)
    if shown:
        assert names["made"]._source_traceback
    known = weakref.ref(names["known"])
    del names
    gc.collect()
    assert known() is None


def test_the_place_in_a_repr(debugged):
    handle = debugged.call_soon(print)
    line = traceback.extract_stack()[-1].lineno - 1
    assert repr(handle).endswith(f"created at {__file__}:{line}>")
    handle.cancel()
    assert f"created at {__file__}:{line}" in repr(handle)
