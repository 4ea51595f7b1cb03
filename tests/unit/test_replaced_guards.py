"""What guards a program: audit hooks, and functions that look at the stack before they let a call pass."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap

import pytest

AUDITED = """
    import asyncio, importlib, socket, sys

    impl = importlib.import_module(sys.argv[1])
    events = []

    def hook(event, args):
        if refused and event == refused[0]:
            raise PermissionError(event)
        if event.startswith("socket.") and listening:
            events.append(event)

    refused, listening = [], []
    sys.addaudithook(hook)

    class Datagrams(asyncio.DatagramProtocol):
        def __init__(self):
            self.got = asyncio.Queue()

        def datagram_received(self, data, addr):
            self.got.put_nowait(data)

    async def main():
        loop = asyncio.get_running_loop()
        served = asyncio.Queue()
        server = await impl.start_server(lambda *pair: served.put_nowait(pair), "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        listening.append(True)
        reader, writer = await impl.open_connection(*address)
        _, theirs = await served.get()
        made = events.copy()
        events.clear()
        writer.writelines([b"a", b"b"])
        theirs.write(b"c")
        await reader.read(1)
        sent = events.copy()
        events.clear()
        udp, protocol = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        udp.sendto(b"d", udp.get_extra_info("sockname"))
        await protocol.got.get()
        datagrams = events.copy()
        refused.append("socket.connect")
        try:
            await impl.open_connection(*address)
        except PermissionError:
            stopped = True
        else:
            stopped = False
        listening.clear()
        for each in (writer, theirs, udp, server):
            each.close()
        return made, sent, datagrams, stopped

    print(impl.run(main()))
"""


def test_audit_events_of_sockets(impl):
    """A hook hears of the same operations as on asyncio, and can stop them."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(AUDITED), impl.__name__]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    made, sent, datagrams, stopped = eval(done.stdout)
    assert made == ["socket.__new__", "socket.connect", "socket.__new__"]
    assert sent == (["socket.sendmsg"] if sys.version_info >= (3, 12) else [])
    assert datagrams == ["socket.__new__", "socket.bind", "socket.sendto"]
    assert stopped


@pytest.mark.yibu_only
def test_a_loop_makes_no_socket_pair(impl, monkeypatch):
    """It wakes itself without, so a guard of `socket.socketpair` does not see that a loop is made."""
    monkeypatch.setattr(socket, "socketpair", lambda *_: 1 / 0)
    loop = impl.new_event_loop()
    loop.run_until_complete(impl.to_thread(int))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def names_on_stack():
    """The functions of asyncio that the caller was called from."""
    frame, names = sys._getframe(2), set()
    while frame is not None:
        if "asyncio" in frame.f_code.co_filename:
            names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


@pytest.mark.parametrize("shell", [False, True], ids=["exec", "shell"])
def test_children_start_under_a_guard_of_os_read(impl, run, monkeypatch, shell):
    original, seen = os.read, []

    def read(fd, size):
        if os.get_blocking(fd):
            seen.append(names_on_stack())
        return original(fd, size)

    async def main():
        monkeypatch.setattr(os, "read", read)
        if shell:
            child = await impl.create_subprocess_shell("true")
        else:
            child = await impl.create_subprocess_exec("true")
        monkeypatch.undo()
        return await child.wait()

    assert run(main()) == 0
    name = "subprocess_shell" if shell else "subprocess_exec"
    assert all(name in names for names in seen)


def test_paths_of_unix_servers_under_a_guard_of_os_stat(impl, run, monkeypatch, tmp_path):
    original, seen = os.stat, []

    def stat(path, *args, **keywords):
        seen.append(names_on_stack())
        return original(path, *args, **keywords)

    async def main():
        monkeypatch.setattr(os, "stat", stat)
        server = await impl.start_unix_server(print, str(tmp_path / "socket"))
        server.close()
        await asyncio.sleep(0)
        monkeypatch.undo()

    run(main())
    assert seen
    assert all(names & {"create_unix_server", "_stop_serving"} for names in seen)
