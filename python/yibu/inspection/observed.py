"""`take()`: a snapshot of the tasks and of what stands beside them, and what the threads of the process do
in the meantime.

The threads are sampled for a while, so that a loop that is blocked, a thread that keeps the interpreter busy
and a queue that grows are found. Called by the server of the socket, in a thread of its own.
"""

from __future__ import annotations

import dataclasses
import time

from yibu import _yibu
from yibu.inspection import blockages, connections, executors, growing, probe, resources, snapshot
from yibu.inspection.breath import Breath, yielding
from yibu.inspection.descriptions import LoopDescription, TaskTree
from yibu.inspection.sampling import Samples
from yibu.observing.metrics import LoopMetrics, metrics_of

_INTERVAL = 0.02

_FUNCTIONS = 100
"""So many coroutine functions of each loop are shown, the busiest ones."""


def take(seconds: float, breathe: Breath, *, probing: bool = False) -> TaskTree:
    """Describe what there is, and sample the threads for so many seconds.

    With `probing` each loop is handed a callback, to see how late it runs.
    """
    samples = Samples()
    with yielding():
        queues = growing.sizes(breathe)
        tree = snapshot.take(breathe)
        sockets = connections.take(breathe)
    earlier_pools = executors.take()
    # Samples are taken as the program runs: how late this thread gets the interpreter is what they tell.
    if probing:
        probe.post()
    end = samples.begun + seconds
    if seconds:  # however long it took to describe the tasks
        samples.wait(min(_INTERVAL, seconds))
    while (left := end - time.monotonic()) > 0:
        samples.wait(min(_INTERVAL, left))
    samples.end()
    pools = executors.take()
    with yielding():
        sizes = growing.sizes(breathe)
        blocked = blockages.seen()
        problems = [
            *samples.problems(tree),
            *blockages.problems(blocked),
            *executors.problems(earlier_pools, pools),
            *growing.problems(queues, sizes),
            *tree.problems,
        ]
        return dataclasses.replace(
            tree,
            loops=_loops(tree, samples),
            problems=tuple(problems),
            resources=resources.with_sizes(tree.resources, queues, sizes),
            connections=sockets,
            executors=pools,
            blockages=blocked,
            watch_threshold=blockages.threshold(),
        )


def _loops(tree: TaskTree, samples: Samples) -> tuple[LoopDescription, ...]:
    metrics = {id(loop): _metrics(loop) for loop, _thread, _look in _yibu._native_loops()}
    return tuple(
        dataclasses.replace(
            loop,
            stack=samples.stack_of(loop.id, loop.thread),
            busy=samples.share(loop.thread),
            lag=probe.lag(loop.id),
            metrics=metrics.get(loop.id),
        )
        for loop in tree.loops
    )


def _metrics(loop: _yibu.EventLoop) -> LoopMetrics:
    found = metrics_of(loop)
    if found.functions is not None:
        found = dataclasses.replace(found, functions=found.functions[:_FUNCTIONS])
    return found
