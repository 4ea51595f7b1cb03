"""Reads the dependency groups of pyproject.toml, for pips too old to know `--group`."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def group(name: str) -> list[str]:
    """The requirements of one group."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        return list(tomllib.load(file)["dependency-groups"][name])
