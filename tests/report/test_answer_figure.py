"""The figure and the table of the answer: what they show is what was measured."""

import matplotlib.colors
import pytest
from report.make_profiles import add_profiles, headlines, images_per_s
from report.make_regimes import plant
from report.make_store import make_store, true_top1

from bench.report.blocks import Figure, Table, walk
from bench.report.evidence import gather
from bench.report.sections.answer import answer
from bench.report.sections.measured_cost import untrained
from bench.report.style import house_style
from bench.store.run_store import RunStore


def blocks(make, root):
    with house_style():
        return list(walk(make(gather(RunStore(root), "tiny")).blocks))


def test_a_line_a_network_and_regime_and_both_in_one_panel(tmp_path, monkeypatch):
    means = {
        ("probe", "deit"): {1: [0.3, 0.4, 0.5], 5: [0.5, 0.6, 0.7]},
        ("probe", "resnet"): {1: [0.5, 0.5, 0.5], 5: [0.7, 0.8, 0.9]},
        ("tuned", "deit"): {5: [0.9, 0.8, 0.85]},
    }
    figures = [b for b in blocks(answer, plant(tmp_path, means, monkeypatch)) if isinstance(b, Figure)]
    (figure,) = figures
    (axes,) = figure.drawing.axes
    drawn = {
        (matplotlib.colors.to_hex(line.get_color()), line.get_linestyle()): line
        for line in axes.lines
        if line.get_linestyle() != "None" and len(line.get_xdata()) == 2 and line.get_xdata()[0] == 1
    }
    values = sorted(tuple(line.get_ydata().round(1)) for line in drawn.values())
    assert (40.0, 60.0) in values and (50.0, 80.0) in values
    rows = figure.data.set_index(["comparison", "contestant", "images_per_class"])
    assert len(rows) == 5
    assert rows.loc[("tuned", "deit", 5), "top1"] == pytest.approx(0.85)
    assert rows.loc[("probe", "deit", 1), "low"] < 0.4 < rows.loc[("probe", "deit", 1), "high"]
    assert rows["chance_top1"].eq(0.1).all()
    assert "DeiT-Ti/4, fine-tuned: 85.0 % at 5." in figure.alt


def test_a_network_that_was_not_trained_is_hollow(tmp_path):
    make_store(tmp_path, shots=(5, 20), untrained=(("resnet", 5),))
    (figure,) = [b for b in blocks(answer, tmp_path) if isinstance(b, Figure)]
    assert "Hollow: not trained." in figure.caption and "not trained" in figure.alt
    hollow = [
        point
        for line in figure.drawing.axes[0].lines
        if line.get_linestyle() == "None" and line.get_markerfacecolor() == "#ffffff"
        for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    mean = sum(true_top1("resnet", 5, r) for r in range(3)) / 3
    assert hollow == [(5, pytest.approx(100 * mean))]


def test_the_table_has_what_inference_costs_as_trained(tmp_path, monkeypatch):
    networks = {
        "deit": ("deit_tiny_patch16_224", "DeiT-Ti", "DeiT", "transformer", "scratch", 0.6, 0.5),
        "resnet": ("resnet18", "ResNet-18", "ResNet", "cnn", "scratch", 0.8, 0.7),
    }
    monkeypatch.setattr("report.make_store.NETWORKS", networks)
    comparison = {"contrasts": [["deit", "resnet"]], "exploratory": [], "input_size": 224}
    listing = {"headlines": headlines(batch_sizes=(1, 32))}
    make_store(tmp_path, shots=(5,), comparison=comparison, listing=listing)
    add_profiles(tmp_path, ["deit_tiny_patch16_224", "resnet18"])
    (table,) = [b for b in blocks(answer, tmp_path) if isinstance(b, Table)]
    titles = [column.title for column in table.columns]
    rows = {row[titles.index("Model")].text: row for row in table.rows}
    for model, gmacs in (("DeiT-Ti", 1.254), ("ResNet-18", 1.814)):
        rate = float(rows[model][titles.index("Images/s")].text)
        assert rate == pytest.approx(images_per_s(gmacs, 32), abs=0.05)
    assert "batch 32" in table.caption


def test_of_a_suite_that_trains_nothing_the_table_alone(tmp_path):
    make_store(tmp_path, listing={"comparisons": [], "trials": [], "contestants": {}})
    (table,) = [b for b in blocks(untrained, tmp_path) if isinstance(b, Table)]
    assert [[field.text for field in row] for row in table.rows] == [
        ["ResNet-50", "", "25.6", "4.09"],
        ["ViT-B/16", "", "86.6", "17.56"],
    ]
