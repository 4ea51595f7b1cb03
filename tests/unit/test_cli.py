"""`python -m yibu` against `python`: the same program, started both ways, cannot tell the difference.

Each case runs the interpreter itself as the reference, so nothing here says what Python does; the
tests say that yibu does the same. The two runs differ only in `-m yibu`.
"""

import errno
import os
import pty
import select
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = str(Path(yibu.__file__).parent.parent)
LIMIT = 30

SHOW_NAMESPACE = """
import sys
for name, value in sorted(vars().copy().items()):
    if name not in ("sys", "name", "value"):
        print(name, type(value).__name__, value if isinstance(value, (str, dict, type(None))) else "")
print(__spec__ and __spec__.name, type(__builtins__), sys.modules["__main__"].__dict__ is globals())
print(sys.argv, sys.path[0], len(sys.path))
"""

RAISE = """
def inner(text):
    raise ValueError(text)

try:
    {}["missing"]
except KeyError:
    inner("of the program")
"""


def environment(**variables):
    """An environment without the switches of this test run, in which yibu can be imported."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return env | {"PYTHONPATH": PACKAGE_ROOT, "NO_COLOR": "1"} | variables


def start(arguments, *, through_yibu, cwd, options=(), stdin="", **variables):
    """Run the interpreter, with or without `-m yibu` in front of the arguments."""
    command = [sys.executable, *options, *(["-m", "yibu"] if through_yibu else []), *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def assert_same(arguments, cwd, **how):
    """Both ways of starting give the same output, errors and exit status; return what yibu gave."""
    expected = start(arguments, through_yibu=False, cwd=cwd, **how)
    got = start(arguments, through_yibu=True, cwd=cwd, **how)
    assert (got.stdout, got.stderr, got.returncode) == (
        expected.stdout,
        expected.stderr,
        expected.returncode,
    )
    return got


def write(path, source):
    path.write_text(dedent(source))
    return path


@pytest.fixture(params=["file", "link", "directory", "archive", "module", "package", "command", "stdin"])
def ways(request, tmp_path):
    """Lay out a program for one way of naming it; return how to start it and its working directory."""

    def lay_out(source):
        program = tmp_path / "app.py"
        match request.param:
            case "file":
                write(program, source)
                return {"arguments": ["app.py", "a", "-b"]}
            case "link":
                (tmp_path / "real").mkdir()
                write(tmp_path / "real" / "target.py", source)
                program.symlink_to("real/target.py")
                return {"arguments": ["./app.py"]}
            case "directory" | "package":
                (tmp_path / "app").mkdir()
                write(tmp_path / "app" / "__main__.py", source)
                if request.param == "directory":
                    return {"arguments": ["app", "-m"]}
                write(tmp_path / "app" / "__init__.py", "")
                return {"arguments": ["-m", "app", "-c", "x"]}
            case "archive":
                with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
                    archive.writestr("__main__.py", dedent(source))
                return {"arguments": ["app.zip", "a"]}
            case "module":
                write(program, source)
                return {"arguments": ["-mapp", "a"]}
            case "command":
                return {"arguments": ["-c", dedent(source), "-m", "a"]}
            case "stdin":
                return {"arguments": ["-", "a"], "stdin": dedent(source)}

    return lay_out


class TestProgram:
    """What a program sees and what becomes of it, for each way of naming a program."""

    def test_namespace_arguments_and_path(self, ways, tmp_path):
        got = assert_same(cwd=tmp_path, **ways(SHOW_NAMESPACE))
        assert "__name__ str __main__" in got.stdout

    def test_safe_path(self, ways, tmp_path):
        assert_same(cwd=tmp_path, options=["-P"], **ways(SHOW_NAMESPACE))

    def test_uncaught_exception(self, ways, tmp_path):
        got = assert_same(cwd=tmp_path, **ways(RAISE))
        assert got.returncode == 1
        assert "ValueError: of the program" in got.stderr
        assert "yibu" not in got.stderr

    def test_syntax_error(self, ways, tmp_path):
        assert assert_same(cwd=tmp_path, **ways("x = = 1\n")).returncode == 1

    @pytest.mark.parametrize("code", ["3", "'farewell'"])
    def test_system_exit(self, ways, tmp_path, code):
        assert_same(cwd=tmp_path, **ways(f"import sys\nsys.exit({code})\n"))

    def test_keyboard_interrupt_ends_as_the_signal(self, ways, tmp_path):
        source = "import signal\nsignal.raise_signal(signal.SIGINT)\n"
        assert assert_same(cwd=tmp_path, **ways(source)).returncode == -signal.SIGINT

    def test_signal_that_kills(self, ways, tmp_path):
        source = "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n"
        assert assert_same(cwd=tmp_path, **ways(source)).returncode == -signal.SIGTERM

    def test_own_excepthook(self, ways, tmp_path):
        source = """
        import sys, traceback

        def hook(kind, value, tb):
            print(kind, value, value.__traceback__ is tb, sys.last_traceback is tb)
            print([frame.name for frame in traceback.extract_tb(tb)][-2:])

        def f():
            raise KeyError("x")

        sys.excepthook = hook
        f()
        """
        got = assert_same(cwd=tmp_path, **ways(source))
        assert "KeyError" in got.stdout

    def test_failing_excepthook_still_shows_the_original(self, tmp_path):
        write(tmp_path / "app.py", "import sys\nsys.excepthook = lambda *a: 1 / 0\nraise KeyError('x')\n")
        got = start(["app.py"], through_yibu=True, cwd=tmp_path)
        assert got.returncode == 1
        original = got.stderr.partition("Original exception was:")[2]
        assert "app.py" in original
        assert "yibu" not in original

    def test_exit_handlers_and_threads_still_see_the_program(self, ways, tmp_path):
        source = """
        import atexit, sys, threading

        value = "alive"

        def at_end():
            print(value, sys.modules["__main__"].value)

        atexit.register(at_end)
        threading.Thread(target=lambda: print(value)).start()
        raise SystemExit(4)
        """
        assert assert_same(cwd=tmp_path, **ways(source)).returncode == 4

    def test_runs_on_yibu(self, ways, tmp_path):
        source = """
        import asyncio
        from yibu import _yibu

        async def main():
            loop = asyncio.get_running_loop()
            for native in loop, asyncio.current_task(), loop.create_future(), loop.call_soon(int):
                print(any(base in vars(_yibu).values() for base in type(native).__mro__))

        asyncio.run(main())
        """
        got = start(through_yibu=True, cwd=tmp_path, **ways(source))
        assert got.stderr == ""
        assert got.stdout == "True\n" * 4


class TestFile:
    """What only files can be or lack."""

    def test_missing(self, tmp_path):
        assert assert_same(["nowhere.py"], tmp_path).returncode == 2
        assert assert_same([""], tmp_path).returncode == 1  # the working directory, which has no main

    @pytest.mark.parametrize("code", ["", "None", "0", "256", "-1", "(1, 2)", "True"])
    def test_exit_codes(self, tmp_path, code):
        write(tmp_path / "app.py", f"import sys\nsys.exit({code})\n")
        assert_same(["app.py"], tmp_path)

    def test_directory_without_main(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert assert_same(["empty"], tmp_path).returncode == 1

    def test_compiled(self, tmp_path):
        write(tmp_path / "app.py", SHOW_NAMESPACE)
        command = "import py_compile; py_compile.compile('app.py', 'app.pyc')"
        start(["-c", command], through_yibu=False, cwd=tmp_path)
        assert "SourcelessFileLoader" in assert_same(["app.pyc"], tmp_path).stdout

    def test_source_with_another_encoding(self, tmp_path):
        (tmp_path / "app.py").write_bytes("# coding: latin-1\nprint(ascii('é'))\n".encode("latin-1"))
        assert assert_same(["app.py"], tmp_path).stdout == "'\\xe9'\n"

    def test_imports_from_its_own_directory(self, tmp_path):
        (tmp_path / "there").mkdir()
        write(tmp_path / "there" / "app.py", "import neighbour\n")
        write(tmp_path / "there" / "neighbour.py", "print(__name__)\n")
        assert assert_same(["there/app.py"], tmp_path).stdout == "neighbour\n"

    def test_future_statements_of_yibu_do_not_leak(self, tmp_path):
        write(tmp_path / "app.py", "def f(x: 1 + 1): pass\nprint(f.__annotations__)\n")
        assert assert_same(["app.py"], tmp_path).stdout == "{'x': 2}\n"

    def test_objects_of_main_can_be_pickled_and_sent_to_a_spawned_process(self, tmp_path):
        source = """
        import multiprocessing

        def double(x):
            return 2 * x

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(double, [1, 2]))
        """
        write(tmp_path / "app.py", source)
        assert assert_same(["app.py"], tmp_path).stdout == "[2, 4]\n"


class TestModule:
    def test_missing(self, tmp_path):
        got = assert_same(["-m", "no_such_module"], tmp_path)
        assert got.returncode == 1
        assert "No module named no_such_module" in got.stderr

    def test_package_without_main(self, tmp_path):
        (tmp_path / "app").mkdir()
        write(tmp_path / "app" / "__init__.py", "")
        assert assert_same(["-m", "app"], tmp_path).returncode == 1

    def test_of_the_standard_library(self, tmp_path):
        assert assert_same(["-m", "json.tool", "--compact"], tmp_path, stdin='{"a": [1]}').stdout


class TestCommand:
    def test_glued_to_its_letter(self, tmp_path):
        assert assert_same(["-cprint(1)", "x"], tmp_path).stdout == "1\n"

    def test_indented(self, tmp_path):
        assert_same(["-c", "    print('indented')\n    print(2)"], tmp_path)

    def test_null_byte_free_unicode(self, tmp_path):
        assert assert_same(["-c", "print(ascii('异步'))"], tmp_path).stdout == "'\\u5f02\\u6b65'\n"


class TestOptions:
    def test_version(self, tmp_path):
        got = start(["--version"], through_yibu=True, cwd=tmp_path)
        assert got.stdout == f"yibu {yibu.__version__} (Python {sys.version.split()[0]})\n"
        assert start(["-V"], through_yibu=True, cwd=tmp_path).stdout == got.stdout

    def test_help(self, tmp_path):
        got = start(["--help"], through_yibu=True, cwd=tmp_path)
        assert got.stdout.startswith("usage: python -m yibu [option] ... [doctor | ps | -c cmd |")
        assert start(["-h"], through_yibu=True, cwd=tmp_path).stdout == got.stdout
        assert (got.stderr, got.returncode) == ("", 0)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["-c"], "argument expected for the -c option"),
            (["-um"], "argument expected for the -m option"),
            (["-X"], "argument expected for the -X option"),
            (["--check-hash-based-pycs"], "argument expected for the --check-hash-based-pycs option"),
            (["--nope"], "unknown option --nope"),
            (["-x", "app.py"], "unknown option -x"),
        ],
    )
    def test_wrong_command_line(self, tmp_path, arguments, reason):
        got = start(arguments, through_yibu=True, cwd=tmp_path)
        assert got.stderr == f"python -m yibu: {reason} (python -m yibu --help says more)\n"
        assert (got.stdout, got.returncode) == ("", 2)

    def test_options_after_the_program_are_the_program_s(self, tmp_path):
        write(tmp_path / "app.py", "import sys\nprint(sys.argv)\n")
        got = assert_same(["app.py", "--version", "-c"], tmp_path)
        assert got.stdout == "['app.py', '--version', '-c']\n"


class TestInterpreterOptions:
    """Those of `python` itself, given after `-m yibu`."""

    SHOW = "import sys; print(sys.flags, sys.warnoptions, sys._xoptions, sys.argv)"

    @pytest.mark.parametrize(
        "options",
        [
            ["-u"],
            ["-O"],
            ["-OO", "-B"],
            ["-X", "utf8=0"],
            ["-Xdev"],
            ["-W", "error"],
            ["-Wd", "-bb"],
            ["-qOX", "utf8"],
        ],
        ids=" ".join,
    )
    def test_count(self, tmp_path, options):
        write(tmp_path / "app.py", self.SHOW)
        assert_same([*options, "app.py", "a", "-u"], tmp_path)
        assert_same([*options, "-c", self.SHOW, "-u"], tmp_path)

    def test_glued_to_the_program(self, tmp_path):
        assert_same(["-Oc", self.SHOW, "-u"], tmp_path)
        assert_same(["-OWerror", "-ctry: pass\nfinally: print(1)"], tmp_path)

    def test_those_before_count_too_and_the_last_one_wins(self, tmp_path):
        got = start(
            ["-W", "error", "-c", self.SHOW], through_yibu=True, cwd=tmp_path, options=["-B", "-Wignore"]
        )
        assert "dont_write_bytecode=1" in got.stdout
        assert "['ignore', 'error']" in got.stdout

    def test_the_program_runs_on_yibu(self, tmp_path):
        source = "import asyncio; loop = asyncio.new_event_loop(); print(type(loop).__module__); loop.close()"
        got = start(["-u", "-X", "dev", "-c", source], through_yibu=True, cwd=tmp_path)
        assert (got.stdout, got.stderr) == ("yibu.event_loop\n", "")

    def test_standard_input_is_still_there(self, tmp_path):
        assert_same(["-O", "-", "a"], tmp_path, stdin=self.SHOW)

    @pytest.mark.parametrize("source", ["x = 6", "x = 6\n1 / 0"])
    def test_inspect(self, tmp_path, source):
        lines = "x * 7\nprint(__name__)\n"
        got = assert_same(["-ic", source], tmp_path, stdin=lines, PYTHON_BASIC_REPL="1")
        assert "42\n" in got.stdout

    def test_inspect_without_a_program(self, tmp_path):
        got = start(["-iq"], through_yibu=True, cwd=tmp_path, stdin="6 * 7\n", PYTHON_BASIC_REPL="1")
        assert "42" in got.stdout
        assert "Traceback" not in got.stderr

    def test_help_of_the_interpreter(self, tmp_path):
        assert_same(["--help-xoptions"], tmp_path)


class TestDoctor:
    def test_report(self, tmp_path):
        got = start(["doctor"], through_yibu=True, cwd=tmp_path)
        assert (got.stderr, got.returncode) == ("", 0)
        for label, text in {
            "yibu": f"{yibu.__version__}, ",
            "Python": f"CPython {sys.version.split()[0]}",
            "loop": "yibu.event_loop.EventLoop",
            "nothing": "by nobody",
            "open files": "(at most ",
            "TCP": "works",
            "thread": "works",
            "child process": "works",
        }.items():
            lines = [line for line in got.stdout.splitlines() if line.startswith(f"  {label}  ")]
            assert len(lines) == 1, got.stdout
            assert text in lines[0]
        assert "unknown" not in got.stdout

    def test_says_who_has_replaced_what(self, tmp_path):
        write(
            tmp_path / "meddler.py",
            """
            import asyncio, functools, time

            @functools.wraps(asyncio.BaseEventLoop.create_task)
            def create_task(self, coro, **kwargs):
                return stock(self, coro, **kwargs)

            class Task(asyncio.Task):
                pass

            class Clock:
                def __call__(self):
                    return 0

            stock, asyncio.BaseEventLoop.create_task = asyncio.BaseEventLoop.create_task, create_task
            asyncio.tasks.Task = Task
            asyncio.sleep = lambda delay, result=None: None
            time.time = Clock()
            """,
        )
        got = start(["doctor", "json", "meddler"], through_yibu=True, cwd=tmp_path)
        section = got.stdout.partition("replaced in asyncio")[2].partition("limits\n")[0]
        places = sorted(line.split()[0] for line in section.splitlines()[1:])
        assert places == [
            "asyncio.base_events.BaseEventLoop.create_task",
            "asyncio.sleep",
            "asyncio.tasks.Task",
            "time.time",
        ]
        assert section.count("by meddler\n") == len(places)

    def test_module_that_is_missing(self, tmp_path):
        got = start(["doctor", "no_such_module"], through_yibu=True, cwd=tmp_path)
        reason = "ModuleNotFoundError: No module named 'no_such_module'"
        assert got.stderr == f"python -m yibu doctor: cannot import no_such_module: {reason}\n"
        assert (got.stdout, got.returncode) == ("", 1)

    def test_a_file_of_that_name(self, tmp_path):
        write(tmp_path / "doctor", "print('file')")
        assert start(["./doctor"], through_yibu=True, cwd=tmp_path).stdout == "file\n"


class TestPrompt:
    """With nothing to run: an async prompt, on a terminal or not."""

    LINES = "import asyncio\nawait asyncio.sleep(0, 'slept')\ntype(asyncio.get_running_loop())\n1 / 0\n"

    def test_standard_input_is_not_a_terminal(self, tmp_path):
        got = start([], through_yibu=True, cwd=tmp_path, stdin=self.LINES, PYTHON_BASIC_REPL="1")
        assert f"yibu {yibu.__version__}" in got.stderr
        assert "'slept'" in got.stdout
        assert "<class 'yibu.event_loop.EventLoop'>" in got.stdout
        assert "ZeroDivisionError" in got.stderr
        assert got.returncode == 0

    def test_terminal(self, tmp_path):
        terminal, other_end = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "yibu"],
            cwd=tmp_path,
            env=environment(PYTHON_BASIC_REPL="1", TERM="dumb"),
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
        )
        os.close(other_end)
        try:
            output = read_until(terminal, b">>> ")
            assert b"yibu" in output
            os.write(terminal, b"await asyncio.sleep(0, 6 * 7)\n")
            read_until(terminal, b"42")
            os.write(terminal, b"await asyncio.sleep(3600, print('be' 'gun'))\n")
            read_until(terminal, b"begun")
            process.send_signal(signal.SIGINT)
            read_until(terminal, b"KeyboardInterrupt")
            os.write(terminal, b"exit()\n")
            read_until(terminal, None)
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
            process.wait(LIMIT)
            os.close(terminal)


def read_until(terminal, text):
    """Read from a terminal until `text` has come (None: until the other end is closed); return all read."""
    output = b""
    while text is None or text not in output:
        ready, _, _ = select.select([terminal], [], [], LIMIT)
        assert ready, f"no {text!r} within {LIMIT} seconds after {output!r}"
        try:
            chunk = os.read(terminal, 4096)
        except OSError as error:
            assert error.errno == errno.EIO, error  # nobody has the other end open any more
            chunk = b""
        if not chunk:
            assert text is None, output
            break
        output += chunk
    return output
