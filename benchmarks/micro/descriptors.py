"""File descriptors without transports: readers and the `sock_*` methods."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.contenders import Namespace
from benchmarks.micro.callbacks import nothing
from benchmarks.micro.catalogue import benchmark


@contextmanager
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right


@benchmark("add_reader + remove_reader", count=5_000)
async def reader(asyncio: Namespace, count: int) -> None:
    """A registration that is never used."""
    loop = asyncio.get_running_loop()
    with _pair() as (left, _):
        for _ in range(count):
            loop.add_reader(left.fileno(), nothing)
            loop.remove_reader(left.fileno())


@benchmark("add_reader churn, 100 descriptors", count=5_000)
async def reader_churn(asyncio: Namespace, count: int) -> None:
    """Each of a hundred descriptors is watched, called once and let go, as short connections are."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        pairs = [stack.enter_context(_pair()) for _ in range(100)]
        for _, right in pairs:
            right.send(b"x")
        for _ in range(max(count // 100, 1)):
            called = loop.create_future()
            waiting = [len(pairs)]

            def ready(number: int, waiting: list[int], called: Any) -> None:
                loop.remove_reader(number)
                waiting[0] -= 1
                if not waiting[0]:
                    called.set_result(None)

            for left, _ in pairs:
                loop.add_reader(left.fileno(), ready, left.fileno(), waiting, called)
            await called


@benchmark("reader callback", count=5_000)
async def reader_callback(asyncio: Namespace, count: int) -> None:
    """One byte there, one callback, and again."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    remaining = count

    with _pair() as (left, right):

        def readable() -> None:
            nonlocal remaining
            left.recv(1)
            remaining -= 1
            if remaining:
                right.send(b"x")
            else:
                loop.remove_reader(left.fileno())
                done.set_result(None)

        loop.add_reader(left.fileno(), readable)
        right.send(b"x")
        await done


@benchmark("sock_sendall + sock_recv, ready", count=5_000)
async def sock_ready(asyncio: Namespace, count: int) -> None:
    """The data is there before it is asked for."""
    loop = asyncio.get_running_loop()
    with _pair() as (left, right):
        for _ in range(count):
            await loop.sock_sendall(right, b"x")
            await loop.sock_recv(left, 64)


@benchmark("sock_recv, waiting", count=5_000)
async def sock_waiting(asyncio: Namespace, count: int) -> None:
    """The data comes after it was asked for."""
    loop = asyncio.get_running_loop()
    with _pair() as (left, right):
        for _ in range(count):
            loop.call_soon(right.send, b"x")
            await loop.sock_recv(left, 64)
