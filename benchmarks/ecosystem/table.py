"""The table of docs/benchmarks.md: operations per CPU-second, with the spread of the rounds' ratios."""

import importlib.metadata
from statistics import median

from benchmarks.results import Measurement, Run

LIBRARIES = ("aiohttp", "asyncpg", "distributed", "fastapi", "httptools", "httpx", "redis", "starlette")
LIBRARIES += ("tornado", "uvicorn", "websockets")
COLUMNS = ("yibu", "yibu*", "asyncio", "uvloop", "rloop")


def versions() -> dict[str, str]:
    """The versions of the libraries in this environment."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def markdown(run: Run) -> str:
    """All lines as a table."""
    names = [name for name in COLUMNS if any(name in line.samples for line in run.measurements)]
    head = ["operations per CPU-second", *names, "x asyncio", "best other"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    rows += [row(line, names) for line in run.measurements]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(line: Measurement, names: list[str]) -> list[str]:
    """One line: figures of all, and yibu's advantage over asyncio and over the best other loop."""
    cells = [f"{line.topic}: {line.name}"]
    for name in names:
        samples = line.samples.get(name)
        cells.append(f"{1e6 / median(samples):,.0f}" if samples else "fails")
    best = line.best_rival()
    for label, rival in ("", "asyncio"), (f"{best} ", best):
        ratio = line.ratio(rival)
        cells.append(f"{label}{ratio.middle:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else "")
    return cells
