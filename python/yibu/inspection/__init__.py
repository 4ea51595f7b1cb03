"""See inside a running program: its tasks, what each waits for, and what is wrong.

`ps()` describes every task of the process, `pstree()` shows them as a tree. Nothing is noted or stored
for this while a program runs, except what `inspect()` asks for.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from yibu.inspection.descriptions import TaskTree
    from yibu.inspection.inspecting import Inspection

# Here, because they are looked for whenever yibu is imported, and `options.py` takes a while to import.
VARIABLES = {
    "YIBU_INSPECT": "socket",
    "YIBU_INSPECT_SIGNAL": "open_signal",
    "YIBU_DUMP_SIGNAL": "dump_signal",
    "YIBU_DUMP_CRASH": "crash",
    "YIBU_INSPECT_REMOTE": "remote",
}


def ps() -> TaskTree:
    """Describe every task of every loop of this process; printing it gives a table.

    May be called from any thread. Called by the loop's own thread it shows the loop as it is at that moment.
    """
    from yibu.inspection.snapshot import take

    return take()


def pstree() -> str:
    """The tasks of this process as a tree, each below the tasks that wait for it."""
    from yibu.inspection.tree import tree_text

    return tree_text(ps())


def inspect(
    *,
    socket: bool = True,
    dump_signal: int | str | None = None,
    open_signal: int | str | None = None,
    crash: bool = False,
    address: str | None = None,
    remote: bool = False,
) -> Inspection:
    """Let `python -m yibu ps PID` see the tasks of this process, from now on.

    A thread answers on a Unix socket that only the user of this process can use, also while the loop is
    blocked or busy. Tasks that are made from now on have an age. `close()` of what this returns, or the end
    of its `with` block, turns it off again; so does the end of the process. A forked process gets a socket of
    its own.

    When `dump_signal` comes, say "USR2", the stacks of the threads and the task tree are printed to standard
    error. When `open_signal` comes, the socket is opened; with `socket=False` there is none until then. With
    `crash` the task tree is printed when an exception leaves `run()`.

    With an `address`, say "127.0.0.1:9000", this process also serves a page that shows all of it, in threads
    of its own. The address of the page, which nobody can see without the token in it, is printed to standard
    error and is `address` of what this returns. An address that other machines reach is refused unless
    `remote` is true, because the page is not encrypted. A forked process has no page.
    """
    from yibu.inspection.inspecting import Inspection
    from yibu.inspection.options import signal_number

    return Inspection(
        socket=socket,
        dump_signal=None if dump_signal is None else signal_number(dump_signal),
        open_signal=None if open_signal is None else signal_number(open_signal),
        crash=crash,
        address=address,
        remote=remote,
    )


def inspect_as_environment_says() -> None:
    """Turn on what `YIBU_INSPECT` and its like ask for."""
    if any(variable in os.environ for variable in VARIABLES):
        from yibu.inspection.options import from_environment

        from_environment().start(inherited=True)
