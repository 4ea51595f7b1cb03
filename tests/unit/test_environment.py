"""`YIBU_WATCH`, `YIBU_INSPECT`, `YIBU_TRACE`: who follows them, and values that cannot be followed."""

import os
import subprocess
import sys

import pytest
import yibu

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(90)]

PROGRAM = """
import asyncio, sys, threading

print("ready", sorted(thread.name for thread in threading.enumerate())[1:], flush=True)
sys.stdin.readline()
asyncio.run(asyncio.sleep(0))
"""


@pytest.fixture
def start(impl, monkeypatch, tmp_path):
    """Start Python with variables, in a folder of the test's own."""
    runtime = f"/tmp/ye{os.getpid()}"
    os.mkdir(runtime, 0o700)
    processes = []

    def start(*arguments, **variables):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env={**impl.environment(), "XDG_RUNTIME_DIR": runtime, **variables},
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    if os.path.exists(f"{runtime}/yibu"):
        for name in os.listdir(f"{runtime}/yibu"):
            os.unlink(f"{runtime}/yibu/{name}")
        os.rmdir(f"{runtime}/yibu")
    os.rmdir(runtime)


EVERYTHING = {
    "YIBU_WATCH": "0.1",
    "YIBU_INSPECT": "127.0.0.1:0",
    "YIBU_TRACE": "trace.json",
    "YIBU_DUMP_SIGNAL": "USR2",
}


class TestWhoFollows:
    @pytest.mark.parametrize("way", [["-c"], ["-m", "yibu", "-c"], ["-m", "yibu", "-X", "dev", "-c"]])
    def test_a_program(self, start, tmp_path, way):
        process = start(*way, f"import yibu\n{PROGRAM}", **EVERYTHING)
        assert process.stdout.readline().startswith("ready ['yibu-inspect', 'yibu-page")
        _output, errors = process.communicate("\n")
        assert process.returncode == 0
        assert errors.startswith("yibu: http://127.0.0.1:") and errors.count("\n") == 1
        assert os.listdir(tmp_path) == ["trace.json"]

    def test_commands_of_yibu_do_not(self, start, tmp_path):
        process = start("-c", f"import yibu; yibu.inspect()\n{PROGRAM}")
        assert process.stdout.readline().startswith("ready")
        for command in ("ps", "pstree"):
            asking = start("-m", "yibu", command, process.pid, **EVERYTHING)
            output, errors = asking.communicate()
            assert (output.partition(":")[0], errors) == (f"Process {process.pid}", "")
        asking = start("-m", "yibu", "ps", **EVERYTHING)
        output, errors = asking.communicate()
        listed = [line.split()[0] for line in output.splitlines()]  # with other processes of this user
        assert str(process.pid) in listed and str(asking.pid) not in listed and errors == ""
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("arguments", [["doctor"], ["--version"], ["-u", "ps", "1", "--no-such-option"]])
    def test_nor_do_others(self, start, tmp_path, arguments):
        _output, errors = start("-m", "yibu", *arguments, **EVERYTHING, YIBU_INSPECT_SIGNAL="x").communicate()
        assert "yibu: YIBU_" not in errors and "http" not in errors
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("YIBU_WATCH", "x", "YIBU_WATCH must be a positive number of seconds, not 'x'"),
        ("YIBU_INSPECT", "yes", "YIBU_INSPECT must be 0, 1 or HOST:PORT, not 'yes'"),
        ("YIBU_INSPECT", "host:x", "'host:x' is not HOST:PORT"),
        ("YIBU_INSPECT", "0.0.0.0:0", "0.0.0.0 can be reached by other machines"),
        ("YIBU_DUMP_SIGNAL", "KILL", "no program can handle SIGKILL"),
        ("YIBU_INSPECT_SIGNAL", "x", "YIBU_INSPECT_SIGNAL: 'x' is no signal of this system"),
        ("YIBU_TRACE", "/no/such/folder/x.json", "YIBU_TRACE: [Errno 2] No such file or directory"),
        ("YIBU_TRACE_SIGNAL", "USR1", "YIBU_TRACE_SIGNAL needs YIBU_TRACE"),
    ],
)
def test_a_value_that_cannot_be_followed(start, variable, value, words):
    """The program runs, and all else that was asked for is done."""
    others = {"YIBU_WATCH": "0.1", "YIBU_INSPECT": "1", variable: value}
    process = start("-c", f"import yibu\n{PROGRAM}", **others)
    ready = process.stdout.readline()
    assert ("yibu-watch" in ready) is (variable != "YIBU_WATCH")
    _output, errors = process.communicate("\n")
    assert process.returncode == 0
    assert errors.startswith(f"yibu: {words}") and errors.count("\n") == 1


@pytest.mark.parametrize("name", ["program.py", "program"])
def test_a_program_is_not_overwritten(start, tmp_path, name):
    (tmp_path / name).write_text("import yibu\nprint('runs')\n")
    output, errors = start(name, YIBU_TRACE=name).communicate()
    assert output == "runs\n"
    assert errors.startswith(f"yibu: YIBU_TRACE: '{name}' ") and errors.count("\n") == 1
    assert (tmp_path / name).read_text() == "import yibu\nprint('runs')\n"


def test_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setenv("YIBU_WATCH", "x")
    yibu.environment.follow()
