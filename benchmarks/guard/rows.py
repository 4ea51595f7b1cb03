"""The paths that are counted: benchmarks of `benchmarks/micro` by their keys, each with a number of
operations.

A count is the difference of a run of twice the operations and a run of the operations, so both are whole
multiples of what the benchmark does at a time (100 for `gather 100`, 500 for the lines of a chunk). What
waits for another thread or for the clock has no repeatable count and is not here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One path."""

    key: str
    #: Operations of the shorter run.
    count: int


ROWS = [
    Row("callbacks/call_soon, batch", 1_000),
    Row("callbacks/call_soon with arguments, batch", 1_000),
    Row("callbacks/call_soon, chain", 1_000),
    Row("callbacks/call_soon + cancel", 1_000),
    Row("timers/call_later + cancel", 1_000),
    Row("timers/call_later + cancel among 1,000", 1_000),
    Row("timers/call_at, fire", 1_000),
    Row("tasks/sleep(0), 1 task", 1_000),
    Row("tasks/sleep(0), 100 tasks", 1_000),
    Row("tasks/create_task + await", 1_000),
    Row("tasks/create_task, batch", 1_000),
    Row("tasks/eager task + await", 1_000),
    Row("tasks/cancel while waiting", 500),
    Row("futures/done future + await", 1_000),
    Row("futures/call_soon(set_result) + await", 1_000),
    Row("futures/set by another task + await", 1_000),
    Row("futures/add_done_callback + set_result", 1_000),
    Row("gathering/gather 100", 1_000),
    Row("gathering/TaskGroup of 10", 1_000),
    Row("gathering/wait for 10", 1_000),
    Row("timeouts/timeout() without waiting", 1_000),
    Row("timeouts/wait_for(coroutine)", 1_000),
    Row("timeouts/wait_for(future)", 1_000),
    Row("timeouts/shield(coroutine)", 500),
    Row("locks/Lock, free", 1_000),
    Row("locks/Lock, contended by 10", 1_000),
    Row("locks/Semaphore(2), contended by 10", 1_000),
    Row("locks/Event, set + wait", 1_000),
    Row("locks/Condition, notify + wait", 1_000),
    Row("queues/put_nowait + get_nowait", 1_000),
    Row("queues/ping-pong of 2 tasks", 500),
    Row("streams/readline, buffered", 1_000),
    Row("streams/feed_data + read, waiting", 1_000),
    Row("threads/call_soon_threadsafe, same thread", 1_000),
    Row("descriptors/add_reader + remove_reader", 500),
    Row("descriptors/reader callback", 500),
    Row("descriptors/sock_sendall + sock_recv, ready", 500),
    Row("descriptors/sock_recv, waiting", 500),
    Row("transports/protocols, 64 B there and back", 500),
    Row("transports/protocols with TLS, 64 B there and back", 500),
    Row("transports/streams, 64 B there and back", 500),
]
