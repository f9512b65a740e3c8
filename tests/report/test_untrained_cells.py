"""A network that was not trained supports no statement of one model against another, anywhere in a report."""

import numpy as np
import pytest
from report.make_store import make_store

from bench.analysis.crossovers import crossover_of
from bench.analysis.trained import AT_CHANCE
from bench.exchange.cite import citation
from bench.report.blocks import Gallery, walk
from bench.report.chooser import chooser
from bench.report.data_sets import data_sets
from bench.report.evidence import gather
from bench.report.recommendation import answer
from bench.report.sections.crossovers import crossover_table
from bench.report.style import house_style
from bench.store.run_store import RunStore


def made(root, *untrained, **changes):
    return gather(RunStore(make_store(root, untrained=untrained, **changes)), "tiny")


def figures(make, evidence):
    with house_style():
        galleries = [b for b in walk(make(evidence).blocks) if isinstance(b, Gallery)]
    return [figure for gallery in galleries for figure in gallery.figures]


def test_crossovers_leave_such_sizes_out(tmp_path):
    table = crossover_table(made(tmp_path, ("resnet", 5)))
    assert table.rows[0][2].text.endswith("where both were trained (not at 5)")


def test_a_model_trained_at_one_size_has_no_crossover(tmp_path):
    table = crossover_table(made(tmp_path, *(("resnet", n) for n in (5, 20, None))))
    assert table.rows[0][2].text == "not both were trained at two sizes"


@pytest.mark.parametrize("lost", [(), (("resnet", 1),)])
def test_a_crossover_needs_both_trained_on_both_sides(tmp_path, lost, monkeypatch):
    from bench.analysis.predictions import Predictions

    def scores(self, record):  # DeiT is right on all images at 1 per class and on none at 20
        at = record.identity.shots
        deit = record.recipe == "deit-scratch"
        return np.full(120, float(deit == (at == 1)))

    monkeypatch.setattr(Predictions, "scores", scores)
    evidence = made(tmp_path, *lost, shots=(1, 20))
    found = crossover_of([f for f in evidence.findings if f.pair.a == "deit"])
    assert found is None if lost else found.status == "crossover"


def test_answer_chooser_and_citation_leave_it_out(tmp_path):
    """The ResNet is the most accurate; where it was not trained, it is no choice."""
    store = RunStore(make_store(tmp_path, untrained=(("resnet", None), ("resnet", 1))))
    evidence = gather(store, "tiny")
    (cited,) = citation(store, "tiny").sentences
    why = f"nothing follows about the architectures, as not both were trained (ResNet-18: {AT_CHANCE})"
    assert why in cited
    assert "take ResNet-18 with all" not in answer(evidence)
    (own,) = chooser(evidence, data_sets(evidence)).data["data"]
    for size, trained in zip(own["sizes"], (False, True, True, False), strict=True):
        (row,) = [row for row in size["rows"] if row["name"] == "ResNet-18"]
        assert (
            (row["values"][0] is not None) == trained == (f"not trained: {AT_CHANCE}" not in row["accuracy"])
        )
        assert size["advice"].startswith("Take ResNet-18 with ") == trained
        assert (
            f"Left out where different networks are compared: ResNet-18, {AT_CHANCE}." in size["advice"]
        ) != trained


def test_models_that_were_not_paired_are_cited_with_the_reason(tmp_path):
    missing = tuple(("deit", 20, r) for r in (0,)) + tuple(("resnet", 20, r) for r in (1, 2))
    store = RunStore(make_store(tmp_path, shots=(20,), missing=missing, untrained=(("deit", 20),)))
    (cited,) = citation(store, "tiny").sentences
    assert "not paired" in cited and f"DeiT-Ti/4 was not trained: {AT_CHANCE}" in cited
