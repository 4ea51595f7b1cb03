"""Files are small, say in their first lines what they hold, and keep unsafe code where it belongs."""

import re

import pytest

from tests.tidy.imports import ROOT

LONGEST = 500

# Where code may be unsafe: the kernel's calls, and the C API.
UNSAFE = ("crates/driver/", "crates/ffi/")


@pytest.fixture(scope="module")
def rust() -> dict[str, str]:
    """The text of each Rust file by its path."""
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "crates").rglob("*.rs"))}


def test_files_are_small(rust: dict[str, str]) -> None:
    """No file is longer than the limit, those of the crates' own tests excepted."""
    lengths = {path: text.count("\n") for path, text in rust.items() if "/tests/" not in path}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


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
    for crate in ("engine", "observing", "python"):
        assert "#![forbid(unsafe_code)]" in rust[f"crates/{crate}/src/lib.rs"]
