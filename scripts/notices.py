"""THIRD-PARTY-NOTICES: the licences of the Rust crates in a wheel, as their authors ask for.

`python -m scripts notices` writes the file; `make lint` sees whether it is the one for Cargo.lock. Where a
crate may be had under one of several licences, it is MIT that the notices take, or Apache-2.0 where there
is no MIT.
"""

from scripts.crates import Crate, linked
from scripts.failure import Failure
from scripts.requirements import ROOT

FILE = ROOT / "THIRD-PARTY-NOTICES"

HEAD = """\
The extension module of yibu contains the Rust crates below, each under the licence that follows its name.
It also contains parts of Rust's standard library, which is licensed under MIT or Apache-2.0
(https://www.rust-lang.org).
"""


def notices() -> str:
    """The whole text: each licence once, after the names of all crates to which it applies."""
    crates: dict[str, list[Crate]] = {}
    for crate in linked():
        if not crate.is_own:
            crates.setdefault(licence(crate), []).append(crate)
    parts = [HEAD]
    for text, group in crates.items():
        names = "\n".join(f"{each.name} {each.version} ({each.license}) {each.repository}" for each in group)
        parts.append(f"{names}\n\n{text}\n")
    return f"\n{'-' * 80}\n\n".join(parts)


def licence(crate: Crate) -> str:
    """The text in the crate's own files."""
    files = sorted(
        path for path in crate.folder.iterdir() if path.name.upper().startswith(("LICEN", "COPYING"))
    )
    for wanted in ("MIT", "APACHE", ""):
        for path in files:
            if wanted in path.name.upper():
                return "\n".join(line.rstrip() for line in path.read_text().strip().splitlines())
    raise Failure(f"{crate.name} {crate.version} comes without the text of its licence, {crate.license}")


def write() -> None:
    """Write the file."""
    FILE.write_text(notices())
    print(FILE)


def check() -> None:
    """Fail if the file is not the one for Cargo.lock."""
    if not FILE.exists() or FILE.read_text() != notices():
        raise Failure(f"{FILE.name} is not that of Cargo.lock: run `python -m scripts notices`")
