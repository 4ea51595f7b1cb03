"""One test for each program of `examples/`, which also says what a reader may expect of it."""

import asyncio
import http.server
import json
import re
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CERTIFICATE = ROOT / "tests" / "unit" / "localhost.pem"

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(60)]


class Lines:
    """A connection that is read and written by lines."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rw", encoding="utf-8", newline="\n")

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.file.close()
        self.socket.close()

    def send(self, text):
        self.file.write(text + "\n")
        self.file.flush()

    def read(self):
        return self.file.readline().rstrip("\n")


def test_hello(programs):
    assert programs.run("hello.py").splitlines()[:2] == ["hello, world", "hello, 异步"]


def test_service(programs, needs):
    needs("aiohttp")
    assert "6000" in programs.run("service.py")


def test_chat(programs):
    with programs.serving("chat.py", "--port", 0) as served, Lines(served.port) as ann:
        assert ann.read() == "your name?"
        ann.send("ann")
        with Lines(served.port) as other:
            other.read()
            other.send("ann")
            assert other.read() == "that name will not do"
        with Lines(served.port) as bob:
            bob.read()
            bob.send("bob")
            assert ann.read() == "* bob is here"
            bob.send("good morning")
            assert ann.read() == "bob: good morning"
            ann.send("good evening")
            assert bob.read() == "ann: good evening"
            bob.send("x" * 5000)
            assert ann.read() == "* bob has left"
        ann.send("alone again")


def test_crawler(programs, needs, tmp_path):
    needs("aiohttp")
    (tmp_path / "index.html").write_text('<a href="a.html">a</a> <a href="http://127.0.0.1:1/">away</a>')
    (tmp_path / "a.html").write_text('<a href="index.html#top">back</a> <a href="missing.html">?</a>')

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            site = f"http://127.0.0.1:{server.server_port}"
            printed = programs.run("crawler.py", f"{site}/index.html", "--rate", 100).splitlines()
        finally:
            server.shutdown()
            thread.join()
    assert printed == [
        f"200 {site}/index.html",
        f"200 {site}/a.html",
        f"404 {site}/missing.html",
        "3 pages",
    ]


def test_producer_consumer(programs, tmp_path):
    files = [tmp_path / f"{number}.txt" for number in range(3)]
    for file in files:
        file.write_text("tea and tea\n" * 500)
    printed = programs.run("producer_consumer.py", *files).splitlines()
    assert printed == ["1500 lines, 4500 words", "  3000 tea", "  1500 and"]


def test_publish_subscribe(programs):
    printed = programs.run("publish_subscribe.py").splitlines()
    assert [line for line in printed if line.startswith("quick")] == [
        *(f"quick: {price}, 0 lost" for price in range(10)),
        "quick: closed, 0 lost",
    ]
    assert printed[-1] == "0 are listening" and "2 were listening" in printed
    assert any(line.startswith("slow: closed") for line in printed)


def test_process_pipeline(programs, tmp_path):
    files = [tmp_path / name for name in "cab"]
    for file in files:
        file.write_text(file.name)
    printed = programs.run("process_pipeline.py", *files).splitlines()
    assert [line.split()[1] for line in printed] == [str(file) for file in files]
    assert len({line.split()[0] for line in printed}) == 3


def test_tls_echo(programs):
    with programs.serving("tls_echo.py", "serve", "--port", 0, "--certificate", CERTIFICATE) as served:
        printed = programs.run(
            "tls_echo.py", "say", "good evening", "--port", served.port, "--certificate", CERTIFICATE
        )
    assert printed == "good evening (TLSv1.3)\n"


def test_udp_service(programs):
    with programs.serving("udp_service.py", "serve", "--port", 0) as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\xff no request", ("127.0.0.1", served.port))
        assert programs.run("udp_service.py", "ask", 17, 4, "--port", served.port) == "21\n"


def test_subprocess_pool(programs):
    printed = programs.run(
        "subprocess_pool.py", "--at-once", 2, "--limit", 5, "echo one; echo two", "exit 3", status=1
    )
    assert "[echo one; echo two] one\n[echo one; echo two] two\n" in printed
    assert "[exit 3] exit code 3\n" in printed and printed.endswith("1 of 2 succeeded\n")
    printed = programs.run("subprocess_pool.py", "--limit", 0.2, "sleep 60 & sleep 60", status=1)
    assert printed.startswith("[sleep 60 & sleep 60] ended after 0.2 s\n")


def test_fastapi_service(programs, needs):
    needs("fastapi", "uvicorn")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    def ask(path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)

    with programs.serving("fastapi_service.py", "--port", port, ready=r"running on http://.*:(\d+)"):
        assert ask("/loop") == (200, "<class 'yibu.event_loop.EventLoop'>")
        assert ask("/jobs?text=hello", "POST") == (202, {"number": 1})
        while (answer := ask("/jobs/1")[1]) == {"state": "waiting"}:
            pass
        assert answer == {"state": "done", "result": "HELLO"}
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            ask("/jobs/7")
        caught.value.close()


def test_websocket_broadcast(programs, needs):
    needs("websockets")
    from websockets.sync.client import connect

    with programs.serving(
        "websocket_broadcast.py", "--port", 0, "--every", 60, stop=signal.SIGTERM
    ) as served:
        address = f"ws://127.0.0.1:{served.port}"
        with connect(address) as ann, connect(address) as bob:
            assert json.loads(ann.recv(10)) == json.loads(bob.recv(10)) == {"ticks": 0}
            ann.send("good morning")
            assert json.loads(bob.recv(10)) == json.loads(ann.recv(10)) == {"said": "good morning"}
            with connect(address) as late:
                assert json.loads(late.recv(10)) == {"said": "good morning"}


def test_periodic_jobs(programs):
    printed, logged = programs.both("periodic_jobs.py", "--seconds", 1.2)
    runs = {name: int(count) for name, count in re.findall(r"(\w+): (\d+) runs", printed)}
    assert runs.keys() == {"heartbeat", "slow", "unlucky"} and all(runs.values())
    assert printed.count("alive") == runs["heartbeat"]
    assert logged.count("unlucky failed") == logged.count("ValueError: bad luck") <= runs["unlucky"]


def test_log_merge(programs, tmp_path):
    one, two, output = tmp_path / "one", tmp_path / "two", tmp_path / "merged"
    one.write_text("".join(f"2026-01-01T00:{minute:02}:00 one\n" for minute in range(0, 60, 2)))
    two.write_text("\n".join(f"2026-01-01T00:{minute:02}:00 two" for minute in range(1, 60, 3)))
    printed = programs.run("log_merge.py", one, two, "--output", output)
    lines = output.read_text().splitlines()
    assert printed.startswith("50 lines")
    assert lines == sorted(lines) and len(lines) == 50
    assert sorted(tmp_path.iterdir()) == sorted([one, two, output])


def test_graceful_shutdown(programs):
    with programs.serving("graceful_shutdown.py", "--port", 0, "--grace", 0.3, stop=None) as served:
        with Lines(served.port) as quick, Lines(served.port) as slow, Lines(served.port) as idle:
            idle.send("health")
            assert idle.read() == "ok"
            slow.send("60")
            quick.send("0.1")
            # Both requests have arrived: the answer to one that was sent after them has come.
            idle.send("0.05")
            assert idle.read() == "waited 0.05 s"
            served.process.send_signal(signal.SIGTERM)
            assert re.fullmatch(r"ending, [12] requests under way", served.line())
            assert quick.read() == "waited 0.1 s"
            assert slow.read() == ""
            assert served.line() == "ended, 1 requests cancelled"


def test_blocked_loop(programs):
    printed, logged = programs.both("blocked_loop.py")
    assert re.search(r"the ticker ran \d+ times; once it waited for [\d.]+ s\n\d+ blockages", printed)
    for line in "time.sleep(0.4)", "sum(range(1000))", "sum(range(40_000_000))":
        assert re.search(rf"WARNING \S+blocked_loop.py:\d+: {re.escape(line)}", logged), logged
    assert "in task 'order 1' (handle_order > fetch_price)" in logged


def test_every_example_has_a_test_and_a_line_in_the_documentation():
    page = (ROOT / "docs" / "examples.md").read_text()
    for path in (ROOT / "examples").glob("*.py"):
        assert f"test_{path.stem}" in globals(), path
        assert f"examples/{path.name}" in page, path
        if path.name != "service.py":
            assert len(path.read_text().splitlines()) <= 100, path


def test_examples_do_not_need_yibu_to_be_read():
    """They are asyncio's programs: the names that they use are asyncio's."""
    for path in (ROOT / "examples").glob("*.py"):
        for name in set(re.findall(r"(?<![.\w])asyncio\.(\w+)", path.read_text())):
            assert hasattr(asyncio, name), (path, name)
