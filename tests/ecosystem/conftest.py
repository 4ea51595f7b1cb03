"""How the programs of this folder are run: on asyncio, on yibu's loop, and with yibu installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yibu

PACKAGE_ROOT = str(Path(yibu.__file__).parents[1])
START = {
    "asyncio": "",
    "loop": "import yibu; yibu.install(patch=False)\n",
    "installed": "import yibu; yibu.install()\n",
}


@pytest.fixture(params=list(START))
def run(request, tmp_path):
    """Run a program that needs some packages; it must end well, and without a word."""

    def run(needed, source):
        missing = [name for name in needed.split() if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"not installed: {' '.join(missing)}")
        path = tmp_path / "program.py"
        path.write_text(START[request.param] + dedent(source))
        process = subprocess.run(
            [sys.executable, path],
            env=os.environ | {"PYTHONPATH": PACKAGE_ROOT},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (process.stdout, process.returncode) == ("", 0), process.stderr

    return run
