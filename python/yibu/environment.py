"""What the variables of the environment have yibu do when it is imported: watch, be inspected, trace.

Processes inherit variables, also those that nobody thought of when they were set. So a value that cannot be
followed costs a line on standard error and not the program, and `python -m yibu ps` and its like, which look
at other processes, follow none. Called by `yibu/__init__.py`.
"""

from __future__ import annotations

import os
import sys

from yibu.inspection import VARIABLES, inspect_as_environment_says
from yibu.tracing import trace_as_environment_says
from yibu.watching import watch_from_environment

_VARIABLES = ("YIBU_WATCH", "YIBU_TRACE", "YIBU_TRACE_SIGNAL", *VARIABLES)


def follow() -> None:
    """Do what the variables ask for."""
    if not any(map(os.environ.get, _VARIABLES)) or _runs_no_program():
        return
    for act in (watch_from_environment, inspect_as_environment_says, trace_as_environment_says):
        try:
            act()
        except (ValueError, OSError, RuntimeError) as error:
            if sys.stderr is not None:
                print(f"yibu: {error}", file=sys.stderr)


def _runs_no_program() -> bool:
    """Whether this process is a command of yibu's own, or is about to start the interpreter once more."""
    from yibu.command_line_options import OWN_COMMANDS, WrongCommandLine, parse

    try:
        program = parse(sys.orig_argv[1:]).program
        if program[:2] != ["-m", "yibu"]:
            return False
        line = parse(program[2:])
    except WrongCommandLine:  # of an option of the interpreter that is new, or after `-m yibu`, which says so
        return False
    return line.action != "run" or bool(line.interpreter) or line.program[:1] in OWN_COMMANDS
