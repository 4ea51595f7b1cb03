"""`pytest --yibu` runs a suite on yibu; without the switch the plugin does nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yibu

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = str(Path(yibu.__file__).parents[1])

# Both files take what they use from asyncio when they are imported, as suites do.
CONFTEST = """
from asyncio import run
import pytest

@pytest.fixture
def run_it():
    return run
"""
SUITE = """
from asyncio import Queue, get_running_loop, sleep

def test_loop(run_it):
    async def main():
        queue = Queue()
        queue.put_nowait(type(get_running_loop()).__module__)
        await sleep(0)
        return await queue.get()

    assert run_it(main()) == {loop!r}

def test_names():
    import sys
    assert (Queue is sys.modules["yibu"].Queue) is {on}
"""


@pytest.mark.parametrize("on", [True, False])
def test_suite(tmp_path, on):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    loop = "yibu.event_loop" if on else "asyncio.unix_events"
    (tmp_path / "test_suite.py").write_text(SUITE.format(loop=loop, on=on))
    # The project under test may be installed without its entry points.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "yibu.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
    ]
    process = subprocess.run(
        [*command, *(["--yibu"] if on else [])],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": PACKAGE_ROOT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "2 passed" in process.stdout
    assert (f"asyncio: yibu {yibu.__version__}\n" in process.stdout) is on
