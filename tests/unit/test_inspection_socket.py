"""`yibu.inspect()` and `python -m yibu ps`: tasks of another process, by a socket of its user's own."""

import contextlib
import gc
import io
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

import pytest
import yibu
from yibu.inspection import client, kept, messages, observed, remote, server, silence, sockets

pytestmark = pytest.mark.yibu_only

WAITING = """
import asyncio, os, sys, time, yibu

async def worker(queue):
    await queue.get()

async def main():
    queue = asyncio.Queue()
    tasks = [asyncio.create_task(worker(queue), name=f"worker {number}") for number in range(3)]
    print("ready", flush=True)
    await asyncio.sleep(100)

asyncio.run(main())
"""

BLOCKED = """
import asyncio, time

def blocks():
    print("ready", flush=True)
    while True:
        {}

async def blocker():
    await asyncio.sleep(0)
    blocks()

async def main():
    await asyncio.create_task(blocker(), name="the blocker")

asyncio.run(main())
"""


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A runtime directory of the test's own; its path is short, because those of sockets are."""
    folder = os.path.join("/tmp", f"yr{os.getpid()}")
    os.mkdir(folder, 0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield folder
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(os.path.join(folder, "yibu")):
            os.unlink(os.path.join(folder, "yibu", name))
        os.rmdir(os.path.join(folder, "yibu"))
    os.rmdir(folder)


@pytest.fixture
def start(impl, runtime):
    """Start a program with options of yibu's command; return its process once it says "ready"."""
    processes = []

    def start(source, *options, **variables):
        process = subprocess.Popen(
            [sys.executable, "-m", "yibu", *options, "-c", textwrap.dedent(source)],
            env=impl.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def command(impl):
    """Run `python -m yibu`."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "yibu", *map(str, arguments)],
            env=impl.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def _read_soon(is_unread):
    """The same question, asked until the other side had time to read."""

    def asked(connection):
        end = time.monotonic() + 20
        while is_unread(connection) and time.monotonic() < end:
            time.sleep(0.01)
        return is_unread(connection)

    return asked


class TestCommand:
    def test_ps(self, start, command):
        process = start(WAITING, "--inspect")
        shown = command("ps", process.pid)
        assert shown.returncode == 0, shown.stderr
        lines = shown.stdout.splitlines()
        assert lines[0] == f"Process {process.pid}: 4 tasks (4 waiting)"
        assert sum("Queue empty, 2 other getters" in line for line in lines) == 3

    def test_a_program_that_has_just_begun(self, impl, runtime, command):
        """As by `program & python -m yibu ps $!`: there is no socket yet."""
        arguments = [sys.executable, "-m", "yibu", "--inspect", "-c", WAITING]
        with subprocess.Popen(arguments, env=impl.environment(), stdout=subprocess.DEVNULL) as process:
            shown = command("ps", process.pid)
            process.kill()
        assert shown.stdout.startswith(f"Process {process.pid}: "), shown.stderr

    def test_pstree_and_the_variable(self, start, command):
        process = start(WAITING, YIBU_INSPECT="1")
        shown = command("pstree", process.pid)
        assert "\n- worker 1 waits for Queue empty, 2 other getters\n" in shown.stdout

    @pytest.mark.parametrize("variable", ["YIBU_INSPECT", "YIBU_DUMP_CRASH", "YIBU_INSPECT_REMOTE"])
    def test_a_variable_that_says_neither_yes_nor_no(self, impl, variable):
        arguments = [sys.executable, "-c", "import yibu"]
        environment = {**impl.environment(), variable: "false"}
        process = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        assert process.returncode == 0
        assert process.stderr.startswith(f"yibu: {variable} must be 0") and process.stderr.count("\n") == 1

    def test_json(self, start, command):
        process = start(WAITING, "--inspect")
        data = json.loads(command("ps", process.pid, "--json").stdout)
        assert data["pid"] == process.pid
        assert sorted(task["name"] for task in data["tasks"])[-1] == "worker 2"
        assert all(task["age"] >= 0 for task in data["tasks"])

    @pytest.mark.parametrize("how", ["time.sleep(0.01)", "sum(range(1000))"], ids=["sleeps", "computes"])
    def test_a_loop_that_is_blocked(self, start, command, how):
        process = start(BLOCKED.format(how), "--inspect")
        shown = command("ps", process.pid)
        line = next(line for line in shown.stdout.splitlines() if line.startswith("BLOCKED LOOP: "))
        assert "by task 'the blocker'" in line and "at blocks (<string>:" in line
        task = next(line for line in shown.stdout.splitlines() if line.startswith("the blocker "))
        assert " running " in task and " blocks (<string>:" in task

    def test_the_list(self, start, command):
        process = start(WAITING, "--inspect")
        assert str(process.pid) in command("ps").stdout.split()

    def test_in_the_form_of_asyncio(self, start, command):
        process = start(WAITING, "--inspect")
        lines = command("ps", process.pid, "--asyncio").stdout.splitlines()
        assert lines[0].split("  ")[0] == "tid" and lines[1] == "-" * 180
        assert sum(line.split()[0] == str(process.pid) for line in lines[2:]) == 4
        tree = command("pstree", process.pid, "--asyncio").stdout
        assert "└── (T) worker 0\n    └──  worker <string>:" in tree

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="remote debugging is new in 3.14")
    @pytest.mark.parametrize("idle", [True, False])
    def test_by_remote_debugging(self, start, command, idle):
        """A loop that waits in the kernel runs no Python code, and is woken for it."""
        busy = WAITING.replace("sleep(100)", "sleep(0.01)\n    while True: await asyncio.sleep(0.01)")
        process = start(WAITING if idle else busy)
        shown = command("ps", process.pid)
        if "Operation not permitted" in shown.stderr:
            pytest.skip("this process may not debug others")
        assert "Queue empty, 2 other getters" in shown.stdout, shown.stderr

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="remote debugging is new in 3.14")
    def test_a_process_without_yibu(self, impl, runtime, command):
        """It stays without: nothing is imported into it."""
        source = """
            import asyncio, sys

            async def main():
                loop = asyncio.get_running_loop()
                print("ready", flush=True)
                await loop.run_in_executor(None, sys.stdin.readline)
                print([name for name in sys.modules if "yibu" in name])

            asyncio.run(main())
            """
        arguments = [sys.executable, "-c", textwrap.dedent(source)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(arguments, env=impl.environment(), text=True, **pipes) as process:
            assert process.stdout.readline() == "ready\n"
            shown = command("ps", process.pid)
            output, errors = process.communicate("\n")
        if "Operation not permitted" in shown.stderr:
            pytest.skip("this process may not debug others")
        assert shown.returncode == 1
        assert shown.stderr.endswith(" has not imported yibu, and has no task of yibu's\n")
        assert (output.split()[0], errors) == ("[]", "")

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="remote debugging is new in 3.14")
    def test_a_process_that_listens_too_late(self, impl, runtime, command):
        """It finds a script, which does nothing and removes itself."""
        source = "import sys, yibu; print('ready', flush=True); sys.stdin.readline(); print('ended well')"
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        arguments = [sys.executable, "-c", source]
        with subprocess.Popen(arguments, env=impl.environment(), text=True, **pipes) as process:
            assert process.stdout.readline() == "ready\n"
            shown = command("ps", process.pid, "--timeout", "0.1")
            output, errors = process.communicate("\n")
        if "Operation not permitted" in shown.stderr:
            pytest.skip("this process may not debug others")
        assert "its main thread has run no Python code for 0.1 s" in shown.stderr
        assert (output, errors) == ("ended well\n", "")
        assert not [name for name in os.listdir(tempfile.gettempdir()) if f"remote-{process.pid}-" in name]

    def test_scripts_of_processes_that_have_ended(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
        for pid in (2**22 + 1, os.getpid()):
            (tmp_path / f"yibu-remote-{pid}-x.py").touch()
        remote._remove_left()
        assert os.listdir(tmp_path) == [f"yibu-remote-{os.getpid()}-x.py"]

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="remote debugging opens a socket")
    def test_without_a_socket(self, start, command):
        process = start(WAITING)
        shown = command("ps", process.pid)
        assert shown.returncode == 1
        assert "--inspect" in shown.stderr and "Traceback" not in shown.stderr

    def test_no_such_process(self, runtime, command):
        shown = command("ps", 2**22 + 1)
        assert shown.returncode == 1 and "there is no process" in shown.stderr

    @pytest.mark.parametrize("arguments", [["nonsense"], ["0"], ["1", "--timeout", "-1"]])
    def test_wrong_arguments(self, command, arguments):
        assert command("ps", *arguments).returncode == 2

    def test_a_stopped_process(self, start, command):
        process = start(WAITING, "--inspect")
        os.kill(process.pid, signal.SIGSTOP)
        try:
            shown = command("ps", process.pid, "--timeout", "0.5")
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert shown.returncode == 1 and "it is stopped" in shown.stderr

    @staticmethod
    def wait_until_it_computes(pid):
        """Until then the thread of the socket may still get the interpreter and read a question."""

        def used():
            with open(f"/proc/{pid}/stat") as file:
                return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

        until = used() + 0.5
        while used() < until:
            time.sleep(0.01)

    def test_a_thread_that_keeps_the_interpreter(self, start, monkeypatch):
        """One line says so, long before the time is over."""
        monkeypatch.setattr(silence, "PATIENCE", 0.1)
        process = start(BLOCKED.format('__import__("re").match("(a+)+$", "a" * 60 + "b")'), "--inspect")
        self.wait_until_it_computes(process.pid)
        lines = []
        with pytest.raises(client.Unreachable, match="within 3 s: something keeps Python's interpreter"):
            client.ask(process.pid, sample=0, timeout=3, tell=lines.append)
        (line,) = lines
        assert line.startswith(f"process {process.pid} has not taken the question for 0.1 s, and may yet: ")
        assert "in code that is not Python's: the main thread (" in line

    def test_a_long_look_is_no_silence(self, start, monkeypatch):
        monkeypatch.setattr(silence, "PATIENCE", 0.1)
        process = start(WAITING, "--inspect")
        monkeypatch.setattr(silence, "_is_unread", _read_soon(silence._is_unread))
        lines = []
        assert len(list(client.ask(process.pid, sample=0.5, timeout=30, tell=lines.append))) == 4
        assert not lines

    def test_by_a_signal(self, start, command):
        process = start(WAITING, "--inspect-signal", "USR1")
        with pytest.raises(client.WithoutSocket):
            client.exchange_by_socket(process.pid, {"ask": "nothing"}, 10)
        os.kill(process.pid, signal.SIGUSR1)
        assert process.stderr.readline() == f"yibu: python -m yibu ps {process.pid}\n"
        assert command("ps", process.pid).returncode == 0

    @pytest.mark.parametrize("option", ["--dump-signal", "--inspect-signal"])
    def test_a_signal_that_cannot_be_handled(self, command, option):
        shown = command(option, "KILL", "-c", "")
        assert shown.returncode == 2 and "no program can handle SIGKILL" in shown.stderr

    def test_no_such_signal(self, command):
        shown = command("--dump-signal", "NONE", "-c", "")
        assert shown.returncode == 2 and "'NONE' is no signal" in shown.stderr


class TestSocket:
    def test_only_the_user_can_use_it(self, runtime):
        with yibu.inspect() as inspection:
            found = os.stat(inspection.path)
            assert stat.S_IMODE(found.st_mode) == 0o600
            assert stat.S_IMODE(os.stat(os.path.dirname(inspection.path)).st_mode) == 0o700
            path = inspection.path
        assert not os.path.exists(path) and inspection.path is None

    def test_two_inspections_share_it(self, runtime):
        first, second = yibu.inspect(), yibu.inspect()
        assert first.path == second.path
        path = first.path
        first.close()
        assert os.path.exists(path)
        second.close()
        second.close()
        assert not os.path.exists(path)

    def test_a_stale_socket_is_replaced(self, runtime):
        path = sockets.path_of(os.getpid(), sockets.folder())
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        with yibu.inspect():
            assert client.ask(os.getpid(), sample=0, timeout=10).pid == os.getpid()

    @pytest.mark.parametrize("kind", ["link", "open to others", "file"])
    def test_a_folder_that_is_not_safe(self, runtime, tmp_path, kind):
        path = os.path.join(runtime, "yibu")
        if kind == "link":
            os.symlink(tmp_path, path)
        elif kind == "file":
            with open(path, "w"):
                pass
        else:
            os.mkdir(path)
            os.chmod(path, 0o755)
        try:
            with pytest.raises(sockets.UnsafeFolder):
                yibu.inspect()
            assert sockets.folders_of(os.getuid())[:1] != [path]
        finally:
            if kind == "open to others":
                os.rmdir(path)
            else:
                os.unlink(path)

    def test_the_folder_of_another_user(self, tmp_path):
        os.chmod(tmp_path, 0o700)
        with pytest.raises(sockets.UnsafeFolder, match="belongs to user"):
            sockets.check(str(tmp_path), os.getuid() + 1)

    @pytest.mark.parametrize(
        "sent",
        [
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            struct.pack("!I", 2**31),
            struct.pack("!I", 4) + b"{{{{",
            struct.pack("!I", 2) + b"[]",
        ],
    )
    def test_nonsense_is_refused(self, runtime, sent):
        with yibu.inspect() as inspection:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(inspection.path)
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(10)
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(100) == b""
            assert client.ask(os.getpid(), sample=0, timeout=10).pid == os.getpid()

    def test_an_unknown_request(self, runtime):
        with yibu.inspect() as inspection, socket.socket(socket.AF_UNIX) as connection:
            connection.connect(inspection.path)
            deadline = time.monotonic() + 10
            messages.send(connection, {"ask": "the weather"}, deadline)
            answer = messages.receive(connection, messages.LARGEST_ANSWER, deadline)
            assert answer == {"error": "unknown request 'the weather'"}

    def test_a_fork_has_a_socket_of_its_own(self, start, command):
        process = start(
            """
            import asyncio, os, time, yibu

            async def main(name):
                task = asyncio.create_task(asyncio.sleep(100), name=name)
                print("ready" if name == "parent" else os.getpid(), flush=True)
                await task

            child = os.fork()
            if child == 0:
                time.sleep(0.5)
                asyncio.run(main("child"))
            try:
                asyncio.run(main("parent"))
            finally:
                os.kill(child, 9)
            """,
            "--inspect",
        )
        child = int(process.stdout.readline())
        try:
            assert "parent" in command("ps", process.pid).stdout
            assert "child " in command("ps", child).stdout
        finally:
            os.kill(child, signal.SIGKILL)

    def test_nothing_is_left_at_the_end(self, impl, runtime):
        program = "import os, yibu; print(yibu.inspect().path)"
        ran = impl.run_source(program)
        assert ran.stderr == "" and not os.path.exists(ran.stdout.strip())


class TestOwnDescriptors:
    """A program may close descriptors that are not its own, and put files of its own at their numbers."""

    CLOSES = """
        import os, sys, yibu
        from yibu.inspection import server

        server._LOOKS = 0.05
        first = os.dup(0)
        yibu.inspect()
        print("ready", flush=True)
        sys.stdin.readline()
        {}
        print("closed", flush=True)
        sys.stdin.readline()
        """

    @pytest.mark.parametrize(
        "how",
        ["os.closerange(first, 1000)", "[os.dup2(0, number) for number in range(first + 1, first + 9)]"],
        ids=["closes them", "takes their numbers"],
    )
    def test_the_socket_is_opened_again(self, impl, runtime, command, how):
        source = textwrap.dedent(self.CLOSES.format(how))
        with subprocess.Popen(
            [sys.executable, "-m", "yibu", "-c", source],
            env=impl.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "closed\n"
            told = process.stderr.readline()
            shown = command("ps", process.pid)
            process.kill()
            rest = process.stderr.read()
        assert f"{process.pid}.sock: the socket was opened again" in told
        assert shown.stdout.startswith(f"Process {process.pid}: 0 tasks"), shown.stderr
        assert rest == ""

    def test_where_it_cannot_be_opened_again(self, impl, runtime):
        ran = impl.run_source(
            """
            import os, threading, yibu
            first = os.dup(0)
            yibu.inspect()
            os.environ["XDG_RUNTIME_DIR"] = "/proc"
            thread = next(one for one in threading.enumerate() if one.name == "yibu-inspect")
            os.closerange(first, 1000)
            thread.join()
            """
        )
        assert "cannot be inspected any more" in ran.stderr and ran.stderr.count("\n") == 1


class TestKeptInterpreter:
    def ask(self, inspection, asked):
        """What the thread finds that gets a question so late."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(inspection.path)
            deadline = time.monotonic() + 30
            messages.send(connection, {"ask": "tasks", "sample": 0, "asked": asked}, deadline)
            tree = messages.receive(connection, messages.LARGEST_ANSWER, deadline)["tree"]
        return [problem["words"] for problem in tree["problems"] if problem["kind"] == "kept interpreter"]

    def test_a_question_that_was_taken_late(self, runtime, monkeypatch):
        monkeypatch.setattr(server._free, "since", -1e12)  # whatever the clock shows
        with yibu.inspect() as inspection:
            (words,) = self.ask(inspection, time.monotonic() - 1000)
            assert words.startswith("a call kept the interpreter for 10") and " s before this look" in words
            # The thread was busy with the first question for a part of that time.
            assert not any("for 10" in words for words in self.ask(inspection, time.monotonic() - 1000))

    @pytest.mark.parametrize("asked", [None, "now", 1, -1e9, 1e9])
    def test_no_such_time(self, runtime, monkeypatch, asked):
        monkeypatch.setattr(server._free, "since", -1e12)
        with yibu.inspect() as inspection:
            assert self.ask(inspection, asked) == []

    def test_where(self):
        """The thread that is in code of the program is probably the one."""
        go_on = threading.Lock()
        go_on.acquire()
        thread = threading.Thread(target=lambda: go_on.acquire(), name="converter")  # noqa: PLW0108
        found = []
        looking = threading.Thread(target=lambda: found.extend(kept._places()))
        thread.start()
        looking.start()
        looking.join()
        go_on.release()
        thread.join()
        assert any("test_where" in place and "in thread 'converter'" in place for place in found)


class TestFewDescriptors:
    def test_a_program_that_has_none_left(self, start, command):
        source = """
            import os, resource
            opened = os.open("/dev/null", os.O_RDONLY)
            resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 20, opened + 20))
            try:
                while True:
                    os.open("/dev/null", os.O_RDONLY)
            except OSError:
                pass
            """
        process = start(
            WAITING.replace(
                '    print("ready"', textwrap.indent(textwrap.dedent(source), "    ") + '    print("ready"'
            ),
            "--inspect",
        )
        for _ in range(2):
            shown = command("ps", process.pid)
            assert "Queue empty, 2 other getters" in shown.stdout, shown.stderr

    def test_where_the_program_takes_the_last_one(self, monkeypatch):
        monkeypatch.setattr(silence, "_busy_threads", lambda _pid: [(str(os.getpid()), 0.5)])
        monkeypatch.setattr(silence.os, "listdir", lambda _path: ["0"] * 1024)
        monkeypatch.setattr(silence, "open", _limits, raising=False)
        words = silence.why(os.getpid())
        assert words == "it uses all of its 1024 descriptors, and has none for who asks (`ulimit -n`)"


def _limits(path):
    if path.endswith("limits"):
        return io.StringIO("Limit Soft Limit Hard Limit Units\nMax open files 1024 4096 files\n")
    return open(path)


class TestSilentConnections:
    def test_they_keep_no_other_from_an_answer(self, runtime):
        with yibu.inspect() as inspection, contextlib.ExitStack() as silent:
            for _ in range(50):
                connection = silent.enter_context(socket.socket(socket.AF_UNIX))
                connection.connect(inspection.path)
            # Each of them used to be waited for, for five seconds.
            assert client.ask(os.getpid(), sample=0, timeout=60).pid == os.getpid()

    def test_a_queue_that_is_full(self, runtime):
        """Who comes waits until there is room."""
        path = sockets.path_of(os.getpid(), sockets.folder())
        with socket.socket(socket.AF_UNIX) as listening, contextlib.ExitStack() as waiting:
            listening.bind(path)
            listening.listen(0)
            with pytest.raises(BlockingIOError):
                while True:
                    connection = waiting.enter_context(socket.socket(socket.AF_UNIX))
                    connection.setblocking(False)
                    connection.connect(path)
            with pytest.raises(client.Unreachable, match=r"has not answered within 0\.1 s"):
                client.ask(os.getpid(), sample=0, timeout=0.1)
        os.unlink(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
class TestAnotherUser:
    """A server may begin as root and become another user."""

    @pytest.mark.parametrize("again", [False, True], ids=["says so", "is opened again"])
    def test_setuid(self, impl, runtime, again):
        ran = impl.run_source(
            f"""
            import os, tempfile, yibu
            from yibu.inspection import client, rows, server, sockets, snapshot, page_server, observed

            del os.environ["XDG_RUNTIME_DIR"]
            reading, writing = os.pipe()
            parent = os.getpid()
            child = os.fork()
            if child == 0:
                os.setuid(65534)
                os.read(reading, 1)
                try:
                    answer = client.exchange(parent, {{"ask": "tasks", "sample": 0}}, 20)
                    print(answer["tree"]["pid"] == parent, flush=True)
                except client.Unreachable as error:
                    print(error, flush=True)
                os._exit(0)
            yibu.inspect()
            os.setuid(65534)
            if {again}:
                yibu.inspect()
            os.write(writing, b"1")
            os.waitpid(child, 0)
            """
        )
        assert ran.stderr == ""
        if again:
            assert ran.stdout == "True\n"
        else:
            assert "belongs to another user: a process that changes its user has to call" in ran.stdout


class TestFinding:
    def test_a_socket_in_another_folder(self, start, command, monkeypatch):
        process = start(WAITING, "--inspect")
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert command("ps", process.pid).stdout.startswith(f"Process {process.pid}: ")
        assert str(process.pid) in command("ps").stdout.split()

    def test_a_socket_that_another_process_has_put_there(self, runtime, tmp_path, command, monkeypatch):
        """Whoever may write to a folder may take a path that names another process."""
        folder = os.path.join(runtime, "yibu")
        os.mkdir(folder, 0o700)
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        with (
            subprocess.Popen(["sleep", "100"]) as process,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening,
        ):
            listening.bind(os.path.join(folder, f"{process.pid}.sock"))
            listening.listen()
            shown = command("ps", process.pid)
            listed = command("ps").stdout.split()
            process.kill()
        assert shown.returncode == 1 and "has no socket" in shown.stderr
        assert str(process.pid) not in listed


class TestDumps:
    @pytest.mark.parametrize("how", ["time.sleep(0.01)", "sum(range(1000))"], ids=["sleeps", "computes"])
    def test_a_signal_prints_the_tasks_of_a_blocked_loop(self, start, how):
        process = start(BLOCKED.format(how), "--dump-signal", "USR2")
        os.kill(process.pid, signal.SIGUSR2)
        seen = ""
        while "  | blocks (<string>:" not in seen:
            line = process.stderr.readline()
            assert line
            seen += line
        assert seen.index("the blocker is running") < seen.index("  | blocker (") < seen.index("  | blocks (")
        assert "most recent call first" in seen  # the interpreter's own stacks come first

    def test_the_signal_does_as_before_when_it_is_over(self):
        former = signal.getsignal(signal.SIGUSR2)
        with yibu.inspect(socket=False, dump_signal="USR2"):
            assert signal.getsignal(signal.SIGUSR2) is not former
        assert signal.getsignal(signal.SIGUSR2) is former

    def test_without_standard_error(self, impl):
        """It is None then, and print() would write to standard output."""
        ran = impl.run_source(
            """
            import os, signal, sys, yibu
            sys.stderr = None
            with yibu.inspect(socket=False, dump_signal="USR2", address="127.0.0.1:0"):
                os.kill(os.getpid(), signal.SIGUSR2)
            print("the end")
            """
        )
        assert ran.stdout == "the end\n"

    def test_crash(self, impl):
        ran = impl.run_source(
            """
            import asyncio, yibu
            yibu.inspect(socket=False, crash=True)

            async def main():
                task = aio.create_task(aio.sleep(100), name="left behind")
                await aio.sleep(0)
                raise ValueError("the end")

            aio.run(main())
            """
        )
        assert "- left behind waits for sleep" in ran.stderr
        assert ran.stderr.rstrip().endswith("ValueError: the end")

    @pytest.mark.parametrize("error", ["None", "SystemExit(0)"])
    def test_no_crash(self, impl, error):
        ran = impl.run_source(
            f"""
            import yibu
            yibu.inspect(socket=False, crash=True)

            async def main():
                if {error}:
                    raise {error}

            aio.run(main())
            """
        )
        assert (ran.stderr, ran.returncode) == ("", 0)


@pytest.mark.parametrize("is_short", [True, False])
def test_the_collector_while_threads_are_sampled(monkeypatch, is_short):
    """It would walk through all descriptions, so it waits for the end of a short look."""
    collects = []
    monkeypatch.setattr(observed.Samples, "wait", lambda _samples, _seconds: collects.append(gc.isenabled()))
    monkeypatch.setattr(server, "_SHORT", 1.0 if is_short else 0.0)
    server.answer_to({"ask": "tasks", "sample": 0.001})
    assert set(collects) == {not is_short}
    assert gc.isenabled()


def test_ages():
    async def main():
        before = yibu.create_task(yibu.sleep(100), name="before")
        with yibu.inspect(socket=False):
            after = yibu.create_task(yibu.sleep(100), name="after")
            await yibu.sleep(0.01)
            seen = {task.name: task.age for task in yibu.ps()}
        before.cancel()
        after.cancel()
        return seen

    seen = yibu.run(main())
    assert seen["before"] is None and 0 < seen["after"] < 60
