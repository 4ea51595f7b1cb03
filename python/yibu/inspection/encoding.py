"""A `TaskTree` as JSON, made in small pieces: ten thousand tasks in one would hold the interpreter too long.

Called by `server.py` and `command.py`; `decode` is the other direction.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

from yibu.inspection import parts
from yibu.inspection.descriptions import Frame, LoopDescription, Problem, TaskDescription, TaskTree
from yibu.observing.metrics import FunctionMetrics, LoopMetrics, Times

_TASK = tuple(field.name for field in dataclasses.fields(TaskDescription) if field.name != "stack")

_LISTS = ("loops", "problems", "resources", "connections", "executors", "blockages")
"""The fields of a tree, beside the tasks, that are sequences of descriptions."""


def encode(tree: TaskTree, breathe: Callable[[], None] = lambda: None) -> bytearray:
    """The tree as an object of JSON."""
    content = bytearray(b'{"tasks": [')
    _join(content, _tasks(tree, breathe))
    for name in _LISTS:
        content += f'], "{name}": ['.encode()
        _join(content, _described(getattr(tree, name), breathe))
    rest = {"pid": tree.pid, "watch_threshold": tree.watch_threshold}
    content += b"], " + json.dumps(rest).encode()[1:]
    return content


def _join(content: bytearray, items: Iterable[str]) -> None:
    for number, item in enumerate(items):
        content += (", " + item if number else item).encode()


def _tasks(tree: TaskTree, breathe: Callable[[], None]) -> Iterable[str]:
    stacks: dict[int, str] = {}
    for task in tree.tasks:
        breathe()
        stack = stacks.get(id(task.stack))
        if stack is None:
            frames = [dataclasses.asdict(frame) for frame in task.stack]
            place = "" if task.place is None else task.place.short
            stack = f'"place": {json.dumps(place)}, "stack": {json.dumps(frames)}'
            stacks[id(task.stack)] = stack
        begin = json.dumps({name: getattr(task, name) for name in _TASK})
        yield f"{begin[:-1]}, {stack}}}"


def _described(items: Iterable[Any], breathe: Callable[[], None]) -> Iterable[str]:
    for item in items:
        breathe()
        yield json.dumps(dataclasses.asdict(item))


def decode(data: dict[str, Any]) -> TaskTree:
    """The tree that such an object describes."""
    return TaskTree(
        tasks=tuple(_task(task) for task in data["tasks"]),
        loops=tuple(_loop(loop) for loop in data["loops"]),
        problems=tuple(_made(Problem, problem) for problem in data["problems"]),
        pid=data["pid"],
        resources=tuple(_made(parts.ResourceDescription, one) for one in data["resources"]),
        connections=tuple(_made(parts.ConnectionDescription, one) for one in data["connections"]),
        executors=tuple(_executor(one) for one in data["executors"]),
        blockages=tuple(_made(parts.BlockageDescription, one) for one in data["blockages"]),
        watch_threshold=data["watch_threshold"],
    )


def _made(kind: Any, data: dict[str, Any]) -> Any:
    """A description whose sequences are tuples; a `stack` is one of frames."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    if "stack" in fields:
        fields["stack"] = tuple(Frame(**frame) for frame in fields["stack"])
    return kind(**fields)


def _task(data: dict[str, Any]) -> TaskDescription:
    # The place is in the stack.
    made: TaskDescription = _made(
        TaskDescription, {name: value for name, value in data.items() if name != "place"}
    )
    return made


def _loop(data: dict[str, Any]) -> LoopDescription:
    metrics = data["metrics"]
    made: LoopDescription = _made(
        LoopDescription, {**data, "metrics": None if metrics is None else _metrics(metrics)}
    )
    return made


def _metrics(data: dict[str, Any]) -> LoopMetrics:
    fields = dict(data)
    for name in ("lag", "executor_waits"):
        if fields[name] is not None:
            buckets = tuple((limit, count) for limit, count in fields[name]["buckets"])
            fields[name] = Times(**{**fields[name], "buckets": buckets})
    if fields["functions"] is not None:
        fields["functions"] = tuple(FunctionMetrics(**function) for function in fields["functions"])
    return LoopMetrics(**fields)


def _executor(data: dict[str, Any]) -> parts.ExecutorDescription:
    workers = tuple(
        parts.WorkerDescription(worker["name"], None if worker["frame"] is None else Frame(**worker["frame"]))
        for worker in data["workers"]
    )
    jobs = tuple(parts.JobDescription(**job) for job in data["jobs"])
    return parts.ExecutorDescription(**{**data, "jobs": jobs, "workers": workers})
