"""Builds the extension module with maturin and installs the wheel, as a user would get it."""

import os
import shutil
import subprocess
from pathlib import Path

from scripts.environments import Environment
from scripts.failure import Failure
from scripts.requirements import ROOT


def target_folder(version: str) -> str:
    """Cargo's output for one Python version.

    PyO3 depends on the interpreter, so in a shared folder every change of version would rebuild everything.
    """
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), f"python{version}"))


def require_toolchain() -> None:
    """Say what is missing before cargo or the linker says it less clearly."""
    if shutil.which("cargo") is None:
        raise Failure("cargo is not on PATH: install Rust from https://rustup.rs and run make again")
    if shutil.which(os.environ.get("CC", "cc")) is None:
        raise Failure("no C linker was found: install gcc (Debian: apt-get install gcc) and run make again")


def build(environment: Environment, builder: Environment) -> None:
    """Build the release wheel for `environment` with the maturin of `builder`, and install it there."""
    require_toolchain()
    version = environment.interpreter.version
    wheels = _wheels(environment)
    shutil.rmtree(wheels, ignore_errors=True)
    command = [builder.python, "-m", "maturin", "build", "--release", "--locked"]
    command += ["--interpreter", environment.python, "--out", str(wheels)]
    done = subprocess.run(
        command, cwd=ROOT, check=False, env={**os.environ, "CARGO_TARGET_DIR": target_folder(version)}
    )
    if done.returncode:
        raise Failure(f"the extension module did not build for CPython {version}")
    install_built(environment)


def install_built(environment: Environment) -> None:
    """Install what `build` last built for this Python version, into whichever environment."""
    (wheel,) = _wheels(environment).glob("*.whl")
    environment.pip("install", "--force-reinstall", "--no-deps", str(wheel))


def _wheels(environment: Environment) -> Path:
    return ROOT / "build" / "wheels" / environment.interpreter.version
