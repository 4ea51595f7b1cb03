"""Files are small, say in their first lines what they hold, and keep unsafe code where it belongs."""

import re

import pytest

from tests.tidy.imports import ROOT

LONGEST = 500

# Files of the crates that are longer today, and how long they may be. They only become shorter.
LONGER: dict[str, int] = {
    "crates/python/src/tasks.rs": 747,
}

# Where code may be unsafe: the kernel's calls, and the C API.
UNSAFE = ("crates/driver/", "crates/ffi/")


@pytest.fixture(scope="module")
def rust() -> dict[str, str]:
    """The text of each Rust file by its path."""
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "crates").rglob("*.rs"))}


def test_files_are_small(rust: dict[str, str]) -> None:
    """No file is longer than the limit, but for those that were, which only shrink."""
    lengths = {path: text.count("\n") for path, text in rust.items() if "/tests/" not in path}
    longer = {path: length for path, length in lengths.items() if length > LONGEST}
    assert {path: length for path, length in longer.items() if length > LONGER.get(path, LONGEST)} == {}
    assert set(LONGER) <= set(longer), "a file has become short: take it off the list"


def test_files_say_what_they_hold(rust: dict[str, str]) -> None:
    """Each Rust file begins with `//!`."""
    assert [path for path, text in rust.items() if not text.startswith("//!")] == []


def test_unsafe_code_is_in_its_crates(rust: dict[str, str]) -> None:
    """The word stands in no other crate, and the others forbid it."""
    word = re.compile(r"\bunsafe\b(?!_)")
    strays = {
        path
        for path, text in rust.items()
        if not path.startswith(UNSAFE) and word.search(re.sub(r"//[^\n]*|\"[^\"\n]*\"", "", text))
    }
    assert strays == set()
    for crate in ("engine", "python"):
        assert "#![forbid(unsafe_code)]" in rust[f"crates/{crate}/src/lib.rs"]
