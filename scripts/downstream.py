"""The environments of other people's suites, libraries and frameworks, and the commands that run them:
`tests/downstream/`, `tests/ecosystem/`.

Called by `make downstream`, which runs all, by `make load` and `make bench-ecosystem`, and by `make test`,
which runs a quick subset.
"""

import os
import subprocess
import tomllib

from scripts.environments import Environment
from scripts.extension import install_built
from scripts.failure import Failure
from scripts.interpreters import Interpreter
from scripts.requirements import ROOT

FOLDER = ROOT / "build" / "downstream"
#: Folders that have an environment of their own: frameworks bring uvloop, on which others
#: would run then, and clients of servers bring what nobody else needs.
FRAMEWORKS, SERVERS = "tests/ecosystem/frameworks", "tests/ecosystem/servers"
FIGURES = "benchmarks/ecosystem"


def prepare(interpreter: Interpreter) -> Environment:
    """The environment with what the suites need, and with the yibu that was built last."""
    with open(ROOT / "tests" / "downstream" / "pins.toml", "rb") as file:
        requirements = tomllib.load(file)["environment"]["requirements"]
    environment = Environment(interpreter, FOLDER / interpreter.version)
    environment.prepare_with({"downstream": requirements})
    install_built(environment)
    return environment


def prepare_folder(interpreter: Interpreter, folder: str) -> Environment:
    """The environment of one of those folders."""
    with open(ROOT / folder / "pins.toml", "rb") as file:
        requirements = tomllib.load(file)["requirements"]
    name = "figures" if folder == FIGURES else folder.rpartition("/")[2]
    environment = Environment(interpreter, ROOT / "build" / name / interpreter.version)
    environment.prepare_with({name: requirements})
    install_built(environment)
    return environment


def run(environment: Environment, arguments: list[str]) -> int:
    """Run suites; the exit code."""
    return _python(environment, "-m", "tests.downstream", *arguments)


def _python(environment: Environment, *arguments: str) -> int:
    command = [environment.python, *arguments]
    print("  $ " + " ".join(command), flush=True)
    # Several of the packages are plugins of pytest, which would take part in tests that did not ask for them.
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def _pytest(environment: Environment, *arguments: str) -> int:
    return _python(environment, "-m", "pytest", "-q", "--tb=short", *arguments)


def load(interpreter: Interpreter, arguments: list[str]) -> int:
    """Servers under load, each for a minute on asyncio and on yibu; `YIBU_LOAD_SECONDS` says otherwise."""
    os.environ.setdefault("YIBU_LOAD_SECONDS", "60")
    return _pytest(prepare_folder(interpreter, FRAMEWORKS), f"{FRAMEWORKS}/test_load.py", *arguments)


def figures(interpreter: Interpreter, arguments: list[str]) -> int:
    """What frameworks and clients cost on each loop."""
    return _python(prepare_folder(interpreter, FIGURES), "-m", "benchmarks.ecosystem", *arguments)


def check(interpreter: Interpreter) -> None:
    """The quick subset and tests/ecosystem; left out where packages cannot be downloaded, but not in CI."""
    try:
        environment = prepare(interpreter)
        others = {folder: prepare_folder(interpreter, folder) for folder in (FRAMEWORKS, SERVERS)}
    except Failure as failure:
        if os.environ.get("CI"):
            raise
        print(f"skipped: what the downstream suites need cannot be installed: {failure}", flush=True)
        return
    codes = [
        run(environment, ["--quick"]),
        _pytest(environment, "tests/ecosystem", *(f"--ignore={folder}" for folder in others)),
        *(_pytest(other, folder) for folder, other in others.items()),
    ]
    if any(codes):
        raise Failure(f"exit codes {codes}")
