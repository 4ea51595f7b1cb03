"""The environment of the downstream suites, and the command that runs them: `tests/downstream/`.

Called by `make downstream`, which runs all, and by `make test`, which runs a quick subset.
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


def prepare(interpreter: Interpreter) -> Environment:
    """The environment with what the suites need, and with the yibu that was built last."""
    with open(ROOT / "tests" / "downstream" / "pins.toml", "rb") as file:
        requirements = tomllib.load(file)["environment"]["requirements"]
    environment = Environment(interpreter, FOLDER / interpreter.version)
    environment.prepare_with({"downstream": requirements})
    install_built(environment)
    return environment


def run(environment: Environment, arguments: list[str]) -> int:
    """Run suites; the exit code."""
    command = [environment.python, "-m", "tests.downstream", *arguments]
    print("  $ " + " ".join(command), flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def check(interpreter: Interpreter) -> None:
    """The quick subset, for `make test`; left out where packages cannot be downloaded, but not in CI."""
    try:
        environment = prepare(interpreter)
    except Failure as failure:
        if os.environ.get("CI"):
            raise
        print(f"skipped: what the downstream suites need cannot be installed: {failure}", flush=True)
        return
    code = run(environment, ["--quick"])
    if code:
        raise Failure(f"exit code {code}")
