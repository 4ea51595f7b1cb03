"""Starts the worker under callgrind and reads the counts that it leaves behind."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.guard.rows import Row

#: The C function at which callgrind writes a file and begins to count from zero.
MARK = "getppid"
TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)
LONGEST = 600


class CountError(Exception):
    """The rows could not be counted."""


def version() -> str | None:
    """The version of valgrind, if it is installed."""
    if shutil.which("valgrind") is None:
        return None
    return subprocess.run(
        ["valgrind", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()


def counts(python: str, rows: Sequence[Row]) -> dict[str, float]:
    """Instructions per operation, by the key of the row."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *_same_addresses(),
            "valgrind",
            "--tool=callgrind",
            "--quiet",
            f"--dump-before={MARK}",
            f"--callgrind-out-file={folder}/out",
            python,
            "-m",
            "benchmarks.guard.worker",
            *(row.key for row in rows),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
        )
        if done.returncode:
            raise CountError(f"the worker ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        # The first file is what happened before the first mark, every other one what happened between runs.
        runs = [_total(Path(f"{folder}/out.{number}")) for number in range(2, 4 * len(rows) + 1, 2)]
    return {
        row.key: round((longer - shorter) / row.count, 1)
        for row, shorter, longer in zip(rows, runs[::2], runs[1::2], strict=True)
    }


def _same_addresses() -> list[str]:
    """What turns off random addresses, where a container lets it: hashes of objects depend on them."""
    command = ["setarch", "-R"]
    if (
        shutil.which("setarch")
        and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    ):
        return command
    return []


def _total(path: Path) -> int:
    found = TOTALS.search(path.read_text()) if path.exists() else None
    if found is None:
        raise CountError(f"callgrind left no count in {path.name}")
    return int(found[1])
