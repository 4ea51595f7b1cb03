"""A `TaskTree` as a tree: below each task the tasks that it waits for, with the coroutines of each.

A task that several others wait for stands below each of them, and its own part only once. Called by
`pstree()` and the command.
"""

from collections.abc import Iterable, Iterator

from yibu.inspection.descriptions import TaskDescription, TaskTree
from yibu.inspection.table import heading, loop_lines, problem_lines
from yibu.inspection.wording import printable, unquoted


def tree_text(tree: TaskTree) -> str:
    """The whole text."""
    lines = [heading(tree)]
    below: dict[int, list[TaskDescription]] = {}
    for task in tree.tasks:
        for waiter in task.awaited_by:
            below.setdefault(waiter, []).append(task)
    shown: set[int] = set()
    for loop in tree.loops:
        lines += loop_lines(loop)
        tasks = [task for task in tree.tasks if task.loop == loop.id]
        roots = [task for task in tasks if not task.awaited_by]
        for root in _with_circles(roots, tasks, below):
            if root.awaited_by and root.id in shown:
                continue
            lines += _branch(root, below, shown, "")
    return "\n".join(map(printable, [*lines, *problem_lines(tree)]))


def _with_circles(
    roots: list[TaskDescription], tasks: list[TaskDescription], below: dict[int, list[TaskDescription]]
) -> Iterator[TaskDescription]:
    """The roots, then a task of each circle that no root leads to."""
    reached: set[int] = set()
    for root in [*roots, *tasks]:
        if root.id in reached:
            continue
        yield root
        todo = [root]
        while todo:
            task = todo.pop()
            if task.id not in reached:
                reached.add(task.id)
                todo += below.get(task.id, [])


def _branch(
    root: TaskDescription, below: dict[int, list[TaskDescription]], shown: set[int], indent: str
) -> Iterable[str]:
    """The lines of a task and all below it."""
    todo = [(root, indent)]
    while todo:
        task, indent = todo.pop()
        what = f" waits for {task.waits_for}" if task.waits_for else f" is {task.state}"
        if task.id in shown:
            yield f"{indent}- {unquoted(task.name)} (see above)"
            continue
        shown.add(task.id)
        yield f"{indent}- {unquoted(task.name)}{what}{' (lost?)' if task.lost else ''}"
        for frame in task.stack:
            yield f"{indent}  | {frame}"
        todo += [(child, f"{indent}  ") for child in reversed(below.get(task.id, []))]
