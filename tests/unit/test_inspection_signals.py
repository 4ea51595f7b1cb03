"""What `--dump-signal`, `--inspect-signal` and `--dump-crash` print, and how the program goes on."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
import yibu
from yibu.inspection import client, dumping, standard_error

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(120)]

SLEEPS = """
import asyncio, sys

async def main():
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print("ended well")

asyncio.run(main())
"""

# The name of a task needs what its class may not have yet.
NAMED = """
import asyncio, sys, time

class Named(asyncio.Task):
    def get_name(self):
        return "request " + self.request_id

async def main():
    loop = asyncio.get_running_loop()
    task = Named(asyncio.sleep(100), loop=loop, name="below")
    await asyncio.sleep(0)
    {}

asyncio.run(main())
"""

READS = """print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print("ended well")"""


@pytest.fixture
def start(impl, tmp_path):
    """Start a program with options of yibu's command; return its process once it says "ready"."""
    processes = []

    def start(source, *options, stderr=subprocess.PIPE):
        process = subprocess.Popen(
            [sys.executable, "-m", "yibu", *options, "-c", textwrap.dedent(source)],
            env=impl.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
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
def run(impl):
    """Run a program with options of yibu's command."""

    def run(source, *options):
        return subprocess.run(
            [sys.executable, "-m", "yibu", *options, "-c", textwrap.dedent(source)],
            env=impl.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


class TestDumpSignal:
    def test_many_signals_at_once(self, start):
        """The first ones come while the first task tree is made."""
        process = start(SLEEPS, "--dump-signal", "USR2")
        for _ in range(200):
            process.send_signal(signal.SIGUSR2)
        output, errors = process.communicate("\n")
        assert (process.returncode, output) == (0, "ended well\n")
        assert "- Task-1 " in errors and "Traceback" not in errors

    def test_nothing_is_imported_by_the_handler(self, impl):
        ran = impl.run_source(
            """
            import os, signal, sys, yibu
            with yibu.inspect(socket=False, dump_signal="USR2"):
                before = set(sys.modules)
                os.kill(os.getpid(), signal.SIGUSR2)
            print(sorted(set(sys.modules) - before))
            """
        )
        assert ran.stdout == "[]\n" and "0 tasks" in ran.stderr

    def test_a_name_that_raises(self, start):
        process = start(NAMED.format(READS), "--dump-signal", "USR2")
        process.send_signal(signal.SIGUSR2)
        seen = ""
        while "- below waits for sleep" not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        output, errors = process.communicate("\n")
        assert (process.returncode, output) == (0, "ended well\n")
        assert "Traceback" not in errors

    def test_what_goes_wrong_is_told(self, monkeypatch, capsys):
        def take():
            raise ZeroDivisionError("a part of the program")

        monkeypatch.setattr(dumping, "take", take)
        with yibu.inspect(socket=False, dump_signal="USR2"):
            signal.raise_signal(signal.SIGUSR2)
        told = "yibu: the tasks cannot be shown: ZeroDivisionError: a part of the program\n"
        assert capsys.readouterr().err.endswith(told)

    def test_threads_come_from_the_interpreter_unless_that_may_crash(self, monkeypatch, capsys):
        registered = []
        monkeypatch.setattr(
            dumping.faulthandler, "register", lambda number, **_more: registered.append(number)
        )
        with yibu.inspect(socket=False, dump_signal="USR2"):
            signal.raise_signal(signal.SIGUSR2)
        shown = f", line {sys._getframe().f_lineno - 1} in {sys._getframe().f_code.co_name}\n"
        assert (shown in capsys.readouterr().err) is (sys.version_info[:2] == (3, 13))
        assert registered == ([] if sys.version_info[:2] == (3, 13) else [signal.SIGUSR2])

    def test_nobody_reads_standard_error(self, start):
        """A pipe that is full holds the program up for a moment only."""
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writes, bytes(1 << 12))
        os.set_blocking(writes, True)
        # Where the interpreter prints the threads, it waits for the reader.
        source = f"from yibu.inspection import dumping\ndumping.hide_threads(12)\n{SLEEPS}"
        process = start(source, "--dump-signal", "12", stderr=writes)
        os.close(writes)
        process.send_signal(12)
        output, _errors = process.communicate("\n", timeout=60)
        os.close(reads)
        assert output == "ended well\n"

    def test_a_stream_that_is_being_written(self, monkeypatch):
        class Interrupted:
            def write(self, _text):
                raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

        monkeypatch.setattr(sys, "stderr", Interrupted())
        standard_error.tell_in_time("a text")
        standard_error.tell("a text")


class TestOpenSignal:
    def test_a_socket_that_cannot_be_opened(self, monkeypatch, capsys):
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
        with yibu.inspect(socket=False, open_signal="USR1"):
            signal.raise_signal(signal.SIGUSR1)
        errors = capsys.readouterr().err
        assert errors.startswith("yibu: ") and errors.count("\n") == 1 and "/proc/yibu" in errors


class TestNames:
    def test_crash(self, run):
        ran = run(NAMED.format('raise ValueError("the real error")'), "--dump-crash")
        assert "- below waits for sleep" in ran.stderr
        assert ran.stderr.count("Traceback") == 1
        assert ran.stderr.endswith("ValueError: the real error\n")

    def test_ps_and_who_waits_for_the_task(self):
        class Named(yibu.Task):
            def get_name(self):
                raise RuntimeError

        async def waits(task):
            await task

        async def main():
            named = Named(yibu.sleep(100), loop=yibu.get_running_loop(), name="below")
            waiter = yibu.create_task(waits(named), name="waiter")
            await yibu.sleep(0)
            await yibu.sleep(0)
            tree = yibu.ps()
            waiter.cancel()
            await yibu.wait([named, waiter])
            return {task.name: task.waits_for.partition(",")[0] for task in tree}

        seen = yibu.run(main())
        assert seen["below"] == "sleep" and seen["waiter"] == "result of task 'below'"

    def test_a_blockage(self, run):
        step = 'Named(blocks(), loop=loop, name="blocks")\n    await asyncio.sleep(0)\n    time.sleep(0.3)'
        source = NAMED.replace("async def main", "async def blocks():\n    time.sleep(0.3)\n\nasync def main")
        ran = run(source.format(step), "--watch", "0.05")
        assert "in task 'blocks' (blocks)" in ran.stderr and "in task 'Task-1' (main)" in ran.stderr
        assert "Exception" not in ran.stderr

    def test_a_blockage_that_cannot_be_described(self, monkeypatch, caplog):
        """The watchdog goes on."""
        reports = []

        def on_block(blockage):
            reports.append(blockage)

        async def main():
            import time

            with yibu.watch(0.05, on_block):
                monkeypatch.setattr("yibu.observing.watchdog.name_of", _raises)
                time.sleep(0.3)
                await yibu.sleep(0.1)
                monkeypatch.undo()
                while not reports:
                    time.sleep(0.3)
                    await yibu.sleep(0.01)

        yibu.run(main())
        assert any("cannot be described" in record.getMessage() for record in caplog.records)


def _raises(_task):
    raise ZeroDivisionError


def test_an_object_that_lies_about_its_class(monkeypatch):
    """The tasks are shown, and that nothing was searched."""

    def find(_snapshot):
        raise RuntimeError("class")

    monkeypatch.setattr("yibu.inspection.problems.find", find)

    async def main():
        return yibu.ps()

    tree = yibu.run(main())
    assert len(tree) == 1
    assert str(tree).endswith(
        "NOT SEARCHED: deadlocks, orphaned locks and lost tasks cannot be looked for (RuntimeError: class)"
    )


def test_a_process_that_cannot_answer_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path))
    os.chmod(tmp_path, 0o700)

    def take(*_arguments, **_more):
        raise RuntimeError

    monkeypatch.setattr("yibu.inspection.observed.take", take)
    with yibu.inspect(), pytest.raises(client.Unreachable, match=f"process {os.getpid()}: RuntimeError$"):
        client.ask(os.getpid(), sample=0, timeout=20)
