"""Tries the wheels of build/dist as a user would have them: looked into, and installed without Rust.

Every wheel is looked into. Those for an interpreter and a processor of this machine are installed into a new
environment, and programs run on them. `python -m scripts try-wheels`, and the release workflow.
"""

import os
import platform
import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

from scripts.failure import Failure
from scripts.interpreters import Interpreter, discover
from scripts.requirements import ROOT
from scripts.steps import Steps
from scripts.wheels import DIST

# What a wheel has to have beside the package, and what is no business of a user's.
WANTED = (
    "licenses/LICENSE-MIT",
    "licenses/THIRD-PARTY-NOTICES",
    "sboms/yibu.cyclonedx.json",
    "yibu/py.typed",
)
WANTED_OF_AUTO = ("licenses/LICENSE-MIT", "yibu_auto.pth", "yibu_auto.py")
UNWANTED = ("allowlist", "__pycache__", "tests/")
# Names of folders on a machine that builds.
FOLDERS = re.compile(rb"/(?:root|home|work|tmp|github|builds|opt)/[\w./+-]{4,}")

PROGRAM = """
import asyncio, ssl, subprocess, sys
import yibu

async def main():
    assert type(asyncio.get_running_loop()) is yibu.EventLoop
    queue = yibu.Queue()
    async with yibu.TaskGroup() as group:
        group.create_task(queue.put("native"))
        assert await queue.get() == "native"
    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()
    async with await yibu.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await yibu.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\\n")
        assert await reader.read() == b"line\\n"
        writer.close()
        await writer.wait_closed()
    child = await yibu.create_subprocess_exec(sys.executable, "-c", "print(42)", stdout=subprocess.PIPE)
    assert (await child.communicate())[0] == b"42\\n"
    assert await yibu.to_thread(sum, [1, 2]) == 3

yibu.run(main())
print("yibu", yibu.__version__, "on", sys.version.split()[0])
"""


# With yibu-auto and YIBU_INSTALL.
PLAIN_PROGRAM = """
import asyncio

async def main():
    assert type(asyncio.get_running_loop()).__module__ == "yibu.event_loop"

asyncio.run(main())
"""


def run(wheels: list[str]) -> int:
    """Try these wheels, or all of build/dist; the exit code."""
    steps = Steps()
    found = discover()
    paths = [Path(each) for each in wheels] or sorted(DIST.glob("*.whl"))
    auto = next((path for path in paths if path.name.startswith("yibu_auto-")), None)
    for path in paths:
        wanted = WANTED_OF_AUTO if path is auto else WANTED
        steps.call(f"inside {path.name}", lambda path=path, wanted=wanted: look_into(path, wanted))
        if path is auto:
            continue  # tried with each of the others
        interpreter = next((each for each in found.values() if fits(path, each)), None)
        if interpreter:
            steps.call(
                f"on {interpreter.full_version}",
                lambda path=path, interpreter=interpreter: install_and_run(path, auto, interpreter),
            )
        else:
            print(f"not run: there is no interpreter for {path.name} here")
    if not steps.passed:
        raise Failure(f"there are no wheels in {DIST}: run make wheels first")
    return steps.summary()


def look_into(path: Path, wanted: tuple[str, ...] = WANTED) -> None:
    """See that what a wheel has to have is there, and nothing of the machine that built it."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        complaints = [f"lacks {each}" for each in wanted if not any(name.endswith(each) for name in names)]
        complaints += [f"has {name}" for name in names if any(each in name for each in UNWANTED)]
        for name in names:
            folders = sorted(set(FOLDERS.findall(wheel.read(name))))
            # Texts may speak of /tmp; binaries and lists of crates have no reason to.
            if folders and name.endswith((".so", ".json")):
                complaints.append(f"{name} names folders: {b', '.join(folders[:5]).decode()}")
    if complaints:
        raise Failure("\n  ".join(complaints))


def fits(path: Path, interpreter: Interpreter) -> bool:
    """Whether the wheel is for this interpreter on this processor."""
    tag = "cp" + interpreter.version.replace(".", "")
    return f"-{tag}-{tag}-" in path.name and f"_{platform.machine()}." in path.name


def install_and_run(path: Path, auto: Path | None, interpreter: Interpreter) -> None:
    """Install the wheel where nothing else is, and run what a newcomer would run."""
    with tempfile.TemporaryDirectory(prefix="yibu-wheel-") as folder:
        python = str(Path(folder, "bin", "python"))
        environment = {**os.environ, "PATH": "/usr/bin:/bin"}
        environment.pop("PYTHONPATH", None)
        install = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        commands = [
            [interpreter.executable, "-m", "venv", folder],
            [*install, str(path.resolve())],
            [python, "-W", "error", "-c", PROGRAM],
            [python, "-W", "error", str(ROOT / "examples" / "hello.py")],
            [python, "-m", "yibu", "doctor"],
        ]
        if auto is not None:
            commands += [
                [*install, str(auto.resolve())],
                ["env", "YIBU_INSTALL=1", python, "-W", "error", "-c", PLAIN_PROGRAM],
            ]
        for command in commands:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
            )
            if done.returncode:
                raise Failure(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
            if PROGRAM in command:
                print(done.stdout, end="")
