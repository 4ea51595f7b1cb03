"""The options of `python -m yibu`: which are yibu's, which the interpreter's, and where the program begins.

The interpreter's own options count only where it starts, so `python -m yibu -X dev program.py` starts it
once more: `python -X dev -m yibu program.py`, in the same process (`exec`). Called by `command_line.py`.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from yibu.inspection.options import Wanted

# As `python --help` has them. -x is missing: it skips a line of a file that the interpreter itself reads.
_WITHOUT_VALUE = frozenset("bBdEIiOPqRsSuv")
_WITH_VALUE = frozenset("WX")
_LONG_WITH_VALUE = "--check-hash-based-pycs"
_OF_THE_HELP = ("--help-all", "--help-env", "--help-xoptions")


OWN_COMMANDS = (["doctor"], ["ps"], ["pstree"], ["inspect"])
"""What runs no program."""


class WrongCommandLine(Exception):
    """What is wrong with the arguments, in words for who typed them."""


@dataclass
class CommandLine:
    """The arguments in their parts."""

    action: str = "run"
    """`help`, `version` or `run`."""

    interpreter: list[str] = field(default_factory=list)
    """Options of the interpreter."""

    uvloop_alias: bool = False
    """Whether `import uvloop` is to be answered by yibu."""

    watch: str | None = None
    """The threshold of the watchdog, as it was written."""

    trace: str | None = None
    """The file of the trace."""

    trace_signal: str | None = None
    """The signal that begins and stops it."""

    inspect: Wanted = field(default_factory=Wanted)
    """What of the inspection is to be on."""

    program: list[str] = field(default_factory=list)
    """What to run and its arguments; `-c` and `-m` stand alone, before their value."""


def parse(arguments: Sequence[str]) -> CommandLine:
    """Take the arguments apart as the interpreter does. What follows the program is the program's."""
    found = CommandLine()
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option in ("--help", "--version"):
            found.action = option[2:]
            return found
        if option == "--uvloop-alias":
            found.uvloop_alias = True
        elif option == "--watch" or option.startswith("--watch="):
            _, glued, value = option.partition("=")
            found.watch = value if glued else _value(option, rest)
        elif option.partition("=")[0] in ("--trace", "--trace-signal"):
            name, glued, value = option.partition("=")
            setattr(found, name[2:].replace("-", "_"), value if glued else _value(option, rest))
        elif _for_inspection(option, rest, found):
            pass
        elif option == _LONG_WITH_VALUE:
            found.interpreter += [option, _value(option, rest)]
        elif option in _OF_THE_HELP:
            found.interpreter.append(option)
        elif option.startswith("--"):
            raise WrongCommandLine(f"unknown option {option}")
        elif _letters(option, rest, found):
            return found
    found.program = rest
    if not rest and "-i" in found.interpreter:
        found.interpreter.remove("-i")  # a prompt is what there will be
    return found


def _for_inspection(option: str, rest: list[str], found: CommandLine) -> bool:
    try:
        return found.inspect.take(option, lambda: _value(option, rest))
    except ValueError as error:
        raise WrongCommandLine(f"{option}: {error}") from None


def _letters(option: str, rest: list[str], found: CommandLine) -> bool:
    """Several options of one letter may stand behind one dash; tell whether they were the last ones."""
    for place, letter in enumerate(option[1:], 1):
        if letter in "h?V":
            found.action = "version" if letter == "V" else "help"
            return True
        if letter in "cm" or letter in _WITH_VALUE:
            # The value may be glued to the letter.
            value = option[place + 1 :] or _value(f"-{letter}", rest)
            if letter in "cm":
                found.program = [f"-{letter}", value, *rest]
                return True
            found.interpreter += [f"-{letter}", value]
            return False
        if letter not in _WITHOUT_VALUE:
            raise WrongCommandLine(f"unknown option -{letter}")
        found.interpreter.append(f"-{letter}")
    return False


def _value(option: str, rest: list[str]) -> str:
    if not rest:
        raise WrongCommandLine(f"argument expected for the {option} option")
    return rest.pop(0)


def restart_command(line: CommandLine) -> list[str]:
    """The command that starts this interpreter once more, now with the interpreter's options of `line`."""
    before = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])]
    # Later options win, so the new ones go behind those that are there, but before `-m yibu`. Where that is
    # written in another way (`-Im yibu`) they go first.
    place = 1
    if before[-2:] == ["-m", "yibu"]:
        place = len(before) - 2
    elif before[-1] == "-myibu":
        place = len(before) - 1
    own = ["--uvloop-alias"] if line.uvloop_alias else []
    own += [] if line.watch is None else ["--watch", line.watch]
    own += [] if line.trace is None else ["--trace", line.trace]
    own += [] if line.trace_signal is None else ["--trace-signal", line.trace_signal]
    own += line.inspect.as_options()
    return [*before[:place], *line.interpreter, *before[place:], *own, *line.program]
