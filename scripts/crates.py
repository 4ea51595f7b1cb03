"""The Rust crates that are linked into the extension module, as cargo knows them.

Called by `bill_of_materials.py` and `notices.py`.
"""

import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from scripts.failure import Failure
from scripts.requirements import ROOT

EXTENSION = "yibu-python"


@dataclass(frozen=True, order=True)
class Crate:
    """One crate in one version."""

    name: str
    version: str
    license: str
    #: Its folder: the sources as the registry has them.
    folder: Path
    repository: str
    #: The checksum in Cargo.lock; of the project's own crates there is none.
    checksum: str
    needs: tuple[str, ...]

    @property
    def is_own(self) -> bool:
        """Whether it is a part of yibu."""
        return not self.checksum


def linked(target: str = "x86_64-unknown-linux-gnu") -> list[Crate]:
    """The extension module's own crates and all that they need at run time, by name.

    What runs in the compiler only, macros and build scripts and what these need, is not in the wheel.
    """
    metadata = _metadata(target)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    checksums = _checksums()
    found: dict[str, Crate] = {}
    waiting = [key for key, package in packages.items() if package["name"] == EXTENSION]
    while waiting:
        key = waiting.pop()
        package = packages[key]
        if key in found or any("proc-macro" in part["kind"] for part in package["targets"]):
            continue
        needs = [
            each["pkg"]
            for each in nodes[key]["deps"]
            if any(kind["kind"] is None for kind in each["dep_kinds"])
            and not any("proc-macro" in part["kind"] for part in packages[each["pkg"]]["targets"])
        ]
        waiting += needs
        found[key] = Crate(
            package["name"],
            package["version"],
            package["license"] or "",
            Path(package["manifest_path"]).parent,
            package["repository"] or "",
            checksums.get((package["name"], package["version"]), ""),
            tuple(sorted(f"{packages[need]['name']}@{packages[need]['version']}" for need in needs)),
        )
    return sorted(found.values())


def _metadata(target: str) -> dict:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"cargo metadata failed:\n{done.stderr}")
    return json.loads(done.stdout)


def _checksums() -> dict[tuple[str, str], str]:
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return {(each["name"], each["version"]): each["checksum"] for each in packages if "checksum" in each}
