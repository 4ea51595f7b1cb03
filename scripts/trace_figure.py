"""Draws a small trace as `docs/figures/trace.svg`: `python -m scripts.trace_figure`, with yibu installed.

The program is below; what is drawn is what `yibu.trace()` has written of one run of it, to scale.
"""

import asyncio
import json
import tempfile
from html import escape
from pathlib import Path
from typing import Any

from scripts.requirements import ROOT

Event = dict[str, Any]

WIDTH, LEFT, RIGHT = 780, 122, 14
ROW, BAR = 52, 24

STYLES = """\
<style>
.trace { --own-ink: #212529; --own-faint: #5c636a; fill: var(--ink, var(--own-ink)); font-size: 12px }
@media (prefers-color-scheme: dark) { .trace { --own-ink: #e9ecef; --own-faint: #adb5bd } }
.trace .small { font-size: 10px; fill: var(--faint, var(--own-faint)) }
.trace .inside { font-size: 10px; fill: #fff }
.trace .end { text-anchor: end }
.trace .task { fill: #e8590c }
.trace .callback { fill: #868e96 }
.trace .job { fill: #1c7ed6 }
.trace .wait { fill: none; stroke: var(--faint, var(--own-faint)); stroke-dasharray: 3 2 }
.trace .life { fill: #e8590c; fill-opacity: 0.15 }
.trace .arrow { fill: none; stroke: var(--ink, var(--own-ink)); stroke-opacity: 0.55 }
.trace .tip { fill: var(--ink, var(--own-ink)); fill-opacity: 0.7 }
</style>"""


def price(order: int) -> int:
    """A job for a thread."""
    return sum(range(3000 * order))


async def consumer(queue: "asyncio.Queue[int]") -> None:
    """Take orders and have them priced."""
    while True:
        order = await queue.get()
        await asyncio.to_thread(price, order)
        queue.task_done()


async def main() -> None:
    """Give two orders, and wait until both are done."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    task = asyncio.create_task(consumer(queue), name="consumer")
    await asyncio.sleep(0)
    queue.put_nowait(1)
    queue.put_nowait(2)
    await queue.join()
    task.cancel()


def record() -> list[Event]:
    """Run the program twice, for the thread and the code to be there, and record the second run."""
    import yibu

    async def both(path: str) -> None:
        await asyncio.create_task(main(), name="main")
        with yibu.trace(path):
            await asyncio.create_task(main(), name="main")

    yibu.install()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/out.json"
        asyncio.run(both(path))
        with open(path) as file:
            events: list[Event] = json.load(file)
    return events


class Figure:
    """The rows of threads and tasks, and a scale for times."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.slices = [event for event in events if event["ph"] == "X" and event["name"] != "idle"]
        self.begin = min(event["ts"] for event in self.slices)
        self.end = max(event["ts"] + event["dur"] for event in self.slices)
        named = [event for event in events if event["name"] == "thread_name"]
        self.threads = {event["tid"]: event["args"]["name"] for event in named}
        lives = [event for event in events if event["ph"] == "b" and "args" in event]
        self.tasks = {event["id"]: event["name"] for event in lives if event["name"] in ("main", "consumer")}
        self.height = 40 + ROW * (len(self.threads) + len(self.tasks))
        self.rows = {key: 34 + ROW * row for row, key in enumerate([*self.threads, *self.task_keys()])}

    def task_keys(self) -> list[str]:
        """The keys of the rows of tasks: a task may have the number of a thread."""
        return [f"task {number}" for number in self.tasks]

    def x(self, time: float) -> float:
        """Where a time is."""
        within = min(max(time, self.begin), self.end) - self.begin
        return LEFT + (WIDTH - LEFT - RIGHT) * within / (self.end - self.begin)

    def draw(self) -> str:
        """The whole picture."""
        box = f'class="trace" viewBox="0 0 {WIDTH} {self.height}"'
        body = [f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="system-ui, sans-serif">', STYLES]
        span = f"{self.end - self.begin:.0f} microseconds, to scale"
        body.append(f'<text class="small end" x="{WIDTH - RIGHT}" y="14">{span}</text>')
        for thread, name in self.threads.items():
            kind = "loop" if name == "MainThread" else "executor"
            body += self.label(self.rows[thread], name, kind)
        for key, name in zip(self.task_keys(), self.tasks.values(), strict=True):
            body += self.label(self.rows[key], name, "task")
        for event in self.slices:
            body += self.bar(event)
        for number in self.tasks:
            body += self.track(number)
        for start in (event for event in self.events if event["ph"] == "s"):
            ends = (event for event in self.events if event["ph"] == "f" and event["id"] == start["id"])
            body += self.arrow(start, next(ends))
        return "\n".join([*body, "</svg>"]) + "\n"

    def label(self, top: float, name: str, kind: str) -> list[str]:
        """The name of a row."""
        return [
            f'<text x="10" y="{top + 11}">{escape(name)}</text>',
            f'<text class="small" x="10" y="{top + 24}">{kind}</text>',
        ]

    def bar(self, event: Event) -> list[str]:
        """A step or a job, with its name where there is room."""
        left, right, top = self.x(event["ts"]), self.x(event["ts"] + event["dur"]), self.rows[event["tid"]]
        title = f"<title>{escape(event['name'])}: {event['dur']} microseconds</title>"
        size = f'width="{max(right - left - 0.6, 0.8):.1f}" height="{BAR}"'
        lines = [f'<rect class="{event["cat"]}" x="{left:.1f}" y="{top}" {size}>{title}</rect>']
        if right - left > 6 * len(event["name"]):
            lines.append(
                f'<text class="inside" x="{left + 3:.1f}" y="{top + 15}">{escape(event["name"])}</text>'
            )
        return lines

    def track(self, number: int) -> list[str]:
        """The life of a task, and in it what it has waited for."""
        own = [event for event in self.events if event.get("id") == number and event["ph"] in "be"]
        top = self.rows[f"task {number}"]
        life = [self.x(event["ts"]) for event in own if "args" in event]
        lines = [
            f'<rect class="life" x="{life[0]:.1f}" y="{top}" width="{life[1] - life[0]:.1f}" height="{BAR}"/>'
        ]
        waits = [event for event in own if "args" not in event]
        for begun, ended in zip(waits[::2], waits[1::2], strict=True):
            left, right = self.x(begun["ts"]), self.x(ended["ts"])
            size = f'width="{right - left:.1f}" height="{BAR - 6}"'
            lines.append(f'<rect class="wait" x="{left:.1f}" y="{top + 3}" {size}/>')
            if right - left > 5.5 * len(begun["name"]):
                name = escape(begun["name"])
                lines.append(f'<text class="small" x="{left + 3:.1f}" y="{top + 15}">{name}</text>')
        return lines

    def arrow(self, start: Event, end: Event) -> list[str]:
        """From a cause to what it has caused."""
        x, y, to_x, to_y = (
            self.x(start["ts"]),
            self.rows[start["tid"]],
            self.x(end["ts"]),
            self.rows[end["tid"]],
        )
        if y == to_y:
            path = f"M{x:.1f} {y} C{x:.1f} {y - 14} {to_x:.1f} {y - 14} {to_x:.1f} {y - 3}"
            tip = to_y
        else:
            from_y, tip = (y + BAR, to_y) if y < to_y else (y, to_y + BAR)
            middle = (from_y + tip) / 2
            path = f"M{x:.1f} {from_y} C{x:.1f} {middle} {to_x:.1f} {middle} {to_x:.1f} {tip}"
        back = -4 if tip == to_y else 4
        head = f"M{to_x:.1f} {tip} l-2.5 {back} l5 0 Z"
        return [f'<path class="arrow" d="{path}"/>', f'<path class="tip" d="{head}"/>']


def draw() -> Path:
    """Record, draw and write the figure."""
    path = ROOT / "docs" / "figures" / "trace.svg"
    path.write_text(Figure(record()).draw())
    return path


if __name__ == "__main__":
    print(draw())
