"""The bar chart of a run, as SVG without any library.

Every benchmark is a group of bars, one per contender, scaled to the dearest of the group: the shorter, the
cheaper. The figures stand beside the bars. Called by `run.py` for `--plot`.
"""

from collections.abc import Iterator
from html import escape
from itertools import groupby

from benchmarks.contenders import NO_RIVALS
from benchmarks.report import number
from benchmarks.results import Measurement, Run

WIDTH, MARGIN = 960, 24
LABELS_END = 410  # where the names of the benchmarks end and the bars begin
BARS_WIDTH = 380
BAR, GAP = 11, 14  # a bar and its distance to the next; between two groups
HEADING = 44

OWN = dict(zip(NO_RIVALS, ["#d9480f", "#f08c4a", "#f4c095", "#343a40"], strict=True))
RIVALS = ["#868e96", "#1971c2", "#2f9e44", "#9c36b5", "#e8a917"]


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
    rivals = [name for name in run.versions if name not in OWN]
    return OWN | dict(zip(rivals, RIVALS, strict=False))


def group(line: Measurement, columns: list[str], colours: dict[str, str], top: float) -> Iterator[str]:
    """The bars of one benchmark."""
    names = [name for name in columns if name in line.samples]
    dearest = max(map(line.typical, names))
    middle = top + BAR * len(names) / 2
    yield text(LABELS_END - 70, middle + 4, f"{line.topic}: {line.name}", "name")
    for index, name in enumerate(names):
        length = max(BARS_WIDTH * line.typical(name) / dearest, 1)
        base = top + BAR * index
        colour = colours[name.removesuffix("/m")]
        faded = ' fill-opacity="0.55"' if name.endswith("/m") else ""
        yield text(LABELS_END - 6, base + 8.5, name, "contender")
        size = f'width="{length:.1f}" height="{BAR - 2}"'
        yield f'<rect x="{LABELS_END}" y="{base:.1f}" {size} fill="{colour}"{faded}/>'
        yield text(LABELS_END + length + 5, base + 8.5, number(line.typical(name)), "figure")


STYLES = """\
<style>
.heading { font-size: 16px; font-weight: 600 }
.note { font-size: 11px; fill: #868e96 }
.name { font-size: 12px; text-anchor: end }
.contender, .figure { font-size: 9px; fill: #495057 }
.contender { text-anchor: end }
</style>"""


def opening(height: float) -> list[str]:
    """The element around everything, the styles and a white ground."""
    box = f'viewBox="0 0 {WIDTH} {height:.0f}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="system-ui, sans-serif" fill="#212529">',
        STYLES,
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
    ]


def text(x: float, y: float, content: str, style: str) -> str:
    """One line of text; the style says on which side of `x` it stands."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'
