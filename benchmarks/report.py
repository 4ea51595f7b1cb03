"""The tables that a run prints."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from statistics import geometric_mean

from benchmarks.contenders import ASYNCIO, BEFORE, FLOOR, YIBU, YIBU_UNDER_ASYNCIO
from benchmarks.results import Measurement, Ratio, Run

_LEGEND = {
    YIBU.name: "yibu's loop, and `import yibu as asyncio`",
    YIBU_UNDER_ASYNCIO.name: "yibu's loop under an unmodified program: the names are asyncio's own",
    BEFORE.name: "the build of yibu that --against named",
    FLOOR: "an echo server on bare epoll without Python: what no loop can pass",
}


#: Ratios that are shown only where there is such a column.
_EXTRA_RATIOS = {"x before": BEFORE.name, "x floor": FLOOR}


def introduce(run: Run) -> str:
    """Say where and with whom the run happens."""
    lines = [f"CPython {run.python} on {run.machine}, {run.rounds} interleaved rounds"]
    lines += [f"  {name:8} {version}" for name, version in run.versions.items()]
    lines += [f"  {name:8} skipped: {reason}" for name, reason in run.missing.items()]
    return "\n".join(lines)


def table(run: Run, details: bool = False) -> str:
    """All lines of the run, a table for every unit, and what failed."""
    parts = []
    for unit, group in groupby(run.measurements, key=lambda line: line.unit):
        lines = list(group)
        parts.append(_details(unit, lines) if details else _matrix(run, unit, lines))
    parts.append(_legend(run))
    failures = [
        f"{line.topic}/{line.name}: {contender} failed: {reason}"
        for line in run.measurements
        for contender, reason in line.failures.items()
    ]
    return "\n\n".join([*parts, *failures])


def _matrix(run: Run, unit: str, lines: list[Measurement]) -> str:
    columns = run.columns(lines)
    extra = {heading: name for heading, name in _EXTRA_RATIOS.items() if name in columns}
    rows = [[unit, *columns, "best rival", "x best rival", "x asyncio", *extra]]
    for line in lines:
        best = line.best_rival()
        row = [f"{line.topic}/{line.name}", *(_cell(line, name) for name in columns), best or ""]
        row += [_span(line.ratio(best)), _short(line.ratio(ASYNCIO.name))]
        rows.append(row + [_span(line.ratio(name)) for name in extra.values()])
    return _aligned([*rows, *_means(lines, len(rows[0]), extra.values())])


def _means(lines: list[Measurement], width: int, extra: Iterable[str]) -> Iterator[list[str]]:
    """A last row with the geometric means of the ratios, when there is something to average."""
    best = [line.ratio(line.best_rival()) for line in lines]
    others = [[line.ratio(name) for line in lines] for name in (ASYNCIO.name, *extra)]
    middles = [[ratio.middle for ratio in ratios if ratio] for ratios in (best, *others)]
    if len(middles[0]) > 1:
        means = [f"{geometric_mean(each):.2f}" if each else "" for each in middles]
        yield ["geometric mean", *[""] * (width - len(means) - 1), *means]


def _details(unit: str, lines: list[Measurement]) -> str:
    rows = [[unit, "contender", "median", "min", "max", "x asyncio"]]
    for line in lines:
        for name in sorted(line.samples, key=line.typical):
            spread = (number(edge(line.samples[name])) for edge in (min, max))
            ratio = _short(line.ratio(ASYNCIO.name, name))
            rows.append([f"{line.topic}/{line.name}", name, _cell(line, name), *spread, ratio])
    return _aligned(rows)


def _legend(run: Run) -> str:
    columns = run.columns(run.measurements)
    lines = [f"{name}: {meaning}" for name, meaning in _LEGEND.items() if name in columns]
    if any(name.endswith("/m") for name in columns):
        lines.append("/m: the same loop with glibc's mmap threshold and top padding raised")
    lines.append(
        "x: a rival's cost over yibu's, middle of the rounds (lowest..highest); above 1 yibu is cheaper"
    )
    return "\n".join(lines)


def _cell(line: Measurement, contender: str) -> str:
    if contender in line.failures:
        return "failed"
    return number(line.typical(contender)) if contender in line.samples else ""


def number(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _short(ratio: Ratio | None) -> str:
    return f"{ratio.middle:.2f}" if ratio else ""


def _span(ratio: Ratio | None) -> str:
    return f"{ratio.middle:.2f} ({ratio.low:.2f}..{ratio.high:.2f})" if ratio else ""


def _aligned(rows: list[list[str]]) -> str:
    """Lay out rows of cells: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = (
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )
    return "\n".join([head, "  ".join("-" * width for width in widths), *body])
