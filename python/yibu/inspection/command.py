"""`python -m yibu ps PID` and `python -m yibu pstree PID`: the tasks of another process, as text or JSON.

Called by `command_line.py`. Exit status: 0; 1 for a process that cannot be asked and for output that cannot
be written; 2 for a wrong command line; 130 after Ctrl-C and 141 when nobody reads the output any more, as a
shell says of a program that SIGINT or SIGPIPE has ended.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence

from yibu.inspection import client
from yibu.inspection.descriptions import TaskTree
from yibu.inspection.encoding import encode
from yibu.inspection.wording import printable, unquoted


class _NoOutput(Exception):
    """Standard output takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror or error}")
        self.nobody_reads = isinstance(error, BrokenPipeError)


def main(command: str, arguments: Sequence[str]) -> int:
    """Do what the command line asks for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A task may have a name that the terminal's encoding does not have.
            stream.reconfigure(errors="backslashreplace")
    try:
        return _do(command, arguments)
    except _NoOutput as error:
        return 141 if error.nobody_reads else _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130


def _do(command: str, arguments: Sequence[str]) -> int:
    if command == "inspect":
        return _page(arguments)
    options = _parser(command).parse_args(arguments)
    if options.pid is None:
        return _list()
    try:
        tree = client.ask(options.pid, sample=options.sample, timeout=options.timeout, tell=_tell)
    except client.Unreachable as error:
        return _fail(str(error))
    _print(_shown(tree, command, options))
    return 0


def _print(text: str) -> None:
    """Print to standard output, whose buffer has nothing left for the end of the process to fail with."""
    try:
        print(text, flush=True)
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise _NoOutput(error) from error


def _page(arguments: Sequence[str]) -> int:
    """`python -m yibu inspect PID`."""
    from yibu.inspection import page_server

    parser = argparse.ArgumentParser(
        prog="python -m yibu inspect",
        description="Serve a page that shows the tasks of a running process, and goes on showing them.",
    )
    parser.add_argument("pid", type=_pid, metavar="PID")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to serve at (default: this machine only); the page is not encrypted",
    )
    parser.add_argument("--port", type=_port, default=0, help="the port (default: a free one)")
    _add_timeout(parser)
    options = parser.parse_args(arguments)
    try:
        return page_server.main(options.pid, options.host, options.port, options.timeout)
    except (client.Unreachable, page_server.NoPage) as error:
        return _fail(str(error))


def _parser(command: str) -> argparse.ArgumentParser:
    what = "table" if command == "ps" else "tree"
    parser = argparse.ArgumentParser(
        prog=f"python -m yibu {command}",
        description=f"Show the tasks of a running process as a {what}: what each waits for, who waits for "
        "it, and what is wrong. Without a PID, list the processes that can be asked.",
    )
    parser.add_argument("pid", type=_pid, nargs="?", metavar="PID")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--asyncio", action="store_true", help=f"print what python -m asyncio {command} would, in its form"
    )
    parser.add_argument(
        "--sample",
        type=_seconds,
        default=0.3,
        metavar="SECONDS",
        help="how long to look at the threads, to find blocked loops and growing queues (default: 0.3)",
    )
    _add_timeout(parser)
    return parser


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_timeout,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for an answer of the process (default: 30)",
    )


def _pid(text: str) -> int:
    number = _whole(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("a process has a positive number")
    return number


def _port(text: str) -> int:
    number = _whole(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 <= seconds < 3600:
        raise argparse.ArgumentTypeError("must be between 0 and 3600 seconds")
    return seconds


def _timeout(text: str) -> float:
    seconds = _seconds(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError("must be more than 0 seconds: no process answers in no time")
    return seconds


def _shown(tree: TaskTree, command: str, options: argparse.Namespace) -> str:
    if options.json:
        return json.dumps(json.loads(encode(tree)), indent=2)
    if options.asyncio:
        from yibu.inspection import asyncio_form

        return asyncio_form.table(tree) if command == "ps" else asyncio_form.tree_text(tree)
    if command == "pstree":
        from yibu.inspection.tree import tree_text

        return tree_text(tree)
    return str(tree)


def _list() -> int:
    found = client.inspectable()
    if not found:
        return _fail("no process of this user can be asked: start one with `python -m yibu --inspect`")
    _print("\n".join(f"{pid} {unquoted(_command_of(pid))}".rstrip() for pid in found))
    return 0


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _fail(reason: str) -> int:
    _tell(reason)
    return 1


def _tell(line: str) -> None:
    print(f"python -m yibu: {printable(line)}", file=sys.stderr, flush=True)
