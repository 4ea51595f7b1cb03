"""Where memory runs out, MemoryError is raised at the call; the process and the loop go on.

Every allocation of the interpreter in a program of asyncio's calls fails once, one after the other.  The
texts of objects are left out: the interpreter itself does not survive that where its own code makes them.
"""

import pytest

pytest.importorskip("_testcapi", exc_type=ImportError)

PROGRAM = """
    import asyncio, gc, os, sys, _testcapi

    loop = aio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    sys.unraisablehook = lambda *args: None

    async def nothing():
        await aio.sleep(0)

    async def tasks():
        await aio.gather(nothing(), nothing())
        await aio.wait_for(nothing(), 9)
        async with aio.timeout(9):
            await nothing()
        async with aio.TaskGroup() as group:
            group.create_task(nothing())

    async def primitives():
        queue, lock, event, condition = aio.Queue(), aio.Lock(), aio.Event(), aio.Condition()
        getter = asyncio.ensure_future(queue.get())
        await aio.sleep(0)
        queue.put_nowait(1)
        await getter
        async with lock, condition:
            event.set()
        await event.wait()

    async def calls():
        loop = aio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(int)
        loop.call_later(0, future.set_result, 1)
        await future
        loop.call_later(9, int).cancel()

    async def streams():
        reader = aio.StreamReader()
        reader.feed_data(b"some ")
        reader.feed_data(b"bytes\\n")
        await reader.readline()
        reader.feed_data(b"rest")
        reader.feed_eof()
        await reader.read()

    async def completions():
        for each in aio.as_completed([nothing(), nothing()]):
            await each
        for each in aio.as_completed([nothing(), aio.sleep(9)], timeout=8):
            await each
            break
        await aio.wait([asyncio.ensure_future(nothing())], timeout=9)

    async def children():
        process = await aio.create_subprocess_exec("true", stdin=-1, stdout=-1)
        await process.communicate()

    def run_loop_again():
        # The loop works; it may have been told to stop before.
        for _ in range(2):
            try:
                loop.run_until_complete(nothing())
            except RuntimeError:
                continue
            return
        raise AssertionError("the loop stops again and again")

    def attempt(work, number):
        # A result that could not be told leaves who waits for it waiting.
        coroutine, limit = work(), loop.call_later(0.02, loop.stop)
        _testcapi.set_nomemory(number, number + 1)
        try:
            loop.run_until_complete(coroutine)
        except SystemError:
            raise
        except Exception:
            return True
        finally:
            _testcapi.remove_mem_hooks()
            limit.cancel()
            for task in aio.all_tasks(loop):
                task.cancel()
            run_loop_again()
            coroutine.close()
        return False

    failures = 0
    works = {"each": (tasks, primitives, calls, streams), "more": (completions, children)}
    for work in works[sys.argv[2]]:
        for number in range(int(sys.argv[1])):
            failures += attempt(work, number)
            run_loop_again()
            assert not loop.is_running()
    assert failures
    print("ended")
"""


@pytest.mark.yibu_only
@pytest.mark.parametrize("works", ["each", "more"])
def test_each_allocation_fails_once(impl, works):
    process = impl.run_source(PROGRAM, "150", works, python_options=("-W", "ignore"), RUST_BACKTRACE="0")
    assert process.returncode == 0, f"status {process.returncode}\n{process.stderr[-3000:]}"
    assert process.stdout == "ended\n"
    assert "failed internally" not in process.stderr
    assert "panicked" not in process.stderr


LIMITED = """
    import os, resource, sys

    megabytes = 250
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    ballast = bytearray(int(sys.argv[1]) << 20)
    block = bytes(1_000_000)

    async def main():
        loop = aio.get_running_loop()
        try:
            if sys.argv[2] == "reader":
                reader = aio.StreamReader()
                while True:
                    reader.feed_data(block)
            elif sys.argv[2] == "pipe":
                reading, writing = os.pipe()
                transport, _ = await loop.connect_write_pipe(aio.BaseProtocol, os.fdopen(writing, "wb", 0))
                while True:
                    transport.write(bytearray(block))
            else:
                while True:
                    loop.call_soon(int) if sys.argv[2] == "soon" else loop.call_later(1000, int)
        except MemoryError:
            os._exit(0)

    aio.run(main())
"""


@pytest.mark.parametrize("ballast", [0, 30])
@pytest.mark.parametrize("kind", ["reader", "pipe", "soon", "later"])
def test_growing_until_there_is_no_more(impl, kind, ballast):
    process = impl.run_source(LIMITED, str(ballast), kind)
    assert process.returncode == 0, process.stderr[-2000:]


TEXTS = """
    import os, resource, sys

    async def objects(text):
        queue = aio.Queue()
        queue.put_nowait(text)
        semaphore = aio.Semaphore()
        semaphore._value = text
        reader = aio.StreamReader()
        reader.set_exception(ValueError(text))
        coroutine = aio.sleep(0)
        coroutine.__qualname__ = text
        return {
            "queue": lambda: repr(queue),
            "semaphore": lambda: repr(semaphore),
            "reader": lambda: repr(reader),
            "coroutine": lambda: repr(coroutine),
        }[sys.argv[1]]

    async def main():
        shown, kept = await objects("x" * 40_000_000), []
        try:
            while True:
                kept.append(shown())
        except MemoryError:
            os._exit(0)

    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) << 20, int(sys.argv[2]) << 20))
    aio.run(main())
"""


@pytest.mark.parametrize("megabytes", [400, 430])
@pytest.mark.parametrize("kind", ["queue", "semaphore", "reader", "coroutine"])
def test_texts_until_there_is_no_more(impl, kind, megabytes):
    process = impl.run_source(TEXTS, kind, str(megabytes), python_options=("-W", "ignore"))
    assert process.returncode == 0, process.stderr[-2000:]


@pytest.mark.yibu_only
@pytest.mark.parametrize("kind", ["create_connection", "connect_accepted_socket"])
def test_a_coroutine_that_had_no_memory_has_ended(impl, kind):
    process = impl.run_source(
        """
        import socket, sys, _testcapi

        def make(loop, sock):
            if sys.argv[1] == "create_connection":
                return loop.create_connection(aio.Protocol, "127.0.0.1", 1)
            return loop.connect_accepted_socket(aio.Protocol, sock)

        async def main():
            loop, failures = aio.get_running_loop(), 0
            for number in range(60):
                sock, peer = socket.socketpair()
                sock.setblocking(False)
                coroutine = make(loop, sock)
                _testcapi.set_nomemory(number, number + 1)
                try:
                    coroutine.send(None)
                except MemoryError:
                    _testcapi.remove_mem_hooks()
                    failures += 1
                    assert not coroutine.cr_running
                    assert coroutine.cr_frame is None
                except (StopIteration, OSError, RuntimeError):
                    pass
                finally:
                    _testcapi.remove_mem_hooks()
                coroutine.close()
                sock.close()
                peer.close()
            assert failures
            print("ended")

        aio.run(main())
        """,
        kind,
        python_options=("-W", "ignore"),
        RUST_BACKTRACE="0",
    )
    assert process.stdout == "ended\n", process.stderr[-3000:]


def test_debug_mode_without_memory(impl):
    process = impl.run_source("""
        import _testcapi

        async def main():
            loop, failures = aio.get_running_loop(), 0
            for number in range(60):
                try:
                    _testcapi.set_nomemory(number, number + 1)
                    try:
                        loop.set_debug(True)
                    finally:
                        _testcapi.remove_mem_hooks()
                except MemoryError:
                    failures += 1
                loop.set_debug(False)
            assert failures
            print("ended")

        aio.run(main())
    """)
    assert process.stdout == "ended\n", process.stderr[-3000:]


def test_the_number_of_a_socket_asks_for_no_memory(impl):
    process = impl.run_source("""
        import resource, socket

        class Odd(socket.socket):
            def fileno(self):
                return 2**31 - 1

        async def main():
            aio.get_running_loop().set_exception_handler(lambda loop, context: None)
            listener = socket.create_server(("127.0.0.1", 0))
            odd = Odd()
            odd.setblocking(False)
            odd.connect_ex(listener.getsockname())
            try:
                transport, _ = await aio.get_running_loop().create_connection(aio.Protocol, sock=odd)
            except (OSError, ValueError, RuntimeError):
                return
            transport.abort()
            await aio.sleep(0)

        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        aio.run(main())
    """)
    assert process.returncode == 0, process.stderr[-2000:]


@pytest.mark.yibu_only
@pytest.mark.parametrize("limits", [(float("nan"), None), (float("inf"), None), (None, float("nan"))])
def test_limits_that_are_no_numbers_of_bytes(impl, limits):
    process = impl.run_source(
        """
        import socket, sys

        async def main():
            left, right = socket.socketpair()
            transport, _ = await aio.get_running_loop().create_connection(aio.Protocol, sock=left)
            before = transport.get_write_buffer_limits()
            try:
                numbers = {"nan": float("nan"), "inf": float("inf")}
                transport.set_write_buffer_limits(*eval(sys.argv[1], numbers))
            except ValueError:
                assert transport.get_write_buffer_limits() == before
                transport.abort()
                right.close()
                print("refused")

        aio.run(main())
        """,
        str(limits),
    )
    assert process.stdout == "refused\n", process.stderr[-2000:]
