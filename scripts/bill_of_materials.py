"""The CycloneDX document of a wheel: which crates are in it, in which version and under which licence.

maturin could write one, but with the time, a number drawn by chance and the folders of the building machine
in it; the same sources have to make the same wheel. Called by `wheels.py`.
"""

import json
from pathlib import Path

from scripts.crates import EXTENSION, Crate, linked


def document(target: str) -> str:
    """The document for one target, as JSON."""
    crates = linked(target)
    (extension,) = (crate for crate in crates if crate.name == EXTENSION)
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(extension)},
        "components": [component(crate) for crate in crates if crate is not extension],
        "dependencies": [
            {"ref": f"{crate.name}@{crate.version}", "dependsOn": list(crate.needs)} for crate in crates
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def component(crate: Crate) -> dict:
    """One crate."""
    described = {
        "type": "library",
        "bom-ref": f"{crate.name}@{crate.version}",
        "name": crate.name,
        "version": crate.version,
        "licenses": [{"expression": crate.license.replace("/", " OR ")}],
    }
    if crate.is_own:
        return described
    described["purl"] = f"pkg:cargo/{crate.name}@{crate.version}"
    described["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
    if crate.repository:
        described["externalReferences"] = [{"type": "vcs", "url": crate.repository}]
    return described


def write(target: str, folder: Path) -> Path:
    """Write the document into a folder, and say where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "yibu.cyclonedx.json"
    path.write_text(document(target))
    return path
