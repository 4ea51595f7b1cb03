"""README.md is also the page of the package index: its links are whole addresses, of files that are there."""

import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.yibu_only

ROOT = Path(__file__).parent.parent.parent
SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
LINKS = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())


def test_links_are_addresses_of_files_that_exist():
    assert len(LINKS) > 5
    raw = SOURCE.replace("https://github.com/", "https://raw.githubusercontent.com/")
    for link in LINKS:
        path = re.fullmatch(rf"(?:{SOURCE}/(?:blob|tree)|{raw})/main/(.+)", link)
        assert path, link
        assert (ROOT / path[1]).exists(), link


def test_commands_exist():
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"^make (\S+)", text, re.MULTILINE))
    assert {"run", "test"} <= commands
    assert all(re.search(rf"\b{command}\b.*:", makefile) for command in commands)
