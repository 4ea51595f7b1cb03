"""Fetches the source distributions that `pins.toml` names and unpacks them. Called by `__main__.py`."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from tests.downstream.suites import SUITES

PINS = Path(__file__).with_name("pins.toml")


class CannotDownload(Exception):
    """A source distribution is neither here nor to be had."""


def pins() -> dict[str, dict[str, str]]:
    """The version and the hash of each suite."""
    with open(PINS, "rb") as file:
        return tomllib.load(file)["suites"]


def prepare(suite: str, folder: Path) -> Path:
    """The folder of the unpacked source distribution, fetched if it is not there."""
    pin = pins()[suite]
    unpacked = folder / f"{suite}-{pin['version']}-{pin['sha256'][:12]}"
    if unpacked.exists():
        return unpacked
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        archive = _download(suite, pin, Path(temporary))
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        (root,) = (path for path in Path(temporary).iterdir() if path.is_dir())
        for name in SUITES[suite].hidden:
            shutil.rmtree(root / name)
        root.rename(unpacked)
    return unpacked


def _download(suite: str, pin: dict[str, str], folder: Path) -> Path:
    """Have pip fetch and check the one file."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{suite}=={pin['version']} --hash=sha256:{pin['sha256']}\n")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--no-binary", suite, "--require-hashes", "--requirement", str(wanted)]
    done = subprocess.run(
        [*command, "--dest", str(folder)], check=False, capture_output=True, text=True, timeout=600
    )
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or len(archives) != 1:
        raise CannotDownload(f"{suite} {pin['version']}: {done.stderr.strip().splitlines()[-1:]}")
    return archives[0]
