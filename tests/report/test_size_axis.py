"""Labels of the axis of training images per class, as drawn."""

import itertools

import pytest

from bench.report.lines import Line, line_chart
from bench.report.style import Style, house_style


@pytest.mark.parametrize(
    "sizes", [[1, 2, 5, 10, 20, 50, 100, 200, 450], [5], [8, 9, 10, 11, 12], [1, 1000, 1200]]
)
def test_labels_of_sizes_do_not_run_into_each_other(sizes):
    with house_style():
        drawing = line_chart([Line("A network", Style(0), sizes, sizes)], "Images per class", "Top-1 (%)")
        (axes,) = drawing.axes
        drawing.canvas.draw()
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        boxes = [label.get_window_extent() for label in labels]
        assert labels[-1].get_text() == str(sizes[-1])
        assert all(left.x1 + 0.2 * left.height < right.x0 for left, right in itertools.pairwise(boxes))
