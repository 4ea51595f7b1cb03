"""Programs for `test_failing_allocations.py`, run with a build whose Rust allocations can be made to fail.

`python allocations.py each WORK` fails each allocation of WORK once, then all from some point on;
`python allocations.py grow WORK` has WORK put in more and more while all fail, until it is refused.
Either ends with status 0 and a line that says what came of it.
"""

import logging
import os
import pathlib
import socket
import ssl
import sys
import threading

import yibu as aio
from yibu import _yibu

FOREVER = 1 << 62
MANY = 500_000
CERTIFICATE = pathlib.Path(__file__).resolve().parents[1] / "unit" / "localhost.pem"

loop = aio.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)


def ignore(*args):
    """Stand for a callback, for what is to be done with an exception, or for an item."""


async def nothing():
    await aio.sleep(0)


# Works in which each allocation fails


async def tasks():
    await aio.gather(*[nothing() for _ in range(40)])
    await aio.wait_for(nothing(), 9)
    async with aio.timeout(9), aio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(nothing())
    for ended in aio.as_completed([nothing() for _ in range(3)]):
        await ended
    await aio.wait([aio.ensure_future(nothing()) for _ in range(3)])


async def futures():
    future = loop.create_future()
    for _ in range(100):
        future.add_done_callback(ignore)
    future.remove_done_callback(ignore)
    waiting = [aio.ensure_future(aio.shield(future)) for _ in range(50)]
    await aio.sleep(0)
    waiting.pop().cancel()
    future.set_result(1)
    await aio.gather(*waiting)


async def calls():
    for _ in range(100):
        loop.call_soon(int)
    timers = [loop.call_later(9, int) for _ in range(200)]
    for timer in timers:
        timer.cancel()
    repr(timers[0])
    repr(loop)
    await aio.sleep(0)


async def streams():
    reader = aio.StreamReader(limit=1000)
    for _ in range(50):
        reader.feed_data(b"some\n")
    reader.feed_data(bytearray(b"other\n"))
    for _ in range(50):
        await reader.readline()
    reader.feed_data(b"a long separator, and more")
    await reader.readuntil(b"a long separator")
    reader.feed_eof()
    await reader.read()
    repr(reader)


async def primitives():
    queue = aio.Queue()
    getters = [aio.ensure_future(queue.get()) for _ in range(20)]
    await aio.sleep(0)
    for item in range(100):
        queue.put_nowait(item)
    await aio.gather(*getters)
    lock, condition, semaphore = aio.Lock(), aio.Condition(), aio.Semaphore(2)

    async def use():
        async with lock, semaphore:
            await aio.sleep(0)
        async with condition:
            condition.notify_all()

    await aio.gather(*[use() for _ in range(20)])


async def watching():
    one, two = socket.socketpair()
    try:
        came = aio.Event()
        loop.add_reader(one, came.set)
        loop.add_writer(two, int)
        two.send(b"x")
        await came.wait()
    finally:
        loop.remove_reader(one)
        loop.remove_writer(two)
        one.close()
        two.close()


async def threads():
    await aio.gather(*[loop.run_in_executor(None, int) for _ in range(10)])

    def call():
        for _ in range(50):
            loop.call_soon_threadsafe(int)

    await aio.to_thread(call)


async def echo(reader, writer):
    try:
        while data := await reader.read(100_000):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def converse(size, server_side=None, client_side=None):
    server = await aio.start_server(echo, "127.0.0.1", 0, ssl=server_side)
    writer = None
    try:
        reader, writer = await aio.open_connection(*server.sockets[0].getsockname(), ssl=client_side)
        writer.write(bytes(size))
        writer.writelines([b"a", bytearray(b"b")] * 20)
        await reader.readexactly(size + 40)
        repr(writer)
        repr(server)
    finally:
        if writer is not None:
            writer.close()
        server.close()


async def connections():
    await converse(2_000_000)


async def tls():
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(CERTIFICATE)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname, client_side.verify_mode = False, ssl.CERT_NONE
    await converse(100_000, server_side, client_side)


class Datagrams(aio.DatagramProtocol):
    def __init__(self):
        self.came = aio.Event()

    def datagram_received(self, data, address):
        self.came.set()


async def datagrams():
    transports = []
    try:
        for _ in range(2):
            transport, protocol = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
            transports.append(transport)
        for _ in range(5):
            transports[0].sendto(bytes(1000), transport.get_extra_info("sockname"))
        await protocol.came.wait()
    finally:
        for transport in transports:
            transport.abort()


async def processes():
    child = await aio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
    try:
        await child.communicate(bytes(100_000))
    finally:
        if child.returncode is None:
            child.kill()


def run_loop_again():
    """Run the loop; it may have been told to stop before."""
    for _ in range(2):
        try:
            loop.run_until_complete(nothing())
        except RuntimeError:
            continue
        return
    raise AssertionError("the loop stops again and again")


def attempt(work, first, end):
    """Run `work` while those allocations fail; return how many did, and whether the work went on."""
    coroutine = work()
    # Whose result could not be told leaves who waits for it waiting.
    limit = loop.call_later(0.5, loop.stop)
    _yibu._fail_allocations(first, end)
    went_on = True
    try:
        loop.run_until_complete(coroutine)
    except (MemoryError, OSError, RuntimeError, EOFError):
        went_on = False
    finally:
        failed = _yibu._fail_allocations()
        limit.cancel()
        for task in aio.all_tasks(loop):
            task.cancel()
        run_loop_again()
        coroutine.close()
    return failed, went_on


def each(work):
    attempt(work, 0, 0)
    number, went_on = 0, 0
    while True:
        failed, ended = attempt(work, number, number + 1)
        if not failed:
            break
        number += 1
        went_on += ended
    for first in range(0, number, max(1, number // 20)):
        attempt(work, first, FOREVER)
    attempt(work, 0, 0)
    loop.run_until_complete(loop.shutdown_default_executor())
    return f"{number} allocations failed, {went_on} did no harm"


# Works that put in more and more while all allocations fail


def until_refused(act, most=MANY):
    """Act while allocations fail; return how often that went well before MemoryError, None if always."""
    _yibu._fail_allocations(0, FOREVER)
    try:
        for number in range(most):
            act(number)
    except MemoryError:
        return number
    finally:
        _yibu._fail_allocations()
    return None


def suspended(make, kept):
    """Return a function that begins one more of the coroutines that `make` makes, and keeps it."""

    def begin(number):
        kept.append(make())
        kept[-1].send(None)

    return begin


async def call_soon():
    return until_refused(lambda _: loop.call_soon(int))


async def call_later():
    return until_refused(lambda _: loop.call_later(1000, int))


async def call_soon_threadsafe():
    # Another thread that posts so much waits for the loop, before the ring has to grow.
    return until_refused(lambda _: loop.call_soon_threadsafe(int))


async def add_done_callback():
    future = loop.create_future()
    return until_refused(lambda _: future.add_done_callback(ignore))


async def put_nowait():
    return until_refused(aio.Queue().put_nowait)


async def run_in_executor():
    free = threading.Event()
    for _ in range(40):
        loop.run_in_executor(None, free.wait)
    try:
        return until_refused(lambda _: loop.run_in_executor(None, int))
    finally:
        free.set()


async def create_task():
    made = []

    def make(number):
        coroutine = nothing()
        try:
            made.append(loop.create_task(coroutine))
        except MemoryError:
            coroutine.close()
            raise

    refused_at = until_refused(make)
    for task in made:
        task.cancel()
    return refused_at


async def acquire():
    lock, kept = aio.Lock(), []
    await lock.acquire()
    refused_at = until_refused(suspended(lock.acquire, kept))
    for coroutine in kept:
        coroutine.close()
    return refused_at


async def get():
    kept = []
    refused_at = until_refused(suspended(aio.Queue().get, kept))
    for coroutine in kept:
        coroutine.close()
    return refused_at


async def to_a_connection(act, most=MANY):
    one, two = socket.socketpair()
    transport, _ = await loop.create_connection(aio.Protocol, sock=one)
    try:
        return until_refused(lambda _: act(transport), most)
    finally:
        transport.abort()
        two.close()


async def write():
    return await to_a_connection(lambda transport: transport.write(b"x" * 1000))


async def write_bytearray():
    data = bytearray(1_000_000)
    return await to_a_connection(lambda transport: transport.write(data), 3)


async def writelines():
    data = [b"x"] * MANY
    return await to_a_connection(lambda transport: transport.writelines(data), 3)


async def sendto():
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    transport, _ = await loop.create_datagram_endpoint(aio.DatagramProtocol, sock=one)
    try:
        return until_refused(lambda _: transport.sendto(b"x"))
    finally:
        transport.abort()
        two.close()


async def feed_data():
    reader = aio.StreamReader()
    return until_refused(lambda _: reader.feed_data(b"x" * 10_000))


async def readuntil():
    reader = aio.StreamReader()

    def read(number):
        reading = reader.readuntil(b"x" * 10_000_000)
        try:
            reading.send(None)
        finally:
            reading.close()

    return until_refused(read, 3)


async def gather():
    children = [loop.create_future() for _ in range(MANY)]
    return until_refused(lambda _: aio.gather(*children), 3)


async def task_group():
    async def many():
        async with aio.TaskGroup() as group:
            for _ in range(MANY // 4):
                group.create_task(aio.sleep(100))
            await aio.sleep(0)
            _yibu._fail_allocations(0, FOREVER)
            raise ValueError

    ending = aio.ensure_future(many())
    await aio.wait([ending], timeout=0.1)
    _yibu._fail_allocations()
    for task in aio.all_tasks() - {aio.current_task()}:
        task.cancel()
    await aio.wait([ending])
    return 0


class Talkative(aio.Transport):
    def __repr__(self):
        return "x" * 10_000_000


async def texts():
    reader = aio.StreamReader()
    reader.set_transport(Talkative())
    return until_refused(lambda _: repr(reader), 3)


async def reports():
    report = {"message": "x" * 10_000_000, "more": "y" * 10_000_000}
    return until_refused(lambda _: loop.default_exception_handler(report), 3)


async def timers_due():
    """Lots of timers become due while there is no memory for a longer ring: none is lost."""
    ran = []
    for _ in range(MANY):
        loop.call_later(0, ran.append, None)
    _yibu._fail_allocations(0, FOREVER)
    await aio.sleep(0)
    _yibu._fail_allocations()
    while len(ran) < MANY:
        await aio.sleep(0)
    return 0


def grow(work):
    refused_at = loop.run_until_complete(work())
    run_loop_again()
    return f"refused: {refused_at is not None}"


EACH = [tasks, futures, calls, streams, primitives, watching, threads, connections, tls, datagrams, processes]
GROW = [
    *(call_soon, call_later, call_soon_threadsafe, add_done_callback, put_nowait, run_in_executor),
    *(create_task, acquire, get, write, write_bytearray, writelines, sendto, feed_data, readuntil),
    *(gather, task_group, texts, reports, timers_due),
]

if __name__ == "__main__":
    logging.disable()
    sys.unraisablehook = ignore
    how, name = {"each": each, "grow": grow}[sys.argv[1]], globals()[sys.argv[2]]
    print(how(name), flush=True)
    os._exit(0)
