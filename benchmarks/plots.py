"""Draws the plots of the documentation from the runs in `benchmarks/data/`: `make bench-plots`.

Each run becomes a chart of its own. Others are put together from all runs: the overview of the README, a few
lines by name, and every line in which another loop is cheaper than yibu, whatever they are.

`python -m benchmarks.plots [FOLDER]` writes into docs/figures, or into another folder, which is how a test
sees whether the figures are those of the data.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.contenders import FLOOR, YIBU, YIBU_UNDER_ASYNCIO
from benchmarks.results import Measurement, Run

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / "data"
FIGURES = ROOT / "docs" / "figures"

#: The README's lines: a run, and the names of its benchmarks.
OVERVIEW = {
    "primitives-3.14": ("call_soon, chain", "create_task + await"),
    "waiting-3.14": (
        "gather 10",
        "timeout() without waiting",
        "Lock, contended by 10",
        "ping-pong of 2 tasks",
    ),
    "network-3.14": ("streams 100 x 64 B", "protocol 8 x 16 KiB"),
}
OVERVIEW_CONTENDERS = ("yibu", "asyncio", "uvloop", "rloop", "zuvloop")


def main(arguments: list[str]) -> int:
    """Draw everything."""
    folder = Path(arguments[0]) if arguments else FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    runs = {path.stem: Run.load(path) for path in sorted(DATA.glob("*.json"))}
    for name, chart in charts(runs):
        (folder / f"{name}.svg").write_text(chart)
        print(folder / f"{name}.svg")
    return 0


def charts(runs: dict[str, Run]) -> Iterator[tuple[str, str]]:
    """The name and the picture of each chart."""
    for name, run in runs.items():
        yield name, draw(run)
    yield "overview", draw(overview(runs))
    yield "losses-3.13", draw(losses(runs, "3.13"))
    yield "losses-3.14", draw(losses(runs, "3.14"))


def overview(runs: dict[str, Run]) -> Run:
    """The lines of OVERVIEW, with the loops that most people know."""
    lines = [
        replace(line, samples=only(line, OVERVIEW_CONTENDERS))
        for run_name, names in OVERVIEW.items()
        for line in runs[run_name].measurements
        if line.name in names
    ]
    return together(list(runs.values()), "3.14", lines)


def losses(runs: dict[str, Run], python: str) -> Run:
    """Every line in which the cheapest other loop is cheaper than yibu: that loop, yibu and the floor."""
    lines = []
    for run in runs.values():
        if run.python != python:
            continue
        for line in run.measurements:
            best = line.best_rival()
            if best and line.typical(best) < line.typical(YIBU.name):
                lines.append(replace(line, samples=only(line, (YIBU.name, FLOOR, best))))
    return together(list(runs.values()), python, lines)


def only(line: Measurement, contenders: Sequence[str]) -> dict[str, list[float]]:
    """The samples of these contenders."""
    return {name: line.samples[name] for name in contenders if name in line.samples}


def together(runs: list[Run], python: str, lines: list[Measurement]) -> Run:
    """A run made of lines of several runs on one machine with one Python; equal units stand together."""
    of_python = [run for run in runs if run.python == python]
    # The colours go by the order of the names, which is that of the run with most contenders.
    fullest = max(of_python, key=lambda run: len(run.versions))
    units = list(dict.fromkeys(line.unit for line in lines))
    lines = sorted(lines, key=lambda line: units.index(line.unit))
    versions = {name: v for name, v in fullest.versions.items() if name != YIBU_UNDER_ASYNCIO.name}
    return replace(fullest, versions=versions, measurements=lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
