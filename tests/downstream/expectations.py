"""The tests that are known to fail on yibu and not on asyncio: `expectations/SUITE.toml`, one table for each.

    [[test]]
    id = "tests/test_x.py::test_y"
    on = ["loop", "installed"]
    pythons = ["3.13"]             # all, when absent
    reason = "why, and what would have to be done"

A suite without such a file has none. Called by `__main__.py`; a listed test that passes fails the run.
"""

import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "expectations"


def expected(suite: str, on: str, python: str, folder: Path = FOLDER) -> dict[str, str]:
    """The tests that may fail, each with the reason."""
    path = folder / f"{suite}.toml"
    if not path.exists():
        return {}
    found = {}
    for entry in tomllib.loads(path.read_text())["test"]:
        unknown = set(entry) - {"id", "on", "pythons", "reason"}
        if unknown or not entry["reason"] or not set(entry["on"]) <= {"loop", "installed"}:
            raise ValueError(f"{path}: cannot make sense of {entry}")
        if on in entry["on"] and python in entry.get("pythons", [python]):
            found[entry["id"]] = entry["reason"]
    return found
