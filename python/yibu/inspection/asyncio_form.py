"""A `TaskTree` in the form in which `python -m asyncio ps` and `pstree` of Python 3.14 print theirs.

For scripts and eyes that are used to it: yibu's tasks are not among those that asyncio's own command reads
from another process. Called by `command.py`.
"""

from typing import NamedTuple

from yibu.inspection.descriptions import Frame, TaskDescription, TaskTree
from yibu.inspection.wording import printable, unquoted

_COLUMNS = (
    ("tid", 10),
    ("task id", 20),
    ("task name", 20),
    ("coroutine stack", 50),
    ("awaiter chain", 50),
    ("awaiter name", 15),
    ("awaiter id", 15),
)


def table(tree: TaskTree) -> str:
    """A line for each task and each task that waits for it."""
    threads = {loop.id: loop.native_thread for loop in tree.loops}
    tasks = {task.id: task for task in tree}
    rows = [[name for name, _width in _COLUMNS]]
    for task in tree:
        begin = [str(threads.get(task.loop, 0)), f"{task.id:#x}", unquoted(task.name), _chain(task)]
        for waiter in task.awaited_by:
            rows.append([*begin, _chain(tasks[waiter]), unquoted(tasks[waiter].name), f"{waiter:#x}"])
        if not task.awaited_by:
            rows.append([*begin, "", "", "0x0"])
    widths = [width for _name, width in _COLUMNS]
    lines = [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(map(printable, [lines[0], "-" * 180, *lines[1:]]))


def _chain(task: TaskDescription) -> str:
    return " -> ".join(_short(frame) for frame in reversed(task.stack))


def _short(frame: Frame) -> str:
    """A function without what it is nested in."""
    return frame.function.rpartition("<locals>.")[2]


_LONGEST = 100_000
"""After so many lines, what was shown before is not shown again below another task."""


class _Above(NamedTuple):
    """The tasks above a task, the nearest one first."""

    task: int
    rest: "_Above | None"


def tree_text(tree: TaskTree) -> str:
    """Each task below the innermost coroutine of each task that waits for it.

    Of tasks that wait for each other in a circle, at which asyncio's command gives up, one is a root.
    """
    below: dict[int, list[TaskDescription]] = {}
    for task in tree:
        for waiter in task.awaited_by:
            below.setdefault(waiter, []).append(task)
    lines: list[str] = []
    shown: set[int] = set()
    for root in [*(task for task in tree if not task.awaited_by), *tree]:
        if root.id not in shown:
            _append(lines, root, below, shown)
    return "\n".join(map(printable, lines))


def _append(
    lines: list[str], root: TaskDescription, below: dict[int, list[TaskDescription]], shown: set[int]
) -> None:
    """Walked without recursion: tasks may wait for each other a thousand deep."""
    todo: list[tuple[TaskDescription, str, bool, _Above | None]] = [(root, "", True, None)]
    while todo:
        task, indent, last, above = todo.pop()
        lines.append(f"{indent}{'└── ' if last else '├── '}(T) {unquoted(task.name)}")
        if task.id in shown and (len(lines) > _LONGEST or _is_on(above, task.id)):
            continue
        shown.add(task.id)
        indent += "    " if last else "│   "
        for frame in task.stack:
            lines.append(f"{indent}└──  {_short(frame)} {frame.file}:{frame.line}")
            indent += "    "
        children = below.get(task.id, [])
        path = _Above(task.id, above)
        todo += [(child, indent, child is children[-1], path) for child in reversed(children)]


def _is_on(path: _Above | None, task: int) -> bool:
    while path is not None:
        if path.task == task:
            return True
        path = path.rest
    return False
