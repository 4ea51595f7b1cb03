"""Builds a release, into build/dist: a wheel for each Python and architecture, the sdist, and yibu-auto.

    make wheels                                           everything
    make wheels ARGS="--python 3.13 --arch x86_64"        a part of it
    make wheels ARGS="--sdist-only"

zig, which pip installs, is the C compiler and linker: it links against glibc 2.17 whatever this system has,
and for the other architecture. maturin knows what it has to know of Pythons that are not installed here.
The same sources make the same bytes: no time, no folder of this machine and nothing drawn by chance gets
into a wheel.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from scripts import bill_of_materials
from scripts.environments import Environment
from scripts.failure import Failure
from scripts.interpreters import SUPPORTED
from scripts.requirements import ROOT
from scripts.steps import Steps

DIST = ROOT / "build" / "dist"
ARCHITECTURES = ("x86_64", "aarch64")
EPOCH = "315532800"  # 1980, where the calendar of zip files begins


def run(environment: Environment, options: argparse.Namespace) -> int:
    """Build what the options ask for; the exit code."""
    steps = Steps("wheels")
    DIST.mkdir(parents=True, exist_ok=True)
    if not options.sdist_only:
        for architecture in options.arch:
            target = f"{architecture}-unknown-linux-gnu"
            if not steps.call(f"Rust for {architecture}", lambda target=target: add_target(target)):
                continue
            for version in options.python:
                steps.command(
                    f"wheel for {version} on {architecture}",
                    wheel_command(environment, version, target),
                    env=building(environment, target),
                )
    if options.sdist_only or len(options.python) == len(SUPPORTED):
        steps.command("sdist", [environment.python, "-m", "maturin", "sdist", "--out", str(DIST)])
        steps.command("yibu-auto", auto_command(environment), env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
    for path in sorted(DIST.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    return steps.summary()


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="make wheels")
    parser.add_argument("--python", action="append", choices=SUPPORTED, help="this version only")
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, help="this architecture only")
    parser.add_argument(
        "--sdist-only", action="store_true", help="what no version and no architecture matters to"
    )
    options = parser.parse_args(arguments)
    options.python = options.python or list(SUPPORTED)
    options.arch = options.arch or list(ARCHITECTURES)
    return options


def add_target(target: str) -> None:
    """Have Rust's standard library for a target; rustup downloads what is missing."""
    installed = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    if Path(installed.stdout.strip(), "lib", "rustlib", target, "lib").exists():
        return
    if shutil.which("rustup") is None:
        raise Failure(
            f"Rust has no standard library for {target} here, and rustup, which adds it, is missing"
        )
    if subprocess.run(["rustup", "target", "add", target], cwd=ROOT, check=False).returncode:
        raise Failure(f"rustup could not add {target}: build those wheels where it can, or by release.yml")


def wheel_command(environment: Environment, version: str, target: str) -> list[str]:
    """What builds one wheel."""
    bill = bill_of_materials.write(target, ROOT / "build" / "materials" / target)
    command = [environment.python, "-m", "maturin", "build", "--release", "--locked", "--zig"]
    command += ["--target", target, "--interpreter", f"python{version}", "--compatibility", "manylinux_2_17"]
    return [*command, "--sbom-include", str(bill), "--out", str(DIST)]


def auto_command(environment: Environment) -> list[str]:
    """What builds the distribution that reads YIBU_INSTALL."""
    command = [environment.python, "-m", "build", "--no-isolation", "--outdir", str(DIST)]
    return [*command, str(ROOT / "packages" / "yibu-auto")]


def building(environment: Environment, target: str) -> dict[str, str]:
    """The environment of a build that leaves no trace of this machine."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    cargo_home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "wheels", target)
    # Of prefixes that fit, rustc takes the last.
    renamed = {cargo_home: "cargo", sysroot.stdout.strip(): "rust", str(ROOT): "yibu", str(folder): "target"}
    flags = [f"--remap-path-prefix={path}={name}" for path, name in renamed.items()]
    return {
        **os.environ,
        "CARGO_TARGET_DIR": str(folder),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "SOURCE_DATE_EPOCH": EPOCH,
        # maturin looks for zig beside itself.
        "PATH": os.pathsep.join([str(environment.folder / "bin"), os.environ["PATH"]]),
    }
