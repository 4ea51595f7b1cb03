"""The command line: runs a program as `python` would, with yibu installed before it is imported.

What a program can see of how it was started is as under `python`: `sys.argv`, `sys.path[0]`, the
`__main__` module and its attributes, exit codes, and tracebacks, in which no frame of yibu appears.

The options are read by `command_line_options.py`, `doctor.py` has the report. Called by `__main__.py`.
Modules and directories are run by `runpy`, as the interpreter does it.
"""

import builtins
import io
import os
import pkgutil
import runpy
import sys
import textwrap
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

from yibu._yibu import __version__
from yibu.command_line_options import CommandLine, WrongCommandLine, parse, restart_command
from yibu.inspection.options import HELP as INSPECTION
from yibu.installation import install
from yibu.tracing import NoTrace, trace_as_command_line_says
from yibu.watching import seconds, watch

USAGE = "usage: python -m yibu [option] ... [doctor | ps | -c cmd | -m mod | file | -] [arg] ..."

HELP = f"""{USAGE}

Run an asyncio program on yibu's asyncio; the program needs no change.
With nothing to run, open a Python prompt with top-level await, as python -m asyncio does.

-c cmd : program passed in as a string (terminates option list)
-m mod : run a library module as a script (terminates option list)
file   : program read from a script file, a directory or a zip file with a __main__.py
-      : program read from standard input
arg ...: arguments passed to the program in sys.argv[1:]
ps [PID] | pstree [PID]: show what the tasks of a process wait for (a file of
         that name is ./ps)
inspect PID: the same as a page in the browser, which goes on showing it
doctor [mod ...]: print what runs here, for a bug report, and what the modules
         replace in asyncio when they are imported (a file of that name is ./doctor)

-h, --help     : print this help message and exit
-V, --version  : print the versions of yibu and Python and exit
--uvloop-alias : answer import uvloop by yibu, for frameworks that name that loop
--watch SECONDS: report each step that blocks the event loop for longer, while it
         does: yibu.watch()
--trace FILE   : record what the event loop does, for https://ui.perfetto.dev:
         yibu.trace()
--trace-signal SIG: begin and stop with that when this signal comes (USR1)
{INSPECTION}
The interpreter's own options (-X, -W, -u, -O, -i, -I and others; python --help
lists them) count before -m yibu and after it.
"""


def main() -> None:
    """Do what `sys.argv` asks for."""
    try:
        line = parse(sys.argv[1:])
    except WrongCommandLine as error:
        fail(str(error))
    if line.action == "help":
        print(HELP, end="")
    elif line.action == "version":
        print(f"yibu {__version__} (Python {sys.version.split()[0]})")
    elif line.interpreter:
        restart(line)
    else:
        start_watch(line)
        start_inspection(line)
        start_trace(line)
        run(line)


def start_inspection(line: CommandLine) -> None:
    """Let others look at the program as far as the command line says so."""
    try:
        line.inspect.start()
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"--inspect={line.inspect.address}: {error}" if line.inspect.address else f"--inspect: {error}")


def start_watch(line: CommandLine) -> None:
    """Watch the loops if the command line says so."""
    if line.watch is None:
        return
    try:
        threshold = seconds(line.watch, "--watch")
    except ValueError as error:
        fail(str(error))
    watch(threshold)


def start_trace(line: CommandLine) -> None:
    """Record a trace if the command line says so."""
    if line.trace is None:
        if line.trace_signal is not None:
            fail("--trace-signal needs --trace FILE")
        return
    try:
        trace_as_command_line_says(line.trace, line.trace_signal, program_name(line.program))
    except NoTrace as error:
        fail(f"--trace needs a FILE to write, before the program; {error}")
    except ValueError as error:
        fail(f"--trace-signal: {error}")
    except (OSError, RuntimeError) as error:
        fail(f"--trace: {error}")


def program_name(program: list[str]) -> str:
    """What a trace calls the program."""
    match program:
        case ["-m", name, *_] | [name, *_]:
            return name
    return "python"


def restart(line: CommandLine) -> NoReturn:
    """Start the interpreter once more, with the options that only it can follow."""
    if not sys.executable:
        fail(
            f"{line.interpreter[0]} must stand before -m yibu: where this interpreter is cannot be found out"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, restart_command(line))


def run(line: CommandLine) -> None:
    """Run the program that the command line names."""
    match line.program:
        case []:
            open_prompt(line)
        case ["-"] if sys.stdin.isatty():
            open_prompt(line)
        case ["-", *rest]:
            run_program(line, lambda: run_standard_input(rest))
        case ["-c", command, *rest]:
            run_program(line, lambda: run_command(command, rest))
        case ["-m", name, *rest]:
            run_program(line, lambda: run_module(name, rest))
        case ["doctor", *names]:
            from yibu import doctor

            raise SystemExit(doctor.main(names))
        case ["ps" | "pstree" | "inspect" as command, *rest]:
            from yibu.inspection import command as commands

            raise SystemExit(commands.main(command, rest))
        case [path, *rest]:
            run_program(line, lambda: run_file(path, rest))


def fail(reason: str) -> NoReturn:
    """Leave with the code that means a wrong command line."""
    print(f"python -m yibu: {reason} (python -m yibu --help says more)", file=sys.stderr)
    raise SystemExit(2)


def run_program(line: CommandLine, start: Callable[[], None]) -> None:
    """Run a program and let its exception, if any, out of the interpreter without yibu's frames."""
    install(as_uvloop=line.uvloop_alias)
    try:
        start()
    except SystemExit:
        raise  # the interpreter shows no traceback of it
    except BaseException as error:
        _hide_own_frames(error)
        raise


def run_command(command: str, arguments: list[str]) -> None:
    """`python -c command arguments`."""
    sys.audit("cpython.run_command", command)
    if sys.version_info >= (3, 14):
        command = textwrap.dedent(command)
    sys.argv = ["-c", *arguments]
    _set_first_path("")
    namespace = _new_main_module(BuiltinImporter)
    code = compile(command, "<string>", "exec", dont_inherit=True)
    if sys.version_info >= (3, 13):
        import linecache

        # From this version on, tracebacks show the lines of the command; the interpreter has them
        # remembered by file name at first, and in later releases by code object.
        by_code = hasattr(linecache, "_interactive_cache")
        remember: Any = linecache._register_code  # type: ignore[attr-defined]
        remember(code if by_code else "<string>", command, "<string>")
    exec(code, namespace)


def run_standard_input(arguments: list[str]) -> None:
    """`python - arguments`, when standard input is not a terminal."""
    sys.audit("cpython.run_stdin")
    sys.argv = ["-", *arguments]
    _set_first_path("")
    namespace = _new_main_module(BuiltinImporter, "<stdin>")
    exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True), namespace)


def run_module(name: str, arguments: list[str]) -> None:
    """`python -m name arguments`."""
    sys.audit("cpython.run_module", name)
    sys.argv = ["-m", *arguments]  # `runpy` puts the module's path there once it has found it
    _new_main_module(BuiltinImporter)
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def run_file(path: str, arguments: list[str]) -> None:
    """`python path arguments`: a script, compiled or not, or a directory or archive of modules."""
    sys.argv = [path, *arguments]
    # As the interpreter does it: absolute, but "./" and links stay what they are.
    path = os.path.join(os.getcwd(), path) if path else os.getcwd()
    if pkgutil.get_importer(path) is not None:
        if sys.flags.safe_path:
            sys.path.insert(0, path)
        else:
            _set_first_path(path)
        _new_main_module(BuiltinImporter)
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return
    sys.audit("cpython.run_file", path)
    try:
        code, loader = _read_program(path)
    except OSError as error:
        reason = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: can't open file {path!r}: {reason}", file=sys.stderr)
        raise SystemExit(2) from None
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    exec(code, _new_main_module(loader("__main__", path), path))


def _read_program(path: str) -> tuple[CodeType, type[SourceFileLoader | SourcelessFileLoader]]:
    """The code of a script, and the kind of loader that the interpreter would say it came from."""
    with io.open_code(path) as file:
        code: CodeType | None = pkgutil.read_code(file)
        if code is not None:
            return code, SourcelessFileLoader
    with io.open_code(path) as file:
        return compile(file.read(), path, "exec", dont_inherit=True), SourceFileLoader


def _set_first_path(entry: str) -> None:
    """Replace the entry that `-m yibu` put in front of `sys.path`; with `-P` there is none."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def _new_main_module(loader: object, file: str | None = None) -> dict[str, Any]:
    """Make the module `__main__` as the interpreter makes it, and return its namespace."""
    module = ModuleType("__main__")
    namespace = vars(module)
    namespace.update(__loader__=loader, __builtins__=builtins)
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    if file is not None:
        namespace["__file__"] = file
        if sys.version_info < (3, 15):
            namespace["__cached__"] = None
    sys.modules["__main__"] = module
    return namespace


def _hide_own_frames(error: BaseException) -> None:
    """Have the interpreter report `error` as if this module had not been between it and the program.

    The frames are still to be added while the error leaves yibu, so they are taken away at the last
    moment, by a hook that lasts for this one report. All else, such as the exit code, the signal that
    a KeyboardInterrupt turns into, or the program's own `sys.excepthook`, is left to the interpreter.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    program_hook = sys.excepthook

    def report(kind: type[BaseException], value: BaseException, reported: TracebackType | None) -> None:
        sys.excepthook = program_hook
        if value is error:
            value.__traceback__ = reported = sys.last_traceback = traceback
        program_hook(kind, value, reported)

    sys.excepthook = report


def open_prompt(line: CommandLine) -> None:
    """The async prompt of `python -m asyncio`, of whichever Python this is, on yibu."""
    install(as_uvloop=line.uvloop_alias)
    if not (sys.flags.quiet and sys.version_info >= (3, 14)):
        sys.stderr.write(f"yibu {__version__}: asyncio in this session is native\n")
        sys.stderr.flush()
    sys.argv = ["-m"]
    _new_main_module(BuiltinImporter)
    runpy._run_module_as_main("asyncio")  # type: ignore[attr-defined]
