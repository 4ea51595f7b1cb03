"""The commands behind the Makefile, which lists them."""

import shutil
import signal
import subprocess
import sys

from scripts import checks, documentation, downstream, notices, wheel_trials, wheels
from scripts.environments import Environment
from scripts.extension import build, require_toolchain
from scripts.failure import Failure
from scripts.interpreters import SUPPORTED, current_version, discover
from scripts.requirements import ROOT
from scripts.steps import Steps


def default_environment(*groups: str) -> Environment:
    """The environment of the running interpreter's version, with the groups installed."""
    version = current_version()
    if version not in SUPPORTED:
        raise Failure(f"CPython {version} is not supported: yibu needs one of {', '.join(SUPPORTED)}")
    # Before anything is downloaded: what is missing on this machine takes the user longest.
    require_toolchain()
    environment = Environment(discover()[version])
    environment.prepare(*groups)
    return environment


def build_command(_arguments: list[str]) -> int:
    """Build and install into the default environment."""
    environment = default_environment("build")
    build(environment, environment)
    print(f"yibu is installed in {environment.folder}")
    return 0


def run_command(arguments: list[str]) -> int:
    """Build, then run the program named, or the demonstration service."""
    environment = default_environment("build", *([] if arguments else ["demo"]))
    build(environment, environment)
    # The user's own paths are relative to where they typed the command, which for make is the repository.
    program = arguments or [str(ROOT / "examples" / "service.py")]
    command = [environment.python, "-m", "yibu", *program]
    print("$ " + " ".join(command), flush=True)
    return subprocess.run(command, check=False).returncode


def test_command(_arguments: list[str]) -> int:
    """Everything that must hold, for every supported version on this machine."""
    found = discover()
    default = current_version()
    if default not in found:
        raise Failure(f"CPython {default} is not supported: start make with PYTHON= one of {list(found)}")
    print("found " + ", ".join(f"CPython {i.full_version} ({i.executable})" for i in found.values()))
    # A shell starts what it runs in the background deaf to Ctrl-C, which tests send to programs of theirs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return checks.test(found, default)


def lint_command(_arguments: list[str]) -> int:
    """Formatting, lints and types only."""
    environment = default_environment("build", "lint", "test", "demo")
    steps = Steps("lint")
    steps.call("build", lambda: build(environment, environment))
    checks.lint(steps, environment)
    return steps.summary()


def bench_command(arguments: list[str]) -> int:
    """yibu beside asyncio and its rivals, those of them that can be installed here."""
    environment = default_environment("build")
    environment.prepare_what_can_be("bench")
    build(environment, environment)
    return subprocess.run(
        [environment.python, "-m", "benchmarks", *arguments], cwd=ROOT, check=False
    ).returncode


def bench_guard_command(arguments: list[str]) -> int:
    """Instruction counts of the hot paths, compared with the stored baseline or recorded as the new one."""
    environment = default_environment("build")
    build(environment, environment)
    return subprocess.run(
        [environment.python, "-m", "benchmarks.guard", *arguments], cwd=ROOT, check=False
    ).returncode


def bench_plots_command(_arguments: list[str]) -> int:
    """The plots of the documentation, from the runs that are kept in benchmarks/data."""
    return subprocess.run([sys.executable, "-m", "benchmarks.plots"], cwd=ROOT, check=False).returncode


def fuzz_command(arguments: list[str]) -> int:
    """Random programs on asyncio and on yibu, until they differ or the time is over."""
    environment = default_environment("build", "test")
    build(environment, environment)
    return subprocess.run(
        [environment.python, "-m", "tests.differential.fuzz", *arguments], cwd=ROOT, check=False
    ).returncode


def leaks_command(arguments: list[str]) -> int:
    """What each path of the API and each test of CPython's suite leaves behind when it is gone again."""
    environment = default_environment("build", "test")
    build(environment, environment)
    commands = [["tests.leaks", "--rounds", "1000"], ["tests.leaks.suite"]]
    if arguments:
        commands = [["tests.leaks", *arguments]]
    results = [
        subprocess.run([environment.python, "-m", *command], cwd=ROOT, check=False).returncode
        for command in commands
    ]
    return max(results)


def endurance_command(arguments: list[str]) -> int:
    """Connections and messages in great numbers, cancelled at random."""
    environment = default_environment("build", "test")
    build(environment, environment)
    return subprocess.run(
        [environment.python, "-m", "tests.endurance", *arguments], cwd=ROOT, check=False
    ).returncode


def downstream_command(arguments: list[str]) -> int:
    """The test suites of libraries on asyncio and on yibu, compared."""
    environment = default_environment("build")
    build(environment, environment)
    return downstream.run(downstream.prepare(environment.interpreter), arguments)


def bench_ecosystem_command(arguments: list[str]) -> int:
    """Frameworks and clients on yibu, asyncio and its rivals."""
    environment = default_environment("build")
    build(environment, environment)
    return downstream.figures(environment.interpreter, arguments)


def load_command(arguments: list[str]) -> int:
    """Servers of the frameworks under clients of all kinds, on asyncio and on yibu, compared."""
    environment = default_environment("build")
    build(environment, environment)
    return downstream.load(environment.interpreter, arguments)


def docs_command(_arguments: list[str]) -> int:
    """The documentation's site, into build/site, and that of the Rust crates; a broken link is an error."""
    environment = default_environment("build", "docs")
    steps = Steps("docs")
    if steps.call("build", lambda: build(environment, environment)):
        documentation.build(steps, environment)
    return steps.summary()


def wheels_command(arguments: list[str]) -> int:
    """The wheels and the sdist of a release, into build/dist."""
    options = wheels.parse(arguments)
    return wheels.run(default_environment("wheels"), options)


def try_wheels_command(arguments: list[str]) -> int:
    """Look into wheels, install them and run programs on them."""
    return wheel_trials.run(arguments)


def notices_command(_arguments: list[str]) -> int:
    """THIRD-PARTY-NOTICES, from Cargo.lock."""
    notices.write()
    return 0


def clean_command(_arguments: list[str]) -> int:
    """Remove everything that the other commands made."""
    made = [
        ROOT / name for name in (".venv", "build", "target", ".mypy_cache", ".pytest_cache", ".ruff_cache")
    ]
    made += ROOT.glob("python/yibu/*.so")
    for folder in ("python", "tests", "scripts", "examples", "benchmarks"):
        made += (ROOT / folder).rglob("__pycache__")
    for path in made:
        if path.is_dir():
            print(f"removing {path}")
            shutil.rmtree(path)
        elif path.exists():
            print(f"removing {path}")
            path.unlink()
    return 0


COMMANDS = {
    "run": run_command,
    "build": build_command,
    "test": test_command,
    "lint": lint_command,
    "bench": bench_command,
    "bench-guard": bench_guard_command,
    "bench-plots": bench_plots_command,
    "fuzz": fuzz_command,
    "leaks": leaks_command,
    "endurance": endurance_command,
    "downstream": downstream_command,
    "bench-ecosystem": bench_ecosystem_command,
    "load": load_command,
    "docs": docs_command,
    "wheels": wheels_command,
    "try-wheels": try_wheels_command,
    "notices": notices_command,
    "clean": clean_command,
}


#: The programs that get the arguments of a command, and know what these may be. None of them imports what
#: has to be built or installed before it has read its arguments.
PROGRAMS = {
    "bench": "benchmarks",
    "bench-guard": "benchmarks.guard",
    "fuzz": "tests.differential.fuzz",
    "leaks": "tests.leaks",
    "endurance": "tests.endurance",
    "downstream": "tests.downstream",
    "bench-ecosystem": "benchmarks.ecosystem",
}

USAGES = {
    "run": """usage: make run [APP=program.py] [ARGS="ARGUMENT ..."]

Build yibu and run the program on it with the arguments. Without APP that is examples/service.py, and ARGS
are arguments of `python -m yibu`: make run ARGS="-m module".""",
    "load": """usage: make load [ARGS="OPTION ..."]

Each server of tests/ecosystem/frameworks/test_load.py runs under load for a minute on asyncio and on yibu.
The options are those of pytest: ARGS="-k uvicorn" runs some, ARGS=--collect-only names all.
YIBU_LOAD_SECONDS=10 makes the time shorter.""",
    "try-wheels": """usage: python -m scripts try-wheels [WHEEL ...]

Look into the wheels, all of build/dist by default, and install and try those for this machine.""",
}


def help_for(command: str) -> int:
    """Say what the arguments of a command may be, before anything is built or installed."""
    if command in PROGRAMS:
        return subprocess.run(
            [sys.executable, "-m", PROGRAMS[command], "--help"], cwd=ROOT, check=False
        ).returncode
    if command == "wheels":
        return wheels_command(["--help"])
    print(USAGES.get(command) or f"usage: make {command}\n\n{COMMANDS[command].__doc__}")
    return 0


def asks_for_help(command: str, arguments: list[str]) -> bool:
    """Whether the arguments ask what they may be; behind the program of `run` they are that program's."""
    own = arguments[:1] if command == "run" else arguments
    return "--help" in own or "-h" in own


def main(arguments: list[str]) -> int:
    """Run one command; what goes wrong in a way that the user can mend is one line, not a traceback."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: python -m scripts {{{','.join(COMMANDS)}}}", file=sys.stderr)
        return 2
    try:
        if asks_for_help(arguments[0], arguments[1:]):
            return help_for(arguments[0])
        return COMMANDS[arguments[0]](arguments[1:])
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
