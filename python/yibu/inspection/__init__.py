"""See inside a running program: its tasks, what each waits for, and what is wrong.

`ps()` describes every task of the process, `pstree()` shows them as a tree. Nothing is noted or stored
for this while a program runs, except what `inspect()` asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yibu.inspection.descriptions import TaskTree


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
