"""Labels of the axis of training images per class, as drawn."""

import itertools
from types import SimpleNamespace

import pytest

from bench.report.figures import canvas
from bench.report.sections.sizes import size_axis
from bench.report.style import house_style


@pytest.mark.parametrize(
    "sizes", [[1, 2, 5, 10, 20, 50, 100, 200, 450], [5], [8, 9, 10, 11, 12], [1, 1000, 1200]]
)
def test_labels_of_sizes_do_not_run_into_each_other(sizes):
    cells = [SimpleNamespace(images_per_class=size, shots=size) for size in sizes]
    with house_style():
        drawing, (axes,) = canvas(50)
        drawing.subplots_adjust(left=0.13, right=0.69)  # as beside the labels at the ends of lines
        size_axis(axes, cells)
        drawing.canvas.draw()
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        boxes = [label.get_window_extent() for label in labels]
        assert labels[-1].get_text() == str(sizes[-1])
        assert all(left.x1 + 0.2 * left.height < right.x0 for left, right in itertools.pairwise(boxes))
