"""Where Rust's allocations fail, a program gets a MemoryError or notices nothing; the process goes on.

The extension is built with the feature `failing-allocator`, into a folder of its own; the programs are in
`allocations.py`, which imports that build.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(__file__).with_name("allocations.py")

EACH = [
    *("tasks", "futures", "calls", "streams", "primitives", "watching", "threads", "connections", "tls"),
    *("datagrams", "processes"),
]
GROW = [
    *(
        "call_soon",
        "call_later",
        "call_soon_threadsafe",
        "add_done_callback",
        "put_nowait",
        "run_in_executor",
    ),
    *("create_task", "acquire", "get", "write", "write_bytearray", "sendto", "feed_data"),
    *("readuntil", "gather", "task_group", "texts", "reports", "timers_due"),
]
if sys.version_info >= (3, 12):
    GROW.append("writelines")  # before it is a write of the joined pieces, whose memory is the interpreter's

pytestmark = [
    pytest.mark.yibu_only,
    pytest.mark.time_limit(120),
    pytest.mark.skipif(shutil.which("cargo") is None, reason="needs a Rust toolchain"),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with a package `yibu` of that build."""
    version = "{}.{}".format(*sys.version_info)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), f"failing{version}")
    build = ["cargo", "build", "-q", "--locked", "-p", "yibu-python", "--features", "failing-allocator"]
    environment = os.environ | {"PYO3_PYTHON": sys.executable, "CARGO_TARGET_DIR": str(target)}
    subprocess.run(build, check=True, cwd=ROOT, env=environment)
    folder = tmp_path_factory.mktemp("packages")
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python" / "yibu", folder / "yibu", ignore=ignored)
    extension = f"_yibu{sysconfig.get_config_var('EXT_SUFFIX')}"
    shutil.copy(target / "debug" / "lib_yibu.so", folder / "yibu" / extension)
    return folder


def run(packages, *arguments):
    command = [sys.executable, "-W", "ignore", str(PROGRAMS), *arguments]
    environment = os.environ | {"PYTHONPATH": str(packages), "RUST_BACKTRACE": "0"}
    process = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=110
    )
    assert process.returncode == 0, f"status {process.returncode}\n{process.stderr[-3000:]}"
    assert "panicked" not in process.stderr
    return process.stdout


@pytest.mark.parametrize("work", EACH)
def test_each_allocation_fails(packages, work):
    failed = int(run(packages, "each", work).split()[0])
    assert failed > 0


@pytest.mark.parametrize("work", GROW)
def test_growing_is_refused(packages, work):
    assert run(packages, "grow", work) == "refused: True\n"
