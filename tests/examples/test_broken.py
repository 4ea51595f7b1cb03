"""`examples/broken`: programs that stand still or get worse; one command names what is wrong with each."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yibu

ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(90)]

CULPRITS = {
    "blocking_call": r"BLOCKED LOOP: .* at make_thumbnail \(\S+blocking_call\.py:\d+\)"
    ": it waits in a system call",
    "deadlock": "DEADLOCK: 'ann to bob' waits for a Lock held by 'bob to ann'; "
    "'bob to ann' waits for a Lock held by 'ann to bob'",
    "lost_task": r"LOST \(probably\): nothing refers to task 'audit 1'",
    "leaking_queue": r"GROWING QUEUE \(probably\): a Queue has [\d,]+ items, .*: .*'measure', 'store'",
    "gil_hog": r"BUSY THREAD \(probably\): thread 'word counter' .* at count_words \(\S+gil_hog\.py:\d+\)",
}


def yibu_command(*arguments):
    return [sys.executable, "-m", "yibu", *map(str, arguments)]


@pytest.fixture
def environment(tmp_path_factory):
    folder = os.path.join("/tmp", f"yx{os.getpid()}")
    os.makedirs(folder, 0o700, exist_ok=True)
    package = str(Path(yibu.__file__).parent.parent)
    yield os.environ | {"PYTHONPATH": package, "XDG_RUNTIME_DIR": folder}
    for path in Path(folder).glob("yibu/*"):
        path.unlink()
    for path in (Path(folder, "yibu"), Path(folder)):
        if path.is_dir():
            path.rmdir()


@pytest.mark.parametrize("name", CULPRITS)
def test_the_command_names_the_culprit(environment, name):
    program = yibu_command("--inspect", ROOT / "examples" / "broken" / f"{name}.py")
    process = subprocess.Popen(program, env=environment, start_new_session=True)
    try:
        shown = asked(process.pid, environment, CULPRITS[name])
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    assert re.search(CULPRITS[name], shown), shown


def asked(pid, environment, expected):
    """What the command shows, as soon as the program has come to the point."""
    end = time.monotonic() + 60
    while True:
        done = subprocess.run(
            yibu_command("ps", pid), env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        if re.search(expected, done.stdout) or time.monotonic() > end:
            return done.stdout + done.stderr
        time.sleep(0.1)


def test_each_program_is_tested_and_listed():
    page = (ROOT / "docs" / "inspecting.md").read_text()
    programs = {path.stem for path in (ROOT / "examples" / "broken").glob("*.py")}
    assert programs == set(CULPRITS)
    assert all(f"examples/broken/{name}.py" in page for name in programs)
