"""`vars()` of objects shows what it shows of asyncio's, beside the attributes of the program."""

import asyncio
import gc
import sys
import weakref

import pytest

PLAIN = {
    "Lock": {"_waiters": None, "_locked": False},
    "Event": {"_value": False},
    "Semaphore": {"_waiters": None, "_value": 1},
    "BoundedSemaphore": {"_waiters": None, "_value": 1, "_bound_value": 1},
    "Queue": {"_maxsize": 0, "_unfinished_tasks": 0},
    "PriorityQueue": {"_maxsize": 0, "_queue": []},
    "LifoQueue": {"_queue": []},
    "TaskGroup": {"_entered": False, "_exiting": False, "_parent_task": None},
    "Runner": {"_loop": None, "_debug": None},
}


@pytest.mark.parametrize("name", PLAIN)
def test_of_a_new_object(impl, name):
    shown = vars(getattr(impl, name)())
    assert {key: shown[key] for key in PLAIN[name]} == PLAIN[name]
    assert all(key.startswith("_") for key in shown)


def test_what_it_shows_is_as_new_as_the_call(impl, run):
    async def main():
        lock = impl.Lock()
        assert vars(lock)["_locked"] is False
        await lock.acquire()
        assert vars(lock)["_locked"] is True
        lock.release()
        async with lock:
            assert lock.locked()
        assert vars(lock)["_locked"] is False

    run(main())


def test_attributes_of_the_program(impl):
    queue = impl.Queue()
    queue.label = "one"
    vars(queue)["other"] = "two"
    queue.__dict__.update(third="three")
    assert (queue.label, queue.other, queue.third) == ("one", "two", "three")
    del queue.label
    assert "label" not in vars(queue)
    queue.put_nowait(1)
    assert vars(queue)["_unfinished_tasks"] == 1
    assert queue.get_nowait() == 1


def test_of_a_subclass_with_attributes(impl):
    class Named(impl.Event):
        def __init__(self, name):
            super().__init__()
            self.name = name

    event = Named("start")
    event.set()
    assert vars(event)["name"] == "start"
    assert vars(event)["_value"] is True


def test_of_one_of_two_classes(impl):
    class Both(impl.Queue, impl.Event):
        def __init__(self):
            impl.Queue.__init__(self)
            impl.Event.__init__(self)

    assert {"_maxsize", "_value"} <= set(vars(Both()))


def test_of_a_loop(loop):
    shown = vars(loop)
    assert {"_closed", "_debug", "_ready", "_scheduled", "_selector", "_thread_id"} <= set(shown)
    assert shown["_closed"] is False
    loop.mark = 1
    assert vars(loop)["mark"] == 1
    handle = loop.call_later(100, print)
    assert list(vars(loop)["_scheduled"]) == [handle]
    handle.cancel()


def test_of_streams(impl, run):
    async def main():
        server = await impl.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        assert vars(server)["_serving"] is True
        reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
        assert vars(writer)["_transport"] is writer.transport
        assert {"_buffer", "_limit", "_eof"} <= set(vars(reader))
        writer.close()
        server.close()
        await server.wait_closed()

    run(main())


def test_nothing_is_kept_alive(impl, run):
    async def main():
        event = impl.Event()
        waiting = asyncio.ensure_future(event.wait())
        await asyncio.sleep(0)
        assert len(vars(event)["_waiters"]) == 1
        event.set()
        await waiting
        return weakref.ref(event)

    reference = run(main())
    gc.collect()
    assert reference() is None


class TestLoopAttributes:
    def test_origins_of_coroutines(self, loop, run):
        assert loop._coroutine_origin_tracking_enabled is False
        assert loop._coroutine_origin_tracking_saved_depth is None
        loop.set_debug(True)
        before = sys.get_coroutine_origin_tracking_depth()

        async def main():
            return loop._coroutine_origin_tracking_enabled, loop._coroutine_origin_tracking_saved_depth

        assert run(main()) == (True, before)
        assert loop._coroutine_origin_tracking_enabled is False

    def test_generators_are_shut_down(self, loop, run):
        assert loop._asyncgens_shutdown_called is False
        run(loop.shutdown_asyncgens())
        assert loop._asyncgens_shutdown_called is True
        loop._asyncgens_shutdown_called = False
        assert loop._asyncgens_shutdown_called is False
