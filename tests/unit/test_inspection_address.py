"""`--inspect=HOST:PORT`, `YIBU_INSPECT=HOST:PORT`, `yibu.inspect(address=...)`: a program's own page."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse

import pytest
import yibu
from yibu.inspection import listening, options

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(90)]


@pytest.fixture(autouse=True)
def runtime(monkeypatch, tmp_path):
    """A runtime directory of the test's own; its path is short, because those of sockets are."""
    folder = f"/tmp/ya{os.getpid()}"
    os.mkdir(folder, 0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield folder
    for name in (
        os.listdir(os.path.join(folder, "yibu")) if os.path.exists(os.path.join(folder, "yibu")) else []
    ):
        os.unlink(os.path.join(folder, "yibu", name))
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(os.path.join(folder, "yibu"))
    os.rmdir(folder)


def tree_at(address):
    """What the page shows; `address` is what was printed."""
    parts = urllib.parse.urlsplit(address)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)) as connection:
        connection.request("GET", "/tree", headers={"Authorization": f"Bearer {parts.fragment}"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)


PROGRAM = """
import asyncio, sys, yibu

async def main():
    task = asyncio.create_task(asyncio.sleep(100), name="sleeper")
    await asyncio.sleep(0)
    print("ready", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def start(impl, *arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "yibu", *arguments, "-c", PROGRAM],
        env=impl.environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_program_serves_its_page(impl, how):
    """Also while its loop is blocked, as this one's is."""
    process = (
        start(impl, "--inspect=127.0.0.1:0") if how == "option" else start(impl, YIBU_INSPECT="127.0.0.1:0")
    )
    try:
        address = process.stderr.readline().removeprefix("yibu: ").strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#[\w-]{32}", address)
        assert process.stdout.readline() == "ready\n"
        tree = tree_at(address)
        assert tree["pid"] == process.pid
        assert "sleeper" in {task["name"] for task in tree["tasks"]}
    finally:
        _, errors = process.communicate("\n")
    assert (process.returncode, errors) == (0, "")


def test_from_within(capsys):
    with yibu.inspect(socket=False, address="localhost:0") as inspection:
        assert capsys.readouterr().err == f"yibu: {inspection.address}\n"
        assert inspection.path is None
        assert tree_at(inspection.address)["pid"] == os.getpid()
        port = urllib.parse.urlsplit(inspection.address).port
    assert inspection.address is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
    names = {thread.name for thread in threading.enumerate()}
    assert names.isdisjoint({"yibu-page", "yibu-watch"})


def test_by_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with yibu.inspect(socket=False, address="[::1]:0") as inspection:
        assert inspection.address.startswith("http://[::1]:")
        assert tree_at(inspection.address)["pid"] == os.getpid()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1"])
def test_other_machines_are_refused(host):
    with pytest.raises(listening.NotLocal, match="can be reached by other machines"):
        yibu.inspect(socket=False, address=f"{host}:0")


def test_other_machines_may_when_that_is_said():
    """Whoever was sent to an address of the machine is answered; whoever was sent to a name is not."""
    with yibu.inspect(socket=False, address="0.0.0.0:0", remote=True) as inspection:
        parts = urllib.parse.urlsplit(inspection.address)
        for host, status in [("127.0.0.1", 200), ("0.0.0.0", 200), ("evil.example", 403)]:
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
            ) as connection:
                headers = {"Host": f"{host}:{parts.port}", "Authorization": f"Bearer {parts.fragment}"}
                connection.request("GET", "/tree", headers=headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == status


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--inspect=0.0.0.0:0"], "--inspect-remote"),
        (["--inspect=localhost:x"], "is not HOST:PORT"),
        (["--inspect=127.0.0.1:70000"], "is not HOST:PORT"),
    ],
)
def test_wrong_command_lines(impl, arguments, words):
    process = start(impl, *arguments)
    output, errors = process.communicate("")
    assert (process.returncode, output) == (2, "")
    assert words in errors and "Traceback" not in errors


def test_an_address_that_is_taken(impl):
    """The command says so; what inherits the variable goes on without a page."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = start(impl, f"--inspect={address}")
        _, errors = process.communicate("")
        assert process.returncode == 2 and "Address already in use" in errors
        process = start(impl, YIBU_INSPECT=address)
        output, errors = process.communicate("\n")
        assert (process.returncode, output) == (0, "ready\n")
        assert errors == f"yibu: no page at {address} for process {process.pid}: Address already in use\n"


@pytest.mark.parametrize("how", ["close them", "take their numbers"])
def test_a_program_that_closes_the_descriptors_of_the_page(impl, how):
    """Daemons close all they find; files that get the numbers are the program's."""
    ran = impl.run_source(
        f"""
        import http.client, os, socket, urllib.parse, yibu

        first = os.dup(0)
        inspection = yibu.inspect(socket=False, address="127.0.0.1:0")
        if {how == "close them"}:
            os.closerange(first, 1000)
        else:
            others = socket.create_server(("127.0.0.1", 0))
            port = others.getsockname()[1]
            for number in range(first + 1, others.fileno()):
                os.dup2(others.fileno(), number)
        address = urllib.parse.urlsplit(inspection.address)
        headers = {{"Authorization": "Bearer " + address.fragment}}
        while True:
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
            try:
                connection.request("GET", "/tree", headers=headers)
                print(connection.getresponse().status)
                break
            except ConnectionError:
                continue
        if {how != "close them"}:
            with socket.create_connection(("127.0.0.1", port)) as asking:
                print(others.accept()[1] == asking.getsockname())
        inspection.close()
        """
    )
    assert ran.stdout == ("200\n" if how == "close them" else "200\nTrue\n"), ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_forked_process_has_no_page(impl):
    ran = impl.run_source(
        """
        import os, sys, threading, yibu
        inspection = yibu.inspect(address="127.0.0.1:0")
        address = inspection.address
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            threads = {thread.name for thread in threading.enumerate()}
            os.write(writing, repr((inspection.address, "yibu-page" in threads)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        print(os.read(reading, 100).decode())
        threads = {thread.name for thread in threading.enumerate()}
        print(inspection.address == address, "yibu-page" in threads)
        """
    )
    assert ran.stdout == "(None, False)\nTrue True\n"
    assert re.match(r"yibu: http://127\.0\.0\.1:\d+/#\S+\n", ran.stderr)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("9000", ("127.0.0.1", 9000)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text, address):
    assert listening.parse(text) == address


@pytest.mark.parametrize("text", ["", "x", "127.0.0.1", "::1", "::1:9000x", "host:-1", "1:2:3"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        listening.parse(text)


def test_options_are_kept_for_a_restart():
    wanted = options.Wanted(socket=True, address="127.0.0.1:9000", remote=True)
    again = options.Wanted()
    for option in wanted.as_options():
        assert again.take(option, lambda: "")
    assert again == wanted
