"""The bars of a run fit on one line each, with the count and the time left whole."""

import io

import pytest
from rich.console import Console

from bench.cli.progress import SuiteBars, TrialBar


@pytest.mark.parametrize("width", [80, 100, 120])
def test_bars_fit_their_terminal(width):
    bars = SuiteBars("photos", lambda: False)
    bars.bars.update(bars.suite, completed=3, total=20, numbers="own: a long title, 1 per class, " * 4)
    task = bars.bars.add_task("", total=1, numbers="")
    TrialBar(bars.bars, task, lambda: False).progress("features of train", 4352, 50000, images_per_s=63.0)
    drawn = io.StringIO()
    Console(file=drawn, width=width, color_system=None).print(bars.bars.get_renderable())
    suite, trial = drawn.getvalue().splitlines()
    assert "3/20" in suite and "-:--:--" in suite and "4352/50000" in trial and "63 images/s" in trial
    assert max(map(len, (suite, trial))) <= width


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_has_bars_where_it_has_widgets_and_else_lines_alone(monkeypatch, capfd, widgets):
    from bench.cli import progress

    monkeypatch.setenv("FORCE_COLOR", "1")  # as Jupyter's kernel does
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(progress, "find_spec", lambda name: widgets or None)
    bars = progress.SuiteBars("suite", lambda: False)
    assert progress.in_notebook() and bars.console.is_jupyter is widgets
    if not widgets:
        bars.began(1, 3)
        bars.note("a line")
        bars.bars.stop()
        shown = capfd.readouterr().err
        assert "a line" in shown and "1/3" in shown and "\x1b" not in shown
