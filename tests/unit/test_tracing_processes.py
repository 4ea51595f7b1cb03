"""`yibu.trace()` and processes: which of them writes which file, and what a signal may not break."""

import json
import os
import signal
import subprocess
import sys

import pytest
import yibu

from tests.unit.test_tracing import Trace
from tests.unit.test_watching import run_program

pytestmark = pytest.mark.yibu_only

CHILDREN = """
import asyncio, multiprocessing, subprocess, sys
import yibu

async def work():
    await asyncio.sleep(0)

def child():
    yibu.run(work())

if __name__ == "__main__":
    yibu.run(work())
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
    code = "import yibu; yibu.run(yibu.sleep(0))"
    other = subprocess.Popen([sys.executable, "-W", "error", "-c", code])
    print(process.pid, other.pid, process.exitcode, other.wait())
    yibu.run(work())
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "out.json")


def with_process(path, process):
    return path.replace("out", f"out.{process}")


def functions(path):
    return [name for name, _ in Trace(path).tasks() if "." not in name]


class TestForks:
    def test_signal_in_a_forked_child(self, path):
        out, err = run_program(
            f"""
            import asyncio, os, signal, yibu

            def record(count):
                for _ in range(count):
                    signal.raise_signal(signal.SIGUSR1)
                    yibu.run(yibu.sleep(0))
                    signal.raise_signal(signal.SIGUSR1)

            trace = yibu.trace({path!r}, signal="USR1")
            record(1)
            signal.raise_signal(signal.SIGUSR1)
            pid = os.fork()
            if pid == 0:
                record(2)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            yibu.run(yibu.sleep(0))
            signal.raise_signal(signal.SIGUSR1)
            trace.stop()
            print(pid)
            """,
            "-c",
        )
        child = with_process(path, int(out))
        for name in (path, path.replace("out", "out-2"), child, child.replace(".json", "-2.json")):
            assert functions(name) == ["sleep"]
            assert name in err
        assert len(os.listdir(os.path.dirname(path))) == 4


def test_a_killed_process_leaves_whole_events(path):
    """Viewers read an array of which the end is missing, so with the end it is valid."""
    run_program(
        f"""
        import os, pathlib, signal, yibu

        async def marked():
            await yibu.sleep(0)

        async def main():
            await marked()
            while b'"finished"' not in pathlib.Path({path!r}).read_bytes():
                await yibu.create_task(marked())
                await yibu.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

        yibu.trace({path!r})
        yibu.run(main())
        """,
        "-c",
        status=-signal.SIGKILL,
    )
    with open(path) as file:
        events = json.loads(file.read() + "]")
    assert {"marked", "main"} <= {event["name"] for event in events if event["ph"] == "X"}
    assert "process_name" in {event["name"] for event in events}


class TestChildren:
    def test_environment(self, tmp_path, path):
        program = tmp_path / "program.py"
        program.write_text(CHILDREN)
        out, _ = run_program(str(program), YIBU_TRACE=path)
        spawned, started, *statuses = out.split()
        assert statuses == ["0", "0"]
        assert functions(path) == ["work", "work"]
        assert functions(with_process(path, spawned)) == ["work"]
        assert functions(with_process(path, started)) == ["sleep"]

    def test_a_child_with_a_path_of_its_own(self, path):
        other = path.replace("out", "other")
        run_program(
            f"""
            import os, subprocess, sys, yibu
            code = "import yibu; yibu.run(yibu.sleep(0))"
            environment = os.environ | {{"YIBU_TRACE": {other!r}}}
            subprocess.run([sys.executable, "-c", code], env=environment, check=True)
            """,
            "-c",
            YIBU_TRACE=path,
        )
        assert functions(other) == ["sleep"]
        Trace(path)

    def test_a_child_with_the_same_option(self, path):
        out, _ = run_program(
            """
            import subprocess, sys, yibu
            if len(sys.argv) == 1:
                yibu.run(yibu.sleep(0))
                child = subprocess.Popen([*sys.orig_argv, "child"])
                print(child.pid, child.wait())
            """,
            "-m",
            "yibu",
            "--trace",
            path,
            "-c",
        )
        child, status = out.split()
        assert status == "0"
        assert functions(path) == ["sleep"]
        Trace(with_process(path, child))


def process_name(path):
    (name,) = {event["args"]["name"] for event in Trace(path).events if event["name"] == "process_name"}
    return name


class TestNameOfTheProcess:
    @pytest.mark.parametrize("arguments", [["-m", "this", "x"], ["-c", "pass", "x"], ["program.py", "x"], []])
    def test_option(self, tmp_path, path, arguments):
        program = tmp_path / "program.py"
        program.touch()
        arguments = [str(program) if name == "program.py" else name for name in arguments]
        environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(yibu.__file__))}
        subprocess.run(
            [sys.executable, "-m", "yibu", "--trace", path, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=60,
            check=True,
        )
        expected = {"-m": "this", "-c": "-c"}
        name = arguments[0] if arguments else "python"
        assert process_name(path) == expected.get(name, name)

    def test_environment(self, tmp_path, path):
        program = tmp_path / "program.py"
        program.write_text("import yibu")
        run_program(str(program), YIBU_TRACE=path)
        assert process_name(path) == str(program)
        run_program(str(program), "-m", "yibu", YIBU_TRACE=path)
        assert process_name(path).endswith(f"-m yibu {program}")


class TestForgottenFile:
    def call(self, *arguments):
        command = [sys.executable, "-m", "yibu", *arguments]
        environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(yibu.__file__))}
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )

    @pytest.mark.parametrize("name", ["program.py", "new.py", "program"])
    def test_a_program_is_not_overwritten(self, tmp_path, name):
        for existing in ("program.py", "program"):
            (tmp_path / existing).write_text("print('hello')")
        process = self.call("--trace", str(tmp_path / name))
        assert process.returncode == 2
        assert process.stdout == ""
        assert process.stderr.startswith("python -m yibu: --trace")
        assert name in process.stderr
        assert sorted(os.listdir(tmp_path)) == ["program", "program.py"]
        assert (tmp_path / "program.py").read_text() == (tmp_path / "program").read_text() == "print('hello')"

    def test_an_option_is_no_file(self):
        process = self.call("--trace", "-c", "pass")
        assert (process.returncode, os.path.exists("-c")) == (2, False)
        assert (
            "--trace needs a FILE to write, before the program; '-c' is no file for a trace" in process.stderr
        )

    @pytest.mark.parametrize("content", ["", "[\n"])
    def test_a_trace_is_overwritten(self, path, content):
        with open(path, "w") as file:
            file.write(content)
        assert self.call("--trace", path, "-c", "pass").returncode == 0
        Trace(path)

    def test_environment_and_option(self, tmp_path, path):
        other = str(tmp_path / "other.json")
        _, err = run_program("pass", "-m", "yibu", "--trace", other, "-c", status=2, YIBU_TRACE=path)
        assert "python -m yibu: --trace: a trace is being recorded already" in err


class TestSignalThatFails:
    def send(self):
        signal.raise_signal(signal.SIGUSR1)

    def test_folder_is_missing_when_armed(self, tmp_path):
        former = signal.getsignal(signal.SIGUSR1)
        (tmp_path / "file").touch()
        for wrong, error in [
            (tmp_path / "no" / "out.json", FileNotFoundError),
            (tmp_path / "file" / "out.json", NotADirectoryError),
            (tmp_path, IsADirectoryError),
        ]:
            with pytest.raises(error) as raised:
                yibu.trace(wrong, signal="USR1")
            assert raised.value.filename == str(wrong)
        assert signal.getsignal(signal.SIGUSR1) == former

    def test_folder_is_missing_when_the_signal_comes(self, tmp_path, caplog):
        folder = tmp_path / "folder"
        folder.mkdir()
        with yibu.trace(folder / "out.json", signal="USR1") as trace:
            folder.rmdir()
            self.send()
            assert "No such file or directory" in caplog.text
            folder.mkdir()
            self.send()
            assert "recording" in repr(trace)
            yibu.run(yibu.sleep(0))
        assert functions(folder / "out.json") == ["sleep"]

    def test_another_trace(self, tmp_path, path, caplog):
        with yibu.trace(path), yibu.trace(tmp_path / "other.json", signal="USR1"):
            self.send()
        assert "a trace is being recorded already" in caplog.text
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert os.listdir(tmp_path) == ["out.json"]

    def test_full_disk(self, caplog):
        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full")
        with yibu.trace("/dev/full", signal="USR1"):
            self.send()
            self.send()
            assert "No space left on device" in caplog.text


def test_a_full_disk_at_the_end_of_the_process():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    out, err = run_program(
        "import yibu; yibu.trace('/dev/full'); yibu.run(yibu.sleep(0)); print('runs')", "-c"
    )
    assert out == "runs\n"
    assert err == "trace /dev/full is not complete: [Errno 28] No space left on device\n"


def test_environment_that_cannot_be_written(tmp_path):
    missing = str(tmp_path / "no" / "out.json")
    out, err = run_program("import yibu; print('runs')", "-c", YIBU_TRACE=missing)
    assert out == "runs\n"
    assert err == f"yibu: YIBU_TRACE: [Errno 2] No such file or directory: '{missing}'\n"
