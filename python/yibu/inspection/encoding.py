"""A `TaskTree` as JSON, made in small pieces: ten thousand tasks in one would hold the interpreter too long.

Called by `server.py` and `command.py`; `decode` is the other direction.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from yibu.inspection.descriptions import Frame, LoopDescription, Problem, TaskDescription, TaskTree

_TASK = tuple(field.name for field in dataclasses.fields(TaskDescription) if field.name != "stack")


def encode(tree: TaskTree, breathe: Callable[[], None] = lambda: None) -> bytearray:
    """The tree as an object of JSON."""
    stacks: dict[int, str] = {}
    content = bytearray(b'{"tasks": [')
    for number, task in enumerate(tree.tasks):
        breathe()
        stack = stacks.get(id(task.stack))
        if stack is None:
            stacks[id(task.stack)] = stack = json.dumps([dataclasses.asdict(frame) for frame in task.stack])
        begin = json.dumps({name: getattr(task, name) for name in _TASK})
        content += f'{", " if number else ""}{begin[:-1]}, "stack": {stack}}}'.encode()
    rest = {
        "loops": [dataclasses.asdict(loop) for loop in tree.loops],
        "problems": [dataclasses.asdict(problem) for problem in tree.problems],
        "pid": tree.pid,
    }
    content += b"], " + json.dumps(rest).encode()[1:]
    return content


def decode(data: dict[str, Any]) -> TaskTree:
    """The tree that such an object describes."""
    return TaskTree(
        tasks=tuple(
            TaskDescription(
                **{**task, "awaited_by": tuple(task["awaited_by"]), "stack": _frames(task["stack"])}
            )
            for task in data["tasks"]
        ),
        loops=tuple(LoopDescription(**{**loop, "stack": _frames(loop["stack"])}) for loop in data["loops"]),
        problems=tuple(
            Problem(**{**problem, "tasks": tuple(problem["tasks"])}) for problem in data["problems"]
        ),
        pid=data["pid"],
    )


def _frames(frames: list[dict[str, Any]]) -> tuple[Frame, ...]:
    return tuple(Frame(**frame) for frame in frames)
