"""`take()`: a snapshot of the tasks, and what the threads of the process do in the meantime.

The threads are sampled for a while, so that a loop that is blocked, a thread that keeps the interpreter busy
and a queue that grows are found. Called by the server of the socket, in a thread of its own.
"""

from __future__ import annotations

import dataclasses
import time

from yibu.inspection import growing, snapshot
from yibu.inspection.breath import Breath, yielding
from yibu.inspection.descriptions import TaskTree
from yibu.inspection.sampling import Samples

_INTERVAL = 0.02


def take(seconds: float, breathe: Breath) -> TaskTree:
    """Describe the tasks, and sample the threads for so many seconds."""
    samples = Samples()
    with yielding():
        queues = growing.sizes(breathe)
        tree = snapshot.take(breathe)
    # Samples are taken as the program runs: how late this thread gets the interpreter is what they tell.
    end = samples.begun + seconds
    while (left := end - time.monotonic()) > 0:
        samples.wait(min(_INTERVAL, left))
    samples.end()
    with yielding():
        grown = growing.problems(queues, growing.sizes(breathe))
    problems = [*samples.problems(tree), *grown, *tree.problems]
    loops = tuple(
        dataclasses.replace(
            loop, stack=samples.stack_of(loop.id, loop.thread), busy=samples.share(loop.thread)
        )
        for loop in tree.loops
    )
    return dataclasses.replace(tree, loops=loops, problems=tuple(problems))
