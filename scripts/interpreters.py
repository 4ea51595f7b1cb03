"""Which CPythons this machine has; `make test` builds and tests yibu for each supported version found."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")

PROBE = """
import importlib.util, json, sys, sysconfig
def has(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
print(json.dumps({
    "executable": sys.executable,
    "version": "%d.%d" % sys.version_info[:2],
    "full_version": "%d.%d.%d" % sys.version_info[:3],
    "usable": sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "has_tests": has("test.test_asyncio"),
    "has_pip": has("pip"),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One CPython, as it describes itself."""

    executable: str
    version: str
    full_version: str
    has_tests: bool
    has_pip: bool


def probe(executable: str) -> Interpreter | None:
    """Ask an executable what it is; None when it is no CPython that yibu supports."""
    try:
        answer = subprocess.run(
            [executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=True, cwd="/"
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    facts = json.loads(answer)
    if not facts.pop("usable") or facts["version"] not in SUPPORTED:
        return None
    return Interpreter(**facts)


def candidates() -> list[str]:
    """Executables worth asking, in order of preference: named ones, the running one, PATH, pyenv."""
    found = os.environ.get("YIBU_PYTHONS", "").replace(":", " ").split()
    found.append(sys.executable)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found += [str(Path(folder, f"python{version}")) for version in SUPPORTED]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found += sorted(str(path) for path in pyenv.glob("*/bin/python3"))
    return [path for path in dict.fromkeys(found) if Path(path).exists()]


def discover() -> dict[str, Interpreter]:
    """The best interpreter of each supported version, by version.

    CPython's own tests are a separate package on some systems, so an interpreter that has them wins over an
    earlier one that has not.
    """
    best: dict[str, Interpreter] = {}
    asked = set()
    for path in candidates():
        real = os.path.realpath(path)
        if real in asked:
            continue
        asked.add(real)
        found = probe(path)
        if found and (found.version not in best or (found.has_tests and not best[found.version].has_tests)):
            best[found.version] = found
    return dict(sorted(best.items()))


def current_version() -> str:
    """The version of the running interpreter, which is the one that `make run` builds for."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
