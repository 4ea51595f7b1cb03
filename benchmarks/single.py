"""Lines whose sample is one number, said by a process of its own that ends then: memory, imports.

A file that has such lines is also the program: `python -m FILE NAME WHAT COUNT` prints the number behind
a word. Called by `run.py`.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contenders import Contender
from benchmarks.plan import Plan, rotated
from benchmarks.processes import ChildError, LineProcess
from benchmarks.results import Measurement


@dataclass(frozen=True)
class Single:
    """One line of the table."""

    topic: str
    name: str
    unit: str
    #: The module that is the program.
    module: str
    #: What it is to do.
    what: str
    #: How many it makes, where `--quick` is not asked for.
    count: int
    #: What its number is divided by.
    divisor: int = 1
    #: Whether the program is told the contender's modules, because it must not import anything to find them.
    by_modules: bool = False

    @property
    def key(self) -> str:
        """How the benchmark is called on the command line."""
        return f"{self.topic}/{self.name}"


#: Until a program can make a loop, in a fresh interpreter.
IMPORT = Single("loops", "import", "us of CPU", "benchmarks.imports", "import", 1, 1000, by_modules=True)


def measure(plan: Plan, selected: Sequence[Single]) -> list[Measurement]:
    """Run the selected lines on all contenders."""
    lines = {each.key: Measurement(each.topic, each.name, each.unit) for each in selected}
    for single in selected:
        if single.by_modules:
            for contender in plan.contenders:
                write_byte_code(plan, contender, single)
    for number in range(plan.rounds):
        for turn, single in enumerate(selected):
            plan.announce(number, single.key)
            for contender in rotated(plan.contenders, number + turn):
                sample(plan, contender, single, lines[single.key])
    return list(lines.values())


def write_byte_code(plan: Plan, contender: Contender, single: Single) -> None:
    """Import once, unmeasured, and let the interpreter keep the byte code, as it does of what is installed.

    yibu comes from a source tree. Where PYTHONDONTWRITEBYTECODE is set, it would be compiled in each round,
    and the others would not.
    """
    command = [plan.python, "-m", single.module, contender.modules, single.what, "1"]
    environment = {**contender.environment, "PYTHONDONTWRITEBYTECODE": ""}
    # A failure is found again, and told, by the first round.
    with contextlib.suppress(ChildError), LineProcess(command, environment) as child:
        child.expect("got")


def sample(plan: Plan, contender: Contender, single: Single, line: Measurement) -> None:
    """Add one contender's sample of this round to a line, or say there why it cannot be had."""
    if contender.name in line.failures:
        return
    count = plan.scaled(single.count)
    who = contender.modules if single.by_modules else contender.name
    command = [plan.python, "-m", single.module, who, single.what, str(count)]
    try:
        with LineProcess(command, contender.environment) as child:
            line.add(contender.name, int(child.expect("got")) / single.divisor)
    except ChildError as error:
        line.fail(contender.name, str(error))
