"""`YIBU_INSTALL`, read by the `.pth` file of packages/yibu-auto."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yibu

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = Path(yibu.__file__).parents[1]
FILES = Path(__file__).parents[2] / "packages" / "yibu-auto"
SHOW = "import asyncio; loop = asyncio.new_event_loop(); print(type(loop).__module__); loop.close()"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment in which the files lie where `pip install` puts them; yibu is found by a path file."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in "yibu_auto.py", "yibu_auto.pth":
        shutil.copy(FILES / name, site_packages)
    (site_packages / "a_path.pth").write_text(f"{PACKAGE_ROOT}\n")
    return folder / "bin" / "python"


def run(python, value, source=SHOW):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "YIBU_"))}
    if value is not None:
        env["YIBU_INSTALL"] = value
    return subprocess.run(
        [python, "-W", "error", "-c", source],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("value", [None, "", "0"])
def test_off(python, value):
    process = run(python, value)
    assert (process.stdout, process.stderr) == ("asyncio.unix_events\n", "")
    source = "import sys; print('yibu_auto' in sys.modules, len(sys.meta_path))"
    assert run(python, value, source).stdout == "False 3\n"


@pytest.mark.parametrize(
    ("value", "task", "has_uvloop"),
    [("1", "yibu", False), ("loop", "asyncio", False), ("uvloop", "yibu", True)],
)
def test_on(python, value, task, has_uvloop):
    source = (
        f"{SHOW}; import sys, yibu; print(asyncio.tasks.Task is yibu.Task, 'uvloop' in sys.modules);"
        "loader = asyncio.__loader__;"
        "print(loader is asyncio.__spec__.loader, type(loader).__name__, len(sys.meta_path))"
    )
    process = run(python, value, source)
    assert process.stderr == ""
    assert process.stdout.splitlines() == [
        "yibu.event_loop",
        f"{task == 'yibu'} {has_uvloop}",
        "True SourceFileLoader 3",
    ]


def test_who_never_imports_asyncio_pays_nothing(python):
    source = "import sys; print('yibu' in sys.modules, 'asyncio' in sys.modules)"
    assert run(python, "1", source).stdout == "False False\n"


@pytest.mark.parametrize(
    "source",
    [
        "from asyncio import run; print(run.__module__, __import__('yibu').run is run)",
        "import asyncio.tasks, yibu; print('asyncio.runners', asyncio.run is yibu.run)",
        "import yibu, asyncio; print('asyncio.runners', asyncio.run is yibu.run)",
        "import concurrent.futures, yibu; import asyncio as a; print('asyncio.runners', a.run is yibu.run)",
    ],
)
def test_however_asyncio_is_imported(python, source):
    process = run(python, "1", source)
    assert (process.stdout, process.stderr) == ("asyncio.runners True\n", "")


def test_uvloop_imported_before_asyncio(python):
    source = "import uvloop; from uvloop.loop import Loop; print(uvloop.Loop is Loop, Loop.__module__)"
    process = run(python, "uvloop", source)
    assert (process.stdout, process.stderr) == ("True yibu.event_loop\n", "")


def test_children_do_as_their_parent(python):
    source = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW!r}], check=True)"
    assert run(python, "1", source).stdout == "yibu.event_loop\n"


def test_value_that_means_nothing(python):
    process = run(python, "yes")
    assert (
        process.stderr
        == "yibu-auto: YIBU_INSTALL=yes is none of 0, 1, loop, uvloop; this program runs on asyncio\n"
    )
    assert process.stdout == "asyncio.unix_events\n"


def test_yibu_that_cannot_be_imported(python):
    source = f"import sys; sys.path.remove({str(PACKAGE_ROOT)!r}); {SHOW}"
    process = run(python, "1", source)
    expected = "YIBU_INSTALL is set, and yibu cannot be imported: No module named 'yibu'"
    assert process.stderr == f"yibu-auto: {expected}; this program runs on asyncio\n"
    assert process.stdout == "asyncio.unix_events\n"


def test_released_with_yibu():
    """`pip install yibu[auto]` of a release finds the yibu-auto of the same release."""
    metadata = tomllib.loads((FILES / "pyproject.toml").read_text())["project"]
    workspace = tomllib.loads((FILES.parents[1] / "Cargo.toml").read_text())["workspace"]["package"]
    assert metadata["version"] == workspace["version"]
    for name in "LICENSE-APACHE", "LICENSE-MIT":
        assert (FILES / name).read_bytes() == (FILES.parents[1] / name).read_bytes()
