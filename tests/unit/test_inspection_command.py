"""`python -m yibu ps`, `pstree` and `inspect`: wrong arguments, and output that cannot be written."""

import os
import socket
import subprocess
import sys

import pytest
import yibu
from yibu.inspection import client

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(90)]


@pytest.fixture
def here(monkeypatch):
    """This process, with a socket in a runtime directory of the test's own."""
    folder = f"/tmp/yc{os.getpid()}"
    os.mkdir(folder, 0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    with yibu.inspect():
        yield os.getpid()
    os.rmdir(os.path.join(folder, "yibu"))
    os.rmdir(folder)


@pytest.fixture
def start(impl):
    """Start `python -m yibu`."""

    def start(*arguments, stdout=subprocess.PIPE, **variables):
        return subprocess.Popen(
            [sys.executable, "-m", "yibu", *map(str, arguments)],
            env=impl.environment(**variables),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    return start


@pytest.fixture
def run(start):
    """Run it to its end: its exit status, output and errors."""

    def run(*arguments, **more):
        with start(*arguments, **more) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    return run


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["ps", "abc"], "'abc' is not a whole number"),
        (["ps", "1", "--timeout", "0"], "must be more than 0 seconds"),
        (["ps", "1", "--timeout", "soon"], "'soon' is not a number of seconds"),
        (["ps", "1", "--sample", "nan"], "must be between 0 and 3600 seconds"),
        (["inspect", "1", "--timeout", "0"], "must be more than 0 seconds"),
        (["inspect", "1", "--port", "99999"], "a port is a number from 0 to 65535"),
        (["inspect", "1", "--port", "http"], "'http' is not a whole number"),
    ],
)
def test_wrong_arguments(run, arguments, reason):
    status, _output, errors = run(*arguments)
    assert status == 2 and reason in errors
    assert "Traceback" not in errors and " _" not in errors


def test_a_port_in_use(here, run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, _output, errors = run("inspect", here, "--port", port)
    assert status == 1
    assert errors == f"python -m yibu: no page at 127.0.0.1:{port}: Address already in use\n"


def test_an_encoding_without_the_character(here, run):
    async def main():
        yibu.current_task().set_name("名前 \udcff")
        return await yibu.to_thread(run, "ps", here, PYTHONIOENCODING="ascii:strict")

    status, output, errors = yibu.run(main())
    assert (status, errors) == (0, "")
    assert r"\u540d\u524d \udcff" in output


def test_a_reader_that_is_gone(here, start):
    reads, writes = os.pipe()
    os.close(reads)
    with start("ps", here, stdout=writes) as process:
        os.close(writes)
        _output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["ps", "pstree"])
def test_a_full_disk(here, run, command):
    with open("/dev/full", "w") as full:
        status, _output, errors = run(command, here, stdout=full)
    assert status == 1
    assert errors == "python -m yibu: standard output cannot be written: No space left on device\n"


def test_an_interrupt(start):
    """While the command waits for the answer of a process that never gives one."""
    program = """
import os, signal, sys
from yibu.inspection import client, command

def ask(pid, **options):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()

client.ask = ask
sys.exit(command.main("ps", ["1"]))
"""
    with start("-c", program) as process:
        _output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "python -m yibu: interrupted\n")


def test_a_process_that_ends_while_it_is_asked():
    """Its side of the connection is reset, which is no timeout."""
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises(client.Unreachable, match="has not answered"):
            client._answer(ours, os.getpid(), os.getuid(), {"ask": "nothing"}, 10)


@pytest.mark.parametrize("address", [5, b"127.0.0.1:0", ("127.0.0.1", 0)])
def test_an_address_that_is_no_text(address):
    with pytest.raises(TypeError, match="an address is a str such as"):
        yibu.inspect(socket=False, address=address)
