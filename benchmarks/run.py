"""The command: `python benchmarks/run.py [--only REGEX] [--quick] ...`.

Chooses contenders and benchmarks, runs them in interleaved rounds and prints the table. README.md explains
the method; `--help` lists the options.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    # Started as a file, Python puts only this folder on the path.
    sys.path[0] = str(ROOT)

from benchmarks import contenders, report, single  # noqa: E402
from benchmarks.chart import draw  # noqa: E402
from benchmarks.contenders import Contender  # noqa: E402
from benchmarks.memory import objects, timers  # noqa: E402
from benchmarks.micro import measure as micro  # noqa: E402
from benchmarks.micro.catalogue import Benchmark, benchmarks  # noqa: E402
from benchmarks.net import measure as net  # noqa: E402
from benchmarks.net.scenarios import SCENARIOS, Scenario  # noqa: E402
from benchmarks.plan import Plan, show  # noqa: E402
from benchmarks.processes import build_echo  # noqa: E402
from benchmarks.results import Run  # noqa: E402
from benchmarks.single import IMPORT, Single  # noqa: E402

QUICK_SCALE, QUICK_ROUNDS = 0.2, 2


@dataclass(frozen=True)
class Selection:
    """What `--only` leaves."""

    micro: list[Benchmark]
    net: list[Scenario]
    single: list[Single]

    @property
    def keys(self) -> list[str]:
        """The names of all of it."""
        keyed = [[each.key for each in part] for part in (self.micro, self.net, self.single)]
        return [key for part in keyed for key in part]


def main() -> int:
    """Do what the command line says; the status is 1 if yibu failed anywhere."""
    options = parse()
    if options.load:
        run = Run.load(options.load)
        print(report.introduce(run))
    else:
        run = measure(options)
        if options.json:
            run.save(options.json)
    print(f"\n{report.table(run, options.details)}")
    if options.plot:
        options.plot.write_text(draw(run))
    return int(
        any(name.startswith(contenders.YIBU.name) for line in run.measurements for name in line.failures)
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure yibu beside every other event loop in reach.")
    parser.add_argument("--only", metavar="REGEX", default="", help="only benchmarks whose name matches")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument(
        "--python", metavar="EXE", default=sys.executable, help="the interpreter to measure with"
    )
    parser.add_argument("--contenders", metavar="NAMES", help="only these, separated by commas")
    parser.add_argument("--against", metavar="DIR", type=Path, help="also another build: DIR/yibu")
    parser.add_argument("--rounds", type=int, help="how often everybody is measured (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="a fifth of the work and two rounds: a first look"
    )
    parser.add_argument("--details", action="store_true", help="print every contender's spread")
    parser.add_argument("--json", metavar="FILE", type=Path, help="save all samples")
    parser.add_argument("--load", metavar="FILE", type=Path, help="print a saved run instead of making one")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw a bar chart as SVG")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> Run:
    """Make a run."""
    version = interpreter_version(options.python)
    selection = select(options.only, version)
    if options.list:
        print("\n".join(selection.keys))
        sys.exit()
    if not selection.keys:
        sys.exit(f"no benchmark matches {options.only!r}")
    wanted = contenders.ALL
    if options.contenders:
        wanted = [contenders.by_name(name) for name in options.contenders.split(",")]
    if options.against:
        wanted = [*wanted, contenders.BEFORE.found_in(options.against)]
    present, versions, missing = roll_call(options.python, wanted)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else 5)
    scale = QUICK_SCALE if options.quick else 1.0
    run = Run(".".join(map(str, version)), machine(), rounds, versions, missing)
    print(report.introduce(run), flush=True)
    plan = Plan(options.python, present, rounds, scale)
    run.measurements += micro.measure(plan, selection.micro)
    if selection.net:
        run.measurements += net.measure(plan, selection.net, build_echo())
    run.measurements += single.measure(plan, selection.single)
    show("")
    return run


def select(pattern: str, version: tuple[int, int]) -> Selection:
    """Choose the benchmarks that match."""
    matches = re.compile(pattern).search
    return Selection(
        [each for each in benchmarks(version) if matches(each.key)],
        [each for each in SCENARIOS if matches(each.key) and (each.topic in pattern or not each.on_demand)],
        [each for each in (IMPORT, *objects.LINES, *timers.LINES) if matches(each.key)],
    )


def roll_call(python: str, wanted: list[Contender]) -> tuple[list[Contender], dict[str, str], dict[str, str]]:
    """Find out who can run: those present, their versions, and why the others are missing."""
    present, versions, missing = [], {}, {}
    for contender in wanted:
        command = [python, "-m", "benchmarks.contenders", contender.name]
        environment = {**os.environ, **contender.environment}
        answer = subprocess.run(
            command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True
        )
        if answer.returncode == 0:
            present.append(contender)
            versions[contender.name] = answer.stdout.strip()
            continue
        reason = (answer.stderr.strip().splitlines() or [f"status {answer.returncode}"])[-1]
        reason += f" ({contender.note})" if contender.note else ""
        if contender.is_yibu:
            sys.exit(f"{contender.name} cannot run in {python}: {reason}")
        missing[contender.name] = reason
    return present, versions, missing


def interpreter_version(python: str) -> tuple[int, int]:
    """Ask an interpreter for its version."""
    script = "import json, sys; print(json.dumps(sys.version_info[:2]))"
    answer = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    major, minor = json.loads(answer.stdout)
    return major, minor


def machine() -> str:
    """The processor and how many cores of it this run may use."""
    models = re.findall(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    model = models[0] if models else platform.machine()
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}"


if __name__ == "__main__":
    sys.exit(main())
