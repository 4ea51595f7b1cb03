"""What native code raises leaves nothing behind: on the standard library's loops and where none runs, too."""

import asyncio
import contextlib
import gc
import sys

import pytest

clear_type_cache = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


class Uninitialized:
    def __init__(self):
        pass


def ways(impl, loop):
    return {
        "lock": impl.Lock().release,
        "semaphore": impl.BoundedSemaphore(1).release,
        "queue": impl.Queue().get_nowait,
        "arguments": lambda: impl.Queue(1, 2, 3),
        "barrier": lambda: impl.Barrier(0),
        "future": type("Future", (Uninitialized, impl.Future), {})().get_loop,
        "repr": lambda: repr(type("Future", (Uninitialized, impl.Future), {})()),
        "reader": lambda: impl.StreamReader(limit=-1, loop=loop),
        "result": loop.create_future().result,
        "gather": lambda: impl.gather(1),
        "attribute": lambda: impl.Event().nothing,
    }


def left_by(raise_):
    """The fewest blocks that one of some measurements found."""
    least = sys.maxsize
    for _ in range(8):
        before = sys.getallocatedblocks()
        for _ in range(100):
            with contextlib.suppress(Exception):
                raise_()
        clear_type_cache()
        for _ in range(2):
            gc.collect()
        least = min(least, sys.getallocatedblocks() - before)
    return least


@pytest.mark.parametrize("running", [True, False], ids=["foreign loop", "no loop"])
def test_exceptions_leave_nothing(impl, make_loop, running):
    loop = make_loop(asyncio.SelectorEventLoop)
    loop.set_exception_handler(lambda *_: None)

    async def main():
        return {name: left_by(way) for name, way in ways(impl, loop).items()}

    if running:
        left = loop.run_until_complete(main())
    else:
        asyncio.set_event_loop(loop)
        left = {name: left_by(way) for name, way in ways(impl, loop).items()}
        asyncio.set_event_loop(None)
    assert {name: blocks for name, blocks in left.items() if blocks > 20} == {}
