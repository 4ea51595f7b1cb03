"""Runs a program and records each line of asyncio's own Python code that it executes.

    python watch.py RECORD program.py ...             as `python program.py ...`
    python watch.py RECORD -m yibu program.py ...     as `python -m yibu program.py ...`

What importing asyncio and yibu executes does not count.  The interpreter tells of every line in every thread;
the record has one for each line: file, number and function.  Called by `test_no_stock_code.py`.
"""

import asyncio
import asyncio.mixins
import atexit
import contextlib
import os
import runpy
import sys
import threading

PRIMITIVES = {"tasks", "futures", "locks", "queues", "timeouts", "taskgroups", "runners", "threads", "mixins"}
LOOPS = {"base_events", "selector_events", "unix_events"}
NETWORK = LOOPS | {"streams", "sslproto", "subprocess", "base_subprocess", "staggered"}
FILES = {os.path.join(os.path.dirname(asyncio.__file__), f"{name}.py") for name in PRIMITIVES | NETWORK}

lines = set()


def note(code, line):
    lines.add((code.co_filename, line, code.co_qualname))


def watch():
    """Have `note` called for each line of the files, in this thread and all others."""
    if sys.version_info >= (3, 12):
        monitoring = sys.monitoring
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "watch")

        def line(code, number):
            if code.co_filename in FILES:
                note(code, number)
            return monitoring.DISABLE  # for this line: once is enough

        monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, line)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)
        return

    def trace(frame, event, _):
        if frame.f_code.co_filename not in FILES:
            return None
        # Making a coroutine, if only to show its frame, comes by the line of its `def`; running it goes on.
        # What yibu puts in the place of asyncio's methods has no other line.
        if event == "line" and frame.f_lineno != frame.f_code.co_firstlineno:
            note(frame.f_code, frame.f_lineno)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)


def write(record):
    if sys.version_info >= (3, 12):
        sys.monitoring.set_events(sys.monitoring.COVERAGE_ID, sys.monitoring.events.NO_EVENTS)
    else:
        sys.settrace(None)
    with open(record, "w") as file:
        file.writelines(f"{os.path.basename(path)}:{line} {name}\n" for path, line, name in sorted(lines))


def main(record, *command):
    with contextlib.suppress(ImportError):
        import yibu  # noqa: F401  # not there when stock itself is watched
    atexit.register(write, record)  # registered first, it runs last
    watch()
    if command[0] == "-m":
        sys.argv = [*command[1:]]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [*command]
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
