"""What a task waits for, in words: read off the innermost of its coroutines that belongs to asyncio.

A rule is a function for one of asyncio's coroutines, native or not, by its qualified name. It gets the
arguments (`Call`) and says what is waited for. Rules look, and change nothing. Called by `snapshot.py`.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from yibu import _yibu
from yibu.inspection import endpoints
from yibu.inspection.descriptions import is_of_library
from yibu.inspection.rows import Row, Step, isinstance_exactly
from yibu.inspection.wording import counted, quoted, with_article
from yibu.task_names import name_of


@dataclass(slots=True)
class Wait:
    """What a task waits for."""

    kind: str
    words: str
    resource: Any = None
    """The lock, queue or the like: those who wait for the same object are counted, its holders are named."""

    others: str = ""
    """What to call the others who wait for the resource: `getter`, `waiter`."""

    awaits: Sequence[Any] = ()
    """Futures and tasks that this one waits for."""

    any_of: bool = False
    """Whether one of `awaits` is enough."""

    group: Any = None
    """The object for whose sake callbacks are left on what is awaited, where only these tell."""

    woken_by: Collection[str] = ()
    """Names of methods of the resource: a call of one lets the task go on."""


class Call:
    """The arguments of one of asyncio's coroutines."""

    def __init__(self, step: Step, row: Row) -> None:
        self.step = step
        self.row = row
        self.parts = _yibu._routine_parts(step.coroutine) if step.code is None else None

    def local(self, name: str) -> Any:
        """A variable of asyncio's own function; None in a native one."""
        if self.parts is not None or self.step.code is None:
            return None
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(self.step.coroutine, f"{prefix}_frame", None)
            if frame is not None:
                return frame.f_locals.get(name)
        return None

    @property
    def owner(self) -> Any:
        """`self`, or what the native coroutine has in its place."""
        return self.local("self") if self.parts is None else self.parts[0]

    def part(self, number: int, name: str) -> Any:
        """An argument: by number of a native coroutine, by name of asyncio's own."""
        return self.local(name) if self.parts is None else self.parts[number]

    @property
    def time(self) -> float:
        """The time of the task's loop."""
        return float(self.row.loop.time())


Rule = Callable[[Call], Wait | None]
RULES: dict[str, Rule] = {}
_RuleT = TypeVar("_RuleT", bound=Rule)


def rule(*names: str) -> Callable[[_RuleT], _RuleT]:
    """Enter a rule for asyncio's coroutines of these names."""

    def enter(function: _RuleT) -> _RuleT:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def wait_of(row: Row) -> Wait:
    """What a task waits for.

    Of asyncio's coroutines that the program's innermost one awaits, the outermost one with a rule counts: a
    barrier is what a task waits for, not the condition within.
    """
    innermost = list(itertools.takewhile(lambda step: step.is_of_asyncio, reversed(row.steps)))
    for step in reversed(innermost):
        found = RULES.get(step.name)
        wait = found(Call(step, row)) if found else None
        if wait is not None:
            return wait
    if row.waiter is None:
        return Wait("", "")
    wait = wait_for_future(row.waiter)
    if wait.kind == "future":
        wait.words += _awaited_in(row)
    return wait


def _awaited_in(row: Row) -> str:
    """Where a library awaits a future of which nothing else is known: the program's line says less then."""
    step = next((step for step in reversed(row.steps) if not step.is_of_asyncio), None)
    if step is None or step.code is None or not is_of_library(step.code.co_filename):
        return ""
    frames = (getattr(step.coroutine, f"{prefix}_frame", None) for prefix in ("cr", "gi", "ag"))
    frame = next((frame for frame in frames if frame is not None), None)
    module = frame.f_globals.get("__name__") if frame is not None else None
    return f" awaited in {module}.{step.name}" if isinstance(module, str) else f" awaited in {step.name}"


def wait_for_future(future: Any) -> Wait:
    """What it means to wait for a future that no coroutine of asyncio's explains."""
    if is_task(future):
        return Wait("task", f"result of task {quoted(name_of(future))}", awaits=[future])
    children = getattr(future, "_children", None)
    if children is not None:
        done = sum(child.done() for child in children)
        return Wait("gather", f"gather of {len(children)}, {done} done", awaits=list(children))
    for name, owner in _yibu._future_reactions(future):
        if name == "shield.<locals>._outer_done_callback":
            inner = owner._inner
            shielded = wait_for_future(inner)
            return Wait("shield", f"shielded {shielded.words}", awaits=shielded.awaits)
    return Wait("future", with_article(type(future).__name__))


def is_task(future: Any) -> bool:
    """Whether a future is a task, native or the standard library's."""
    return isinstance_exactly(future, _yibu.Task) or isinstance(future, asyncio.Task)


def _class(owner: Any) -> str:
    return type(owner).__name__


@rule("Lock.acquire")
def _lock(call: Call) -> Wait:
    return Wait("lock", _class(call.owner), call.owner, "waiter")


@rule("Semaphore.acquire")
def _semaphore(call: Call) -> Wait:
    return Wait("semaphore", _class(call.owner), call.owner, "waiter", woken_by=("release",))


@rule("_ContextManagerMixin.__aenter__")
def _entered(call: Call) -> Wait | None:
    kinds = {"Semaphore": "semaphore", "BoundedSemaphore": "semaphore", "Condition": "lock", "Lock": "lock"}
    for base in type(call.owner).__mro__:
        if base.__name__ in kinds:
            kind = kinds[base.__name__]
            woken_by = ("release",) if kind == "semaphore" else ()
            return Wait(kind, _class(call.owner), call.owner, "waiter", woken_by=woken_by)
    return None


@rule("Event.wait")
def _event(call: Call) -> Wait:
    return Wait("event", f"{_class(call.owner)} to be set", call.owner, "waiter", woken_by=("set",))


@rule("Condition.wait", "Condition.wait_for")
def _condition(call: Call) -> Wait:
    words = f"{_class(call.owner)} to be notified"
    return Wait("condition", words, call.owner, "waiter", woken_by=("notify", "notify_all"))


@rule("Barrier.wait", "Barrier._wait", "Barrier._block")
def _barrier(call: Call) -> Wait:
    barrier = call.owner
    words = f"{_class(barrier)}, {barrier.n_waiting} of {barrier.parties} there"
    return Wait("barrier", words, barrier, woken_by=("wait", "abort", "reset"))


@rule("Queue.get")
def _getter(call: Call) -> Wait | None:
    if isinstance(call.owner, asyncio.Queue):
        words = f"{_class(call.owner)} empty"
        return Wait("queue", words, call.owner, "getter", woken_by=("put", "put_nowait", "shutdown"))
    return None


@rule("Queue.put")
def _putter(call: Call) -> Wait:
    queue = call.owner
    words = f"{_class(queue)} full ({counted(queue.maxsize, 'item')})"
    return Wait("queue", words, queue, "putter", woken_by=("get", "get_nowait", "shutdown"))


@rule("Queue.join")
def _joiner(call: Call) -> Wait:
    queue = call.owner
    left = counted(queue._unfinished_tasks, "item")
    words = f"{_class(queue)} to be worked off, {left} left"
    return Wait("queue", words, queue, woken_by=("task_done", "shutdown"))


@rule("sleep")
def _sleep(call: Call) -> Wait:
    timer = call.part(2, "h")
    due = None if timer is None else timer._when if call.parts is not None else timer.when()
    if due is None:
        return Wait("sleep", "sleep")
    return Wait("sleep", f"sleep, {max(due - call.time, 0):.1f} s left")


@rule("wait", "_wait")
def _wait(call: Call) -> Wait:
    futures = list(call.part(0, "fs") or ())
    done = sum(future.done() for future in futures)
    until = call.part(2, "return_when")
    words = f"wait for {len(futures)}, {done} done"
    return Wait(
        "wait", words, awaits=futures, any_of=until in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION)
    )


@rule("wait_for")
def _wait_for(call: Call) -> Wait | None:
    """A future that is awaited with a limit, in place or beside a timer; a coroutine speaks for itself."""
    future = call.row.waiter
    if future is None or call.step is not call.row.steps[-1]:
        return None
    beside = call.part(0, "fut")
    return wait_for_future(beside if hasattr(beside, "get_loop") else future)


@rule("_cancel_and_wait")
def _cancelled(call: Call) -> Wait:
    cancelled = call.part(0, "fut")
    inner = wait_for_future(cancelled)
    return Wait("cancellation", f"end of what was cancelled: {inner.words}", awaits=inner.awaits)


@rule("TaskGroup.__aexit__", "TaskGroup._aexit")
def _group(call: Call) -> Wait:
    tasks = list(call.owner._tasks)
    return Wait("task group", f"TaskGroup, {counted(len(tasks), 'task')} left", awaits=tasks)


@rule(
    "_AsCompletedIterator.__anext__",
    "_AsCompletedIterator._wait_for_one",
    "as_completed.<locals>._wait_for_one",
)
def _as_completed(call: Call) -> Wait:
    return Wait("as_completed", "as_completed, the next one", any_of=True, group=call.owner)


@rule("StreamReader.read", "StreamReader.readexactly", "StreamReader.readuntil", "StreamReader.readline")
@rule("StreamReader.__anext__", "StreamReader._wait_for_data")
def _read(call: Call) -> Wait:
    transport = getattr(call.owner, "_transport", None)
    return Wait("io", f"read from {endpoints.of_transport(transport)}", call.owner)


@rule("StreamWriter.drain", "FlowControlMixin._drain_helper")
def _drain(call: Call) -> Wait:
    transport = getattr(call.owner, "_transport", None)
    return Wait(
        "io", f"write to {endpoints.of_transport(transport)}{endpoints.unsent(transport)}", call.owner
    )


@rule("StreamWriter.wait_closed")
def _closing(call: Call) -> Wait:
    transport = getattr(call.owner, "_transport", None)
    return Wait("io", f"end of the connection to {endpoints.of_transport(transport)}", call.owner)


@rule("open_connection", "open_unix_connection")
def _opening(call: Call) -> Wait:
    to = call.part(1, "args")
    return Wait("io", f"connection to {to}" if isinstance(to, tuple) and any(to) else "a connection")


@rule("Process.wait", "Process.communicate", "BaseSubprocessTransport._wait")
def _process(call: Call) -> Wait:
    process = call.owner
    number = getattr(process, "pid", None) or getattr(process, "_pid", None)
    return Wait("process", f"child process {number}", process)


@rule("Server.serve_forever")
def _serving(call: Call) -> Wait:
    return Wait("server", f"connections to {endpoints.of_server(call.owner)}", call.owner)


@rule("Server.wait_closed")
def _server_closing(call: Call) -> Wait:
    return Wait("server", f"end of {endpoints.of_server(call.owner)}", call.owner)


def _on_socket(verb: str) -> Rule:
    def found(call: Call) -> Wait:
        socket = call.part(1, "sock")
        return Wait("io", f"{verb} {endpoints.of_socket(socket)}", socket)

    return found


for _method, _verb in {
    "sock_recv": "recv on",
    "sock_recv_into": "recv on",
    "sock_recvfrom": "datagram on",
    "sock_recvfrom_into": "datagram on",
    "sock_sendall": "send on",
    "sock_sendto": "send on",
    "sock_connect": "connect of",
    "sock_accept": "accept on",
    "sock_sendfile": "send a file on",
}.items():
    for _owner in ("EventLoop", "BaseEventLoop", "BaseSelectorEventLoop"):
        rule(f"{_owner}.{_method}")(_on_socket(_verb))

for _method, _words in {
    "create_connection": "a connection to be made",
    "create_unix_connection": "a connection to be made",
    "create_server": "a server to be started",
    "create_unix_server": "a server to be started",
    "create_datagram_endpoint": "a datagram endpoint to be made",
    "getaddrinfo": "the address of a host name",
    "getnameinfo": "the name of an address",
    "start_tls": "a TLS handshake",
    "subprocess_exec": "a child process to be started",
    "subprocess_shell": "a child process to be started",
    "shutdown_default_executor": "the threads of the executor to end",
    "shutdown_asyncgens": "asynchronous generators to be closed",
}.items():
    for _owner in ("EventLoop", "BaseEventLoop", "BaseSelectorEventLoop", "_UnixSelectorEventLoop"):
        rule(f"{_owner}.{_method}")(lambda _call, words=_words: Wait("io", words))
