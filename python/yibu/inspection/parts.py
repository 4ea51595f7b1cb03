"""What `TaskTree` has beside tasks and loops: locks and queues, connections, executors and blockages, as
plain frozen data.

Made by `resources.py`, `connections.py`, `executors.py` and `blockages.py`; `encoding.py` carries them
between processes.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yibu.inspection.descriptions import Frame


@dataclasses.dataclass(frozen=True, slots=True)
class ResourceDescription:
    """A lock, a queue or the like that tasks wait for, or a queue that has items."""

    id: int
    kind: str
    """`lock`, `semaphore`, `event`, `condition`, `barrier` or `queue`."""

    name: str
    """The name of its class."""

    waiting: int
    """How many tasks wait for it."""

    waiters: tuple[int, ...]
    """The ids of the first hundred of them."""

    wanted: tuple[str, ...] = ()
    """What the waiting tasks are: `getter`, `putter`, `waiter`."""

    holders: tuple[int, ...] = ()
    """The ids of the tasks that hold it, as far as that is known."""

    held: float | None = None
    """For how many seconds it has been held; None where nobody has noted that."""

    items: int | None = None
    """How many items a queue has."""

    limit: int | None = None
    """How many items it takes; None for a queue without a limit."""

    growth: int | None = None
    """How many items more it has than when the look began."""

    users: tuple[int, ...] = ()
    """The ids of tasks that have a queue in their variables."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionDescription:
    """A socket that a transport of a loop has."""

    loop: int
    descriptor: int
    kind: str
    """`TCP`, `Unix`, `UDP` or `datagrams`."""

    peer: str
    local: str
    protocol: str
    """The class of its protocol; `TLS` and the inner one where there is TLS."""

    received: int | None
    """Bytes that came, the headers of TCP not counted. None where the kernel does not count them."""

    sent: int | None
    unsent: int
    """Bytes in the transport's buffer."""

    high_water: int | None
    """With more than that in the buffer the protocol was told to pause writing."""

    reading: bool
    """Whether the transport receives; false after `pause_reading()`, and after the end of the stream."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobDescription:
    """Jobs of an executor that call the same function."""

    function: str
    running: int
    queued: int


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerDescription:
    """A thread of an executor."""

    name: str
    frame: Frame | None
    """The innermost frame of the program's that it runs; None where it runs no Python code of a job."""


@dataclasses.dataclass(frozen=True, slots=True)
class ExecutorDescription:
    """The default executor of a loop."""

    loop: int
    kind: str
    threads: int | None
    queued: int | None
    """Jobs that wait for a thread."""

    jobs: tuple[JobDescription, ...] = ()
    """What `run_in_executor` and `to_thread` have brought, where the executor is yibu's own."""

    workers: tuple[WorkerDescription, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class BlockageDescription:
    """A step of a loop that took too long, as `yibu.watch()` has seen it."""

    loop: int
    number: int
    """The number of the step among those of its loop."""

    when: float
    """When it was first seen, as `time.time()` has it."""

    over: bool
    seconds: float
    cause: str
    task: str | None
    thread: str
    words: str
    """The whole report."""

    stack: tuple[Frame, ...]
    """From the outermost call inwards."""
