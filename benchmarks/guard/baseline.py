"""The stored counts: which build they are of, how they are compared, how they are written.

A count is repeatable only with the same interpreter, compiler, C library, OpenSSL, valgrind and kind of
processor, so a baseline names them (`Build`), and a run on anything else is not compared with it.
"""

import json
import platform
import re
import ssl
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.guard.callgrind import version as valgrind_version

FOLDER = Path(__file__).parent

#: How much more than the baseline a row may take, in per cent.
TOLERANCE = 3.0


@dataclass(frozen=True)
class Build:
    """What a count depends on beside the source."""

    python: str
    configured: str
    compiler: str
    rust: str
    libc: str
    openssl: str
    valgrind: str
    machine: str

    @classmethod
    def here(cls) -> "Build":
        """The build of this process. `rust` is the compiler on PATH, which is what built the package."""
        rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False)
        return cls(
            python=f"{platform.python_implementation()} {platform.python_version()}",
            configured=" ".join(
                _options("CONFIG_ARGS", "--enable-opt|--with-lto") + _options("PY_CORE_CFLAGS", "-[Of]")
            ),
            compiler=platform.python_compiler(),
            rust=rust.stdout.strip(),
            libc=" ".join(platform.libc_ver()),
            openssl=ssl.OPENSSL_VERSION,
            valgrind=valgrind_version() or "none",
            machine=f"{platform.machine()} {_processor()}",
        )

    def differences(self, other: "Build") -> list[str]:
        """What is not the same, in words."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{name} is {mine[name]!r} here" for name in mine if mine[name] != theirs[name]]


def _options(variable: str, pattern: str) -> list[str]:
    """Those options of the interpreter's build that begin so and name no file."""
    words = str(sysconfig.get_config_var(variable) or "").replace("'", " ").split()
    return sorted({word for word in words if re.match(pattern, word) and "/" not in word})


def _processor() -> str:
    """The maker and the instructions by which the C library and OpenSSL choose their routines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    facts = dict(line.split("\t", 1) for line in lines if "\t" in line)
    vendor = facts.get("vendor_id", "unknown").strip(": \t")
    flags = set(facts.get("flags", "").split())
    return " ".join([vendor, *sorted(flags & {"avx2", "erms", "aes", "sha_ni", "bmi2"})])


@dataclass
class Baseline:
    """Counts of a build, by the key of the row, and the rows whose counts are less repeatable than others."""

    build: Build
    counts: dict[str, float]
    #: In per cent; rows that are not here have `TOLERANCE`.
    tolerances: dict[str, float] = field(default_factory=dict)

    def tolerance(self, key: str) -> float:
        """How much more than the baseline a row may take, in per cent."""
        return self.tolerances.get(key, TOLERANCE)


def path_for(version: str) -> Path:
    """Where the baseline of a Python version is."""
    return FOLDER / f"baseline-{version}.json"


def load(path: Path) -> Baseline:
    """Read a baseline."""
    content = json.loads(path.read_text())
    return Baseline(Build(**content["build"]), content["counts"], content["tolerances"])


def record(path: Path, build: Build, runs: list[Mapping[str, float]]) -> Baseline:
    """Write a baseline, the middle of the runs; rows on which they differ get a tolerance of their own."""
    counts = {key: sorted(run[key] for run in runs)[len(runs) // 2] for key in runs[0]}
    noise = {key: spread([run[key] for run in runs]) for key in counts}
    tolerances = {key: round(2 * each, 1) for key, each in noise.items() if 2 * each > TOLERANCE}
    baseline = Baseline(build, counts, tolerances)
    path.write_text(json.dumps(asdict(baseline), indent=1) + "\n")
    return baseline


def spread(values: list[float]) -> float:
    """How far apart counts of the same thing are, in per cent of the least."""
    return 100 * (max(values) - min(values)) / min(values)
