"""Nothing crashes or is lost in silence when user code raises, or closes what is in use, at any moment."""

import asyncio
import contextlib
import gc
import itertools
import socket
import sys

import pytest

METHODS = [
    "connection_made",
    "data_received",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
]
ACTIONS = ["raise", "close", "abort", "write", "pause", "drop", "stop server", "cancel a task"]
LARGE = 3 << 20


def misbehaving(method, action, log, world):
    """Return a protocol class that does `action` the first time its `method` is called."""

    class Misbehaving(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            world["transports"].append(transport)
            self.act("connection_made")

        def data_received(self, data):
            self.act("data_received")

        def eof_received(self):
            self.act("eof_received")

        def pause_writing(self):
            self.act("pause_writing")

        def resume_writing(self):
            self.act("resume_writing")

        def connection_lost(self, error):
            log.append("lost")
            self.act("connection_lost")

        def act(self, here):
            log.append(here)
            if here != method:
                return
            transport = self.transport
            if action == "raise":
                raise ZeroDivisionError(here)
            if action == "close":
                transport.close()
            elif action == "abort":
                transport.abort()
            elif action == "write":
                transport.write(b"from " + here.encode())
            elif action == "pause":
                transport.pause_reading()
                asyncio.get_running_loop().call_soon(transport.resume_reading)
            elif action == "drop":
                self.transport = None
                world["transports"].clear()
                gc.collect()
            elif action == "stop server":
                world["server"].close()
            elif action == "cancel a task":
                world["provoking"].cancel()

    return Misbehaving


@pytest.mark.parametrize(("method", "action"), list(itertools.product(METHODS, ACTIONS)))
def test_a_protocol_that_misbehaves(loop, run, reports, method, action):
    """Whatever it does, its connection ends, another connection works, and what was raised is reported."""
    log, world = [], {"transports": []}
    factory = misbehaving(method, action, log, world)

    async def yielding(turns):
        for _ in range(turns):
            await asyncio.sleep(0)

    async def provoke(address):
        with socket.create_connection(address, timeout=10) as peer:
            await drive(peer)

    async def drive(peer):
        while "connection_made" not in log:
            await asyncio.sleep(0)
        peer.sendall(b"data")
        await yielding(5)
        for transport in world["transports"]:
            if not transport.is_closing():
                transport.write(bytes(LARGE))
        await yielding(5)
        peer.setblocking(False)
        with contextlib.suppress(TimeoutError, OSError):
            while any(transport.get_write_buffer_size() for transport in world["transports"]):
                await asyncio.wait_for(loop.sock_recv(peer, 1 << 20), 0.01)

    async def main():
        world["server"] = await loop.create_server(factory, "127.0.0.1", 0)
        address = world["server"].sockets[0].getsockname()
        world["provoking"] = loop.create_task(provoke(address))
        await asyncio.wait([world["provoking"]])
        for transport in world["transports"]:
            transport.abort()
        deadline = loop.time() + 10
        while "lost" not in log and loop.time() < deadline:
            await asyncio.sleep(0)
        world["server"].close()

        one, two = socket.socketpair()
        two.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        transport.write(b"others live")
        assert await loop.sock_recv(two, 100) == b"others live"
        transport.close()
        await asyncio.sleep(0)
        two.close()

    run(main())
    assert log.count("lost") == 1
    assert world["provoking"].cancelled() or world["provoking"].exception() is None
    if action == "raise" and method in log:
        assert [type(context["exception"]) for context in reports] == [ZeroDivisionError]
    elif action == "write" and method == "connection_lost":
        assert len(reports) <= 1
    else:
        assert reports == []


@pytest.mark.parametrize("moment", ["running", "stopped", "with timers", "with tasks", "with transports"])
def test_closing_a_loop_with_everything_on_it(impl, moment):
    """A loop closed at any moment frees what it has, and whatever outlives it fails in an orderly way."""
    program = f"""
        import asyncio, gc, socket, sys, warnings
        warnings.simplefilter("ignore")
        moment = {moment!r}
        loop = aio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        left = []

        async def wait():
            try:
                await loop.create_future()
            finally:
                left.append("finally")

        async def main():
            left.append(loop.create_future())
            one, two = socket.socketpair()
            left.append(two)
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            transport.write(bytes(1 << 22))
            left.append(transport)
            left.append(loop.create_task(wait()))
            left.append(loop.call_later(1000, int))
            left.append(loop.call_soon(int))
            left.append(await loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
            left.append(loop.run_in_executor(None, int))
            if moment == "running":
                try:
                    loop.close()
                except RuntimeError as error:
                    left.append(str(error))

        loop.run_until_complete(main())
        if moment == "with timers":
            for number in range(1000):
                loop.call_later(number, int)
        if moment == "with tasks":
            left.extend(loop.create_task(wait()) for _ in range(100))
        loop.close()
        if moment == "with transports":
            for thing in left:
                for name in ("write", "close", "abort", "get_write_buffer_size", "pause_reading"):
                    method = getattr(thing, name, None)
                    if method is not None:
                        try:
                            method(*([b"data"] if name == "write" else []))
                        except (RuntimeError, AttributeError, TypeError):
                            pass
        for thing in list(left):
            repr(thing)
        left.clear()
        gc.collect()
        del loop
        gc.collect()
        sys.stdout.write("alive\\n")
    """
    finished = impl.run_source(program)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "alive\n"


def test_interpreter_exit_with_everything_running(impl):
    """A program that ends with loops, tasks, transports and timers alive ends normally."""
    program = """
        import asyncio, socket, sys, warnings
        warnings.simplefilter("ignore")
        loop = aio.new_event_loop()

        async def wait():
            await loop.create_future()

        async def main():
            global kept
            one, two = socket.socketpair()
            transport, protocol = await loop.create_connection(asyncio.Protocol, sock=one)
            kept = [two, transport, protocol, loop.create_task(wait()), loop.call_later(1000, print)]
            kept.append(kept)
            await loop.run_in_executor(None, int)

        loop.run_until_complete(main())
        cycle = [loop]
        cycle.append(cycle)
        print("end", flush=True)
    """
    finished = impl.run_source(program)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "end\n"


def test_a_program_that_leaves_from_a_callback(impl):
    program = """
        import os
        loop = aio.new_event_loop()
        loop.call_soon(os._exit, 5)
        loop.run_forever()
    """
    assert impl.run_source(program).returncode == 5


@pytest.mark.parametrize("limit", [60, 80, 120])
def test_recursion_errors_are_errors(impl, limit):
    """Callbacks and tasks that run out of stack fail as Python code does; the process lives."""
    program = f"""
        import sys
        sys.setrecursionlimit({limit})

        async def down(depth):
            return await down(depth + 1)

        def dive():
            dive()

        def report(_, context):
            seen.append(type(context["exception"]).__name__)

        async def main():
            loop = aio.get_running_loop()
            loop.set_exception_handler(report)
            loop.call_soon(dive)
            try:
                await down(0)
            except RecursionError:
                seen.append("caught")
            await aio.sleep(0)

        seen = []
        loop = aio.new_event_loop()
        loop.run_until_complete(main())
        print(sorted(seen))
    """
    finished = impl.run_source(program)
    assert finished.stdout == "['RecursionError', 'caught']\n", finished.stderr


def test_memory_errors_are_errors(loop, reports):
    def starve():
        raise MemoryError

    loop.call_soon(starve)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert [type(context["exception"]) for context in reports] == [MemoryError]


@pytest.mark.parametrize("what", ["handle", "future", "task"])
def test_finalizers_that_use_the_loop(loop, run, what):
    """Something whose `__del__` calls the loop is dropped by the loop itself."""
    called = []

    class Late:
        def __del__(self):
            loop.call_soon(called.append, "from a finalizer")

        def __call__(self, *_):
            """Called once, and then forgotten."""

    async def holding(late):
        await asyncio.sleep(0)

    async def main():
        if what == "handle":
            loop.call_soon(Late())
        elif what == "future":
            future = loop.create_future()
            future.add_done_callback(Late())
            future.set_result(None)
            del future
        else:
            task = loop.create_task(holding(Late()))
            await task
            del task
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main())
    assert called == ["from a finalizer"]


def test_reentrant_cancel_and_close(loop, run):
    """Callbacks that cancel and close each other while the loop walks over them."""

    async def main():
        handles = []

        def chaos(number):
            for handle in handles[number % 7 :: 7]:
                handle.cancel()
            if number % 3 == 0:
                handles.append(loop.call_soon(chaos, number + 1))

        for number in range(500):
            handles.append(loop.call_soon(chaos, number))
            handles.append(loop.call_later(number / 1e6, chaos, number))
        for _ in range(20):
            await asyncio.sleep(0)
        handles.clear()

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_tasks_all_the_way_down(impl):
    program = """
        async def nest(depth):
            if depth:
                await aio.create_task(nest(depth - 1))
            await aio.sleep(0)

        async def main():
            aio.get_running_loop().set_task_factory(aio.eager_task_factory)
            await nest(50)
            try:
                await nest(100_000)
            except RecursionError:
                print("RecursionError")

        aio.run(main())
    """
    finished = impl.run_source(program)
    assert finished.returncode >= 0
    assert "RecursionError" in finished.stdout + finished.stderr
