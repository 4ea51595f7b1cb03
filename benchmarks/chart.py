"""The bar chart of a run, as SVG without any library, readable on a light ground and on a dark one.

Every benchmark is a group of bars, one per contender, scaled to the dearest of the group: the shorter, the
cheaper. The figures stand beside the bars. Called by `run.py` for `--plot`.
"""

from collections.abc import Iterator
from html import escape
from itertools import groupby

from benchmarks.contenders import FLOOR, NO_RIVALS
from benchmarks.report import number
from benchmarks.results import Measurement, Run

WIDTH, MARGIN = 790, 16
LABELS_END = 372  # where the names of the benchmarks end and the bars begin
BARS_WIDTH = 350
BAR, GAP = 12, 14  # a bar and its distance to the next; between two groups
HEADING = 44

OWN = dict(zip(NO_RIVALS, ["#e8590c", "#f08c4a", "#f4c095", "#868e96"], strict=True))
# Each loop has its colour in all charts; one that is not named here is grey.
RIVALS = {
    "asyncio": "#868e96",
    "uvloop": "#228be6",
    "rloop": "#37b24d",
    "rsloop": "#be4bdb",
    "zuvloop": "#f59f00",
    "uvloop+aiofastnet": "#15aabf",
    "talyn": "#a9714b",
}


def draw(run: Run) -> str:
    """The whole chart."""
    shown = [line for line in run.measurements if drawable(line)]
    colours = palette(run)
    body: list[str] = []
    top = float(MARGIN)
    for unit, lines in groupby(shown, key=lambda line: line.unit):
        body.append(text(MARGIN, top + 16, f"{unit}, shorter is cheaper", "heading"))
        top += HEADING
        for line in lines:
            body += group(line, run.columns([line]), colours, top)
            top += BAR * len(line.samples) + GAP
        top += GAP
    body.append(text(MARGIN, top + 8, f"CPython {run.python}, {run.machine}", "note"))
    height = top + MARGIN
    return "\n".join([*opening(height), *body, "</svg>"]) + "\n"


def drawable(line: Measurement) -> bool:
    """Whether the length of a bar can say anything: growth may be nothing at all."""
    return bool(line.samples) and all(line.typical(name) > 0 for name in line.samples)


def palette(run: Run) -> dict[str, str]:
    """A colour for every contender; the same loop with another malloc has the same."""
    others = {name: "#adb5bd" for name in run.versions if name not in OWN}
    return OWN | others | RIVALS


def group(line: Measurement, columns: list[str], colours: dict[str, str], top: float) -> Iterator[str]:
    """The bars of one benchmark."""
    names = [name for name in columns if name in line.samples]
    dearest = max(map(line.typical, names))
    middle = top + BAR * len(names) / 2
    yield text(LABELS_END - 70, middle + 4, f"{line.topic}: {line.name}", "name")
    for index, name in enumerate(names):
        length = max(BARS_WIDTH * line.typical(name) / dearest, 1)
        base = top + BAR * index
        paint = 'class="floor"' if name == FLOOR else f'fill="{colours[name.removesuffix("/m")]}"'
        faded = ' fill-opacity="0.55"' if name.endswith("/m") else ""
        yield text(LABELS_END - 6, base + 9.2, name, "contender")
        size = f'width="{length:.1f}" height="{BAR - 2}"'
        yield f'<rect x="{LABELS_END}" y="{base:.1f}" {size} {paint}{faded}/>'
        yield text(LABELS_END + length + 5, base + 9.2, number(line.typical(name)), "figure")


# A page that holds the chart itself, and not as an image, says by `--ink` and `--faint` what it writes with;
# elsewhere the reader's preference decides. The ground is the page's.
STYLES = """\
<style>
.chart { --own-ink: #212529; --own-faint: #5c636a; fill: var(--ink, var(--own-ink)) }
@media (prefers-color-scheme: dark) { .chart { --own-ink: #e9ecef; --own-faint: #adb5bd } }
.chart .heading { font-size: 16px; font-weight: 600 }
.chart .note { font-size: 11px; fill: var(--faint, var(--own-faint)) }
.chart .name { font-size: 12.5px; text-anchor: end }
.chart .contender, .chart .figure { font-size: 10px; fill: var(--faint, var(--own-faint)) }
.chart .contender { text-anchor: end }
.chart .floor { fill: var(--faint, var(--own-faint)) }
</style>"""


def opening(height: float) -> list[str]:
    """The element around everything, and the styles."""
    box = f'class="chart" viewBox="0 0 {WIDTH} {height:.0f}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="system-ui, sans-serif">',
        STYLES,
    ]


def text(x: float, y: float, content: str, style: str) -> str:
    """One line of text; the style says on which side of `x` it stands."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'
