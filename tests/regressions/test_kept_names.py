"""No look at an attribute makes its name anew: the interpreter would keep it.

A look at a type is remembered under the address of the name, so that a name which is made for one look stays
until another takes its place, among 4096. A program seems to leak then, for as long as the places fill up.
"""

import os
import pathlib
import sys

import pytest

CERTIFICATE = pathlib.Path(__file__).parents[1] / "seeds" / "certificate.pem"

OPERATIONS = {
    "connections": "await talk(*tcp)",
    "connections over TLS": "await talk(*tls, ssl=client, server_hostname='localhost')",
    "connections of Unix sockets": "await talk_to(*await aio.open_unix_connection(path))",
    "refused connections": "await refused()",
    "servers": "await serve_once()",
    "servers of Unix sockets": "await serve_at_a_path()",
    "datagrams": "await exchange()",
    "child processes": "await (await aio.create_subprocess_exec('true')).wait()",
    "signals": "handle_signal()",
    "wait_for() of coroutines": "await aio.wait_for(nothing(), 9)",
    "jobs of threads": "await aio.to_thread(int)",
    "runs": "run_once()",
    "files sent": "await send_file()",
    "pipes": "await talk_by_pipe()",
    "methods for sockets": "await talk_by_socket()",
    "tasks that fail": "await fail()",
    "time limits": "await be_late()",
    "locks and queues": "await wait_for_things()",
    "errors that nobody handles": "report()",
    "asynchronous generators": "await iterate()",
    "tasks shown": "repr(aio.current_task()), aio.current_task().get_stack(), aio.all_tasks()",
}

PROGRAM = """
import gc, os, signal, socket, ssl, sys, threading, warnings

warnings.simplefilter("ignore")

def kept_names():
    gc.collect()
    before = sys.getallocatedblocks()
    sys._clear_type_cache()
    return before - sys.getallocatedblocks()

async def nothing():
    pass

async def echo(reader, writer):
    writer.write(await reader.read(1))
    writer.close()

async def talk_to(reader, writer):
    writer.write(b"x")
    await reader.read(1)
    writer.close()
    await writer.wait_closed()

async def talk(*address, **options):
    await talk_to(*await aio.open_connection(*address, **options))

async def refused():
    try:
        await aio.open_connection(*dead.getsockname())
    except ConnectionRefusedError:
        pass

async def serve_once():
    server = await aio.start_server(echo, "127.0.0.1", 0)
    server.close()
    await server.wait_closed()

async def serve_at_a_path():
    server = await aio.start_unix_server(echo, path + "2")
    server.close()
    await server.wait_closed()
    if os.path.exists(path + "2"):
        os.unlink(path + "2")

async def exchange():
    received = aio.get_running_loop().create_future()

    class Protocol(aio.DatagramProtocol):
        def datagram_received(self, data, address):
            received.set_result(data)

    loop = aio.get_running_loop()
    one, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    other, _ = await loop.create_datagram_endpoint(Protocol, remote_addr=one.get_extra_info("sockname"))
    other.sendto(b"x")
    await received
    one.close()
    other.close()
    await aio.sleep(0)

def handle_signal():
    loop = aio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, int)
    loop.remove_signal_handler(signal.SIGUSR1)

def run_once():
    thread = threading.Thread(target=lambda: aio.run(nothing()))
    thread.start()
    thread.join()

async def send_file():
    reader, writer = await aio.open_unix_connection(path)
    with open(sys.argv[2], "rb") as file:
        await aio.get_running_loop().sendfile(writer.transport, file, 0, 1)
    await reader.read(1)
    writer.close()
    await writer.wait_closed()

async def talk_by_pipe():
    loop = aio.get_running_loop()
    reading, writing = os.pipe()
    reader = aio.StreamReader()
    source, _ = await loop.connect_read_pipe(
        lambda: aio.StreamReaderProtocol(reader), open(reading, "rb", 0)
    )
    sink, _ = await loop.connect_write_pipe(aio.BaseProtocol, open(writing, "wb", 0))
    sink.write(b"x")
    sink.close()
    await reader.read()
    source.close()
    await aio.sleep(0)

async def talk_by_socket():
    loop = aio.get_running_loop()
    with socket.socket() as here:
        here.setblocking(False)
        await loop.sock_connect(here, tcp)
        await loop.sock_sendall(here, b"x")
        await loop.sock_recv(here, 1)
    await loop.getaddrinfo("127.0.0.1", 80)

async def fail():
    async def fails():
        await aio.sleep(0)
        raise KeyError
    await aio.gather(fails(), aio.shield(fails()), return_exceptions=True)
    try:
        async with aio.TaskGroup() as group:
            group.create_task(fails())
    except BaseException:
        pass

async def be_late():
    for limited in aio.wait_for(aio.sleep(9), 0.0001), aio.wait_for(aio.sleep(9), 0):
        try:
            await limited
        except aio.TimeoutError:
            pass
    try:
        async with aio.timeout(0):
            await aio.sleep(9)
    except TimeoutError:
        pass

async def wait_for_things():
    lock, condition, event, queue = aio.Lock(), aio.Condition(), aio.Event(), aio.Queue(1)
    async with lock, condition, aio.Semaphore():
        event.set()
        await event.wait()
    await queue.put(1)
    await queue.get()
    await aio.wait([aio.ensure_future(aio.sleep(0))])
    for done in aio.as_completed([aio.sleep(0)]):
        await done

def report():
    aio.get_running_loop().call_exception_handler({"message": "test", "exception": ValueError()})

async def iterate():
    async def generate():
        yield 1
        yield 2
    async for _ in generate():
        break

async def main():
    aio.log.logger.disabled = True
    global tcp, tls, client, dead
    certificate = sys.argv[2]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    servers = [
        await aio.start_server(echo, "127.0.0.1", 0),
        await aio.start_server(echo, "127.0.0.1", 0, ssl=server),
        await aio.start_unix_server(echo, path),
    ]
    tcp, tls = (server.sockets[0].getsockname() for server in servers[:2])
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    for _ in range(3):
        await operation()
    await aio.sleep(0.01)
    kept_names()
    for _ in range(COUNT):
        await operation()
    print(kept_names())
    for server in servers:
        server.close()
    dead.close()

COUNT = 100
path = sys.argv[1]

async def operation():
    OPERATION

aio.run(main())
"""


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.skipif(
    not hasattr(sys, "_clear_type_cache"), reason="the interpreter does not clear what it keeps"
)
def test_names_of_looks(impl, name, tmp_path):
    if name == "tasks that fail" and sys.version_info < (3, 13):
        pytest.skip("the interpreter makes a name for each group of exceptions")
    source = PROGRAM.replace("OPERATION", OPERATIONS[name])
    path = os.path.relpath(tmp_path / "socket")
    finished = impl.run_source(source, path, str(CERTIFICATE), python_options=("-W", "ignore"))
    assert finished.returncode == 0, finished.stderr
    # One name for each round would be 100, of which a few have the same place.
    # The standard library's servers keep up to 60.
    assert int(finished.stdout) < 80
