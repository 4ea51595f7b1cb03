"""A `TaskTree` as a table: a line for each task, and what is wrong below. Called by `str()`."""

from collections.abc import Iterable

from yibu.inspection.descriptions import LoopDescription, TaskDescription, TaskTree
from yibu.inspection.wording import counted, padded, printable, unquoted, width_of

HEADINGS = ("TASK", "STATE", "AGE", "CPU TIME", "WAITS FOR", "AT")
MOST = {"TASK": 40, "WAITS FOR": 70}
"""How wide the columns are at most whose texts may be long."""


def table(tree: TaskTree) -> str:
    """The whole text."""
    lines = [heading(tree)]
    lines += [f"  {line}" for loop in tree.loops for line in (*loop_lines(loop), *beside(tree, loop))]
    lines.append("")
    rows = [dict(zip(HEADINGS, HEADINGS, strict=True)), *map(_cells, tree.tasks)]
    widths = {heading: max(width_of(row[heading]) for row in rows) for heading in HEADINGS}
    if all(task.cpu_time is None for task in tree.tasks):
        del widths["CPU TIME"]
    for row in rows:
        cells = [
            padded(row[heading], min(width, MOST.get(heading, width))) for heading, width in widths.items()
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(map(printable, [*lines, *problem_lines(tree)]))


def heading(tree: TaskTree) -> str:
    """The process in a line."""
    states = [f"{number} {state}" for state, number in sorted(_states(tree).items())]
    count = counted(len(tree.tasks), "task")
    return f"Process {tree.pid}: {count}" + (f" ({', '.join(states)})" if states else "")


def loop_lines(loop: LoopDescription) -> Iterable[str]:
    """A loop, and what its thread runs."""
    where = f"in thread {unquoted(loop.thread_name) or loop.thread}" if loop.thread else "not running"
    yield f"{loop.kind}, {where}, {counted(loop.tasks, 'task')}"
    if loop.stack:
        yield f"  now at {loop.stack[-1].short}"
    metrics = loop.metrics
    if metrics is not None and metrics.utilisation is not None:
        line = f"  {metrics.utilisation:.0%} busy since it runs, {metrics.ready} ready"
        line += f", {counted(metrics.timers, 'timer')}"
        yield line if metrics.lag is None else f"{line}, {1000 * metrics.lag.p99:.1f} ms late (p99)"


def beside(tree: TaskTree, loop: LoopDescription) -> Iterable[str]:
    """The connections and the executor of a loop."""
    connections = [one for one in tree.connections if one.loop == loop.id]
    if connections:
        facts = [counted(len(connections), "connection")]
        if paused := sum(not one.reading for one in connections):
            facts.append(f"{paused} not read from")
        if unsent := sum(one.unsent for one in connections):
            facts.append(f"{unsent:,} bytes unsent")
        yield f"  {', '.join(facts)}"
    for executor in tree.executors:
        if executor.loop == loop.id and executor.threads is not None:
            waiting = f", {counted(executor.queued, 'job')} waiting" if executor.queued else ""
            runs = ", ".join(f"{job.function} ({job.running})" for job in executor.jobs[:5] if job.running)
            running = f", running {runs}" if runs else ""
            yield f"  executor of {counted(executor.threads, 'thread')}{waiting}{running}"


def problem_lines(tree: TaskTree) -> Iterable[str]:
    """What is wrong."""
    if tree.problems:
        yield ""
    for problem in tree.problems:
        guess = "" if problem.certain else " (probably)"
        yield f"{problem.kind.upper()}{guess}: {problem.words}"


def _states(tree: TaskTree) -> dict[str, int]:
    """How many tasks are in which state."""
    counts: dict[str, int] = {}
    for task in tree.tasks:
        counts[task.state] = counts.get(task.state, 0) + 1
    return counts


def _cells(task: TaskDescription) -> dict[str, str]:
    cells = (
        unquoted(task.name),
        task.state,
        "" if task.age is None else age(task.age),
        "" if task.cpu_time is None else age(task.cpu_time),
        printable(task.waits_for),
        "" if task.place is None else task.place.short,
    )
    return dict(zip(HEADINGS, cells, strict=True))


def age(seconds: float) -> str:
    """A time in two or three characters and a unit."""
    for limit, divisor, unit in ((1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            value = seconds / divisor
            return f"{value:.1f} {unit}" if value < 10 and unit == "s" else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
