"""The command: `python -m benchmarks.ecosystem [--only REGEX] [--rounds N] [--json FILE] [--load FILE]`.

In every round each contender is measured once per job, directly one after the other, each in a process of its
own, and another one begins each time. A figure is the CPU time of the measured process per operation.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import contenders, report
from benchmarks.contenders import Contender
from benchmarks.ecosystem.jobs import JOBS, Job
from benchmarks.ecosystem.table import markdown, versions
from benchmarks.plan import Plan, rotated, show
from benchmarks.processes import ChildError, LineProcess, server_and_client_cores
from benchmarks.results import Measurement, Run
from benchmarks.run import interpreter_version, machine, roll_call
from tests.ecosystem.servers.services import SERVICES

NAMES = ("yibu", "yibu*", "asyncio", "uvloop", "rloop")


def main() -> int:
    """Measure, or show what was measured; the status is 1 if yibu failed anywhere."""
    parser = argparse.ArgumentParser(description="Measure frameworks and clients on yibu and on other loops.")
    parser.add_argument("--only", metavar="REGEX", default="", help="only jobs whose name matches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="the part of the usual work that is done")
    parser.add_argument("--contenders", metavar="NAMES", default=",".join(NAMES))
    parser.add_argument("--json", metavar="FILE", type=Path, help="save all samples")
    parser.add_argument("--load", metavar="FILE", type=Path, help="show a saved run instead of making one")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/benchmarks.md")
    options = parser.parse_args()
    run = Run.load(options.load) if options.load else measure(options)
    if options.json:
        run.save(options.json)
    print(markdown(run) if options.markdown else f"{report.introduce(run)}\n\n{report.table(run)}")
    failures = {name for line in run.measurements for name in line.failures}
    return int(any(name.startswith("yibu") for name in failures))


def measure(options: argparse.Namespace) -> Run:
    """Make a run."""
    wanted = [contenders.by_name(name) for name in options.contenders.split(",")]
    present, found, missing = roll_call(sys.executable, wanted)
    plan = Plan(sys.executable, present, options.rounds, options.scale)
    jobs = [job for job in JOBS if re.search(options.only, job.key)]
    version = ".".join(map(str, interpreter_version(sys.executable)))
    run = Run(version, machine(), options.rounds, found, missing, libraries=versions())
    lines = [Measurement(job.topic, job.name, f"µs/{job.noun}") for job in jobs]
    with ExitStack() as stack:
        far_ends = {
            name: stack.enter_context(far_end(name)) for name in dict.fromkeys(job.far_end for job in jobs)
        }
        for number in range(plan.rounds):
            for turn, (job, line) in enumerate(zip(jobs, lines, strict=True)):
                plan.announce(number, job.key)
                for contender in rotated(present, number + turn):
                    sample(plan, job, contender, line, far_ends[job.far_end])
    show("")
    run.measurements += lines
    return run


@contextmanager
def far_end(name: str | None) -> Iterator[str]:
    """Start what clients talk to; its address."""
    if name is None:
        yield "none"
    elif name == "canned":
        command = [sys.executable, "-m", "benchmarks.ecosystem.canned"]
        with LineProcess(command, core=server_and_client_cores()[1]) as server:
            yield f"http://127.0.0.1:{server.expect('port')}/"
    else:
        with SERVICES[name].running() as address:
            yield address


def sample(plan: Plan, job: Job, contender: Contender, line: Measurement, address: str) -> None:
    """Add one contender's sample of this round, or say why it cannot be had."""
    if contender.name in line.failures:
        return
    own_core, other_core = server_and_client_cores()
    command = [plan.python, "-m", "benchmarks.ecosystem.worker", contender.name, job.function]
    try:
        with ExitStack() as stack:
            end = [] if job.is_server else [address]
            measured = stack.enter_context(LineProcess([*command, *end], contender.environment, own_core))
            driver = measured
            if job.is_server:
                port = measured.expect("port")
                generator = [plan.python, "-m", "benchmarks.ecosystem.generator", port]
                generator += [job.greeting.hex(), job.request.hex()]
                driver = stack.enter_context(LineProcess(generator, core=other_core))
            driver.expect("ready")
            count = plan.scaled(job.count)
            do(driver, count // 5)  # not counted
            before = measured.cpu_ns()
            done = do(driver, count)
            line.add(contender.name, (measured.cpu_ns() - before) / done / 1000)
    except ChildError as error:
        line.fail(contender.name, str(error))


def do(driver: LineProcess, count: int) -> int:
    """Have operations done; how many there were."""
    driver.send(f"go {count}")
    return int(driver.expect("done"))
