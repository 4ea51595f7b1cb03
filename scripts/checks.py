"""The checks of `make lint` and `make test`, in the order in which they run: quick ones first."""

import os
import shutil
import subprocess

from scripts import downstream, notices
from scripts.environments import Environment
from scripts.extension import build, require_toolchain, target_folder
from scripts.failure import Failure
from scripts.interpreters import SUPPORTED, Interpreter
from scripts.requirements import ROOT
from scripts.steps import Steps

# Folders of tests that pytest runs; each is a step of its own, so that the summary says which one failed.
PYTEST_EVERYWHERE = ("tests/unit", "tests/differential", "tests/ffi")
PYTEST_ONCE = (
    "tests/regressions",
    "tests/leaks",
    "tests/faults",
    "tests/conformance",
    "tests/downstream",
    "tests/seeds",
    "tests/typing",
    "tests/examples",
    "tests/tidy",
)

# Of these, the folders whose files run at once, in a process for each core. The others measure, or use all
# cores themselves.
PYTEST_AT_ONCE = ("tests/unit", "tests/differential", "tests/regressions")
# pytest-xdist is a plugin that pytest loads by itself unless the environment forbids that.
AT_ONCE = ("-p", "xdist", "-n", "logical", "--dist", "loadfile")


def lint(steps: Steps, environment: Environment) -> None:
    """Formatting, lints and types. Needs yibu installed: stubtest compares it to its stubs."""
    cargo_env = rust_environment(environment)
    steps.command("cargo fmt", ["cargo", "fmt", "--all", "--check"])
    steps.command(
        "clippy",
        ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        env=cargo_env,
    )
    steps.command(
        "cargo doc",
        ["cargo", "doc", "--workspace", "--no-deps", "--document-private-items", "--locked"],
        env={**cargo_env, "RUSTDOCFLAGS": "-D warnings"},
    )
    python = environment.python
    steps.command("ruff check", [python, "-m", "ruff", "check", "."])
    steps.command("ruff format", [python, "-m", "ruff", "format", "--check", "."])
    for version in (SUPPORTED[0], SUPPORTED[-1]):
        steps.command(f"mypy for {version}", [python, "-m", "mypy", "--python-version", version])
    steps.call("third-party notices", notices.check)
    if shutil.which("cargo-deny"):
        steps.command("cargo deny", ["cargo", "deny", "--workspace", "check", "licenses", "bans", "sources"])
    else:
        print("\nnot checked, cargo-deny is not installed: licences and sources of crates", flush=True)
    steps.command(
        "stubtest",
        [
            python,
            "-m",
            "mypy.stubtest",
            "--mypy-config-file",
            "pyproject.toml",
            "yibu",
            *stubtest_allowlist(),
        ],
    )


def stubtest_allowlist() -> list[str]:
    """Names that the stubs leave out on purpose, when there are any."""
    path = ROOT / "tests" / "typing" / "stubtest-allowlist.txt"
    return ["--allowlist", str(path)] if path.exists() else []


def rust_environment(environment: Environment) -> dict[str, str]:
    """Variables for cargo commands that compile PyO3 without maturin."""
    return {
        **os.environ,
        "PYO3_PYTHON": environment.python,
        "CARGO_TARGET_DIR": target_folder(environment.interpreter.version),
    }


def rust_tests(steps: Steps, environment: Environment) -> None:
    """Unit and property tests of the crates that know no Python; what tests/ffi imports is built."""
    steps.command(
        "cargo test", ["cargo", "test", "--workspace", "--locked"], env=rust_environment(environment)
    )


def python_tests(steps: Steps, environment: Environment, folders: tuple[str, ...]) -> None:
    """pytest on each of the folders."""
    version = environment.interpreter.version
    for folder in folders:
        if (ROOT / folder).is_dir():
            at_once = AT_ONCE if folder in PYTEST_AT_ONCE else ()
            steps.command(
                f"{version}: {folder}",
                [environment.python, "-m", "pytest", "-q", "--tb=short", *at_once, folder],
            )


def io_uring_tests(steps: Steps, environment: Environment) -> None:
    """The unit tests of what reads and writes, once more on the driver that no loop has unasked."""
    asked = {**os.environ, "YIBU_DRIVER": "io_uring"}
    program = "import yibu; loop = yibu.new_event_loop(); print(loop._driver); loop.close()"
    found = subprocess.run(
        [environment.python, "-c", program], env=asked, capture_output=True, text=True, check=False
    )
    if found.stdout != "io_uring\n":
        print("\nnot tested on io_uring: the kernel or the sandbox refuses it", flush=True)
        return
    topics = ("connect", "events", "selector", "server", "sslproto", "streams", "subprocess", "transports")
    files = [
        str(path) for topic in topics for path in sorted((ROOT / "tests" / "unit").glob(f"test_{topic}*.py"))
    ]
    steps.command(
        f"{environment.interpreter.version}: tests/unit on io_uring",
        [environment.python, "-m", "pytest", "-q", "--tb=short", *AT_ONCE, *files],
        env=asked,
    )


def conformance(steps: Steps, environment: Environment) -> None:
    """CPython's own asyncio tests with yibu's classes swapped in."""
    name = f"{environment.interpreter.version}: conformance"
    if environment.interpreter.has_tests:
        record = f"build/conformance/{environment.interpreter.version}.json"
        steps.command(name, [environment.python, "-m", "tests.conformance", "-j", "2", "--json", record])
        return

    def explain() -> None:
        raise Failure(
            f"{environment.interpreter.executable} comes without CPython's test package "
            f"(Debian: apt-get install libpython{environment.interpreter.version}-testsuite)"
        )

    steps.call(name, explain)


def test(found: dict[str, Interpreter], default: str) -> int:
    """Everything: the default version in full, the others with what depends on the version."""
    steps = Steps("test")
    main = Environment(found[default])
    steps.call("toolchain", require_toolchain)
    steps.call(f"{default}: environment", lambda: main.prepare("build", "lint", "test", "demo", "examples"))
    if steps.failed:
        return steps.summary()
    built = steps.call(f"{default}: build", lambda: build(main, main))
    lint(steps, main)
    rust_tests(steps, main)
    if built:
        python_tests(steps, main, PYTEST_EVERYWHERE + PYTEST_ONCE)
        io_uring_tests(steps, main)
        conformance(steps, main)
        steps.command(f"{default}: instruction counts", [main.python, "-m", "benchmarks.guard"])
        steps.call(f"{default}: downstream suites", lambda: downstream.check(main.interpreter))
    for version, interpreter in found.items():
        if version == default:
            continue
        other = Environment(interpreter)

        def prepare(other: Environment = other) -> None:
            other.prepare("test")
            build(other, main)

        if steps.call(f"{version}: build", prepare):
            python_tests(steps, other, PYTEST_EVERYWHERE)
            conformance(steps, other)
    missing = [version for version in SUPPORTED if version not in found]
    if missing:
        print(f"\nnot tested, no interpreter found: CPython {', '.join(missing)}")
    return steps.summary()
