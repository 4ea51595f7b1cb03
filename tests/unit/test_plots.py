"""The plots of the documentation are those of the data in benchmarks/data, losses included."""

from pathlib import Path

import pytest

from benchmarks import plots
from benchmarks.results import Run

pytestmark = pytest.mark.yibu_only

RUNS = {path.stem: Run.load(path) for path in sorted(plots.DATA.glob("*.json"))}


def test_figures_are_up_to_date(tmp_path, capsys):
    plots.main([str(tmp_path)])
    drawn = {path.name: path.read_text() for path in Path(tmp_path).iterdir()}
    kept = {path.name: path.read_text() for path in plots.FIGURES.glob("*.svg") if path.name in drawn}
    assert kept == drawn


def test_no_loss_is_left_out():
    for python in "3.13", "3.14":
        shown = {line.name for line in plots.losses(RUNS, python).measurements}
        assert shown
        for run in RUNS.values():
            for line in run.measurements if run.python == python else ():
                best = line.best_rival()
                if best is not None and line.typical(best) < line.typical("yibu"):
                    assert line.name in shown


def test_overview_has_every_line_that_it_names():
    shown = [line.name for line in plots.overview(RUNS).measurements]
    assert sorted(shown) == sorted(name for names in plots.OVERVIEW.values() for name in names)
