"""`python -m yibu ps PID` and `python -m yibu pstree PID`: the tasks of another process, as text or JSON.

Called by `command_line.py`. Exit status: 0, 1 for a process that cannot be asked, 2 for a wrong command line.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from yibu.inspection import client
from yibu.inspection.descriptions import TaskTree
from yibu.inspection.encoding import encode


def main(command: str, arguments: Sequence[str]) -> int:
    """Do what the command line asks for."""
    if command == "inspect":
        return _page(arguments)
    options = _parser(command).parse_args(arguments)
    if options.pid is None:
        return _list()
    try:
        tree = client.ask(options.pid, sample=options.sample, timeout=options.timeout)
    except client.Unreachable as error:
        return _fail(str(error))
    print(_shown(tree, command, options))
    return 0


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
    parser.add_argument("--port", type=int, default=0, help="the port (default: a free one)")
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    try:
        return page_server.main(options.pid, options.host, options.port, options.timeout)
    except (client.Unreachable, OSError) as error:
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
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for an answer (default: 30)",
    )
    return parser


def _pid(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("a process has a positive number")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 3600:
        raise argparse.ArgumentTypeError("must be between 0 and 3600 seconds")
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
    for pid in found:
        print(pid, _command_of(pid))
    if not found:
        return _fail("no process of this user can be asked: start one with `python -m yibu --inspect`")
    return 0


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _fail(reason: str) -> int:
    print(f"python -m yibu: {reason}", file=sys.stderr)
    return 1
