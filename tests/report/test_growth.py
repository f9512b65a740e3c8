"""The tables of the data-efficiency section, from a synthetic store and by hand."""

import numpy as np
import pandas as pd
import pytest
from report.make_store import NETWORKS, make_store, true_top1

from bench.analysis.efficiency import Crossing, Crossover, Needed
from bench.analysis.learning_curves import area_contrast, crossover_of, shared
from bench.report.evidence import gather
from bench.report.sections.growth import crossover_in_words, growth_tables, needed_in_words, targets
from bench.store.run_store import RunStore


def made(root, **changes):
    return gather(RunStore(make_store(root, **changes)), "tiny")


def texts(table):
    return [[field.text for field in row] for row in table.rows]


def test_area_is_the_trapezium_of_the_means(tmp_path):
    models, _ = growth_tables(made(tmp_path), "from-scratch")
    sizes = [1, 5, 20, 80]
    for row, name in zip(texts(models), ("vit", "deit", "resnet"), strict=True):
        means = [np.mean([true_top1(name, n if n < 80 else None, r) for r in range(3)]) for n in sizes]
        area = np.trapezoid(means, np.log2(sizes)) / np.log2(80)
        assert row[1] == f"{100 * area:.1f}"


def test_sizes_without_three_common_replicates_stay_out_of_the_area(tmp_path):
    evidence = made(tmp_path, missing=(("vit", None, 0), ("resnet", 20, 1)))
    sizes, replicates = shared(list(evidence.growths.values()))
    assert (sizes, replicates) == ([1.0, 5.0], [0, 1, 2])
    models, _ = growth_tables(evidence, "from-scratch")
    assert "from 1 to 5 images per class" in models.caption


def test_three_replicates_at_each_size_but_not_the_same_ones_have_no_area(tmp_path):
    missing = tuple((name, *at) for name in NETWORKS for at in ((1, 3), (5, 0)))
    models, pairs = growth_tables(made(tmp_path, shots=(1, 5), replicates=4, missing=missing), "from-scratch")
    needed = "needs two sizes with three replicates"
    assert {(row[1].text, row[2].text) for row in models.rows} == {(needed, "none")}
    assert {(row[2].text, row[3].text) for row in pairs.rows} == {(needed, "none")}


def test_a_model_with_too_few_runs_leaves_the_others_their_area(tmp_path):
    missing = tuple(("vit", n, r) for n in (1, 5, 20, None) for r in (1, 2))
    models, pairs = growth_tables(made(tmp_path, missing=missing), "from-scratch")
    area = {row[0]: row[1] for row in texts(models)}
    assert area["ViT-Ti/4"] == "needs two sizes with three replicates"
    apart = float(area["DeiT-Ti/4"]) - float(area["ResNet-18"])
    assert float(pairs.rows[0][2].text.replace("\u2212", "-")) == pytest.approx(apart, abs=0.11)
    assert "from 1 to 80 images per class" in models.caption


def test_models_without_sizes_in_common_have_no_area(tmp_path):
    missing = [(name, n, 0) for name in ("deit", "vit") for n in (1, 5)]
    missing += [("resnet", n, 0) for n in (20, None)]
    models, _ = growth_tables(made(tmp_path, missing=tuple(missing)), "from-scratch")
    common = "no two sizes with three replicates in common"
    assert {(row[1].text, row[2].text) for row in models.rows} == {(common, "none")}


def test_a_difference_in_area_says_where_it_is_over_other_sizes(tmp_path):
    _, pairs = growth_tables(made(tmp_path, missing=(("vit", 5, 0),)), "from-scratch")
    notes = [row[2].notes for row in pairs.rows]
    assert notes == [("over 1, 5, 20 and 80 images per class",), ()]


def test_no_interval_of_a_difference_in_area_leaves_the_possible_range(tmp_path):
    evidence = made(tmp_path, diverged=tuple(("resnet", n, 1) for n in (1, 5, 20, None)))
    a, b = (evidence.growths["from-scratch", key] for key in ("deit", "resnet"))
    a.scores.update({n: {r: np.ones(120) for r in range(3)} for n in a.scores})
    b.scores.update({n: {r: np.full(120, r / 2) for r in range(3)} for n in b.scores})
    found, _ = area_contrast(a, b, 0.01)
    assert (found.estimate, found.high) == (0.5, 1.0)


def test_two_replicates_say_what_is_needed(tmp_path):
    models, pairs = growth_tables(made(tmp_path, replicates=2), "from-scratch")
    assert {row[1] for row in texts(models)} == {"needs two sizes with three replicates"}
    assert {cell for row in texts(models) for cell in row[3:-1]} == {"needs three replicates"}
    assert texts(pairs)[0][1] == "needs two sizes with three replicates"
    assert texts(pairs)[1][1] == "not claimed of exploratory pairs"


def test_areas_and_crossovers_say_what_their_runs_do(tmp_path):
    models, pairs = growth_tables(
        made(
            tmp_path,
            missing=(("deit", 5, 0),),
            data={"copy": "copy not verified"},
            comparison={"unmatched": "recipes differ"},
        ),
        "from-scratch",
    )
    assert models.rows[0][-1].notes == ("copy not verified", "unmatched")
    few = "at 5: fewer than 3 replicates: no interval"
    assert set(models.rows[1][-1].notes) == {few, "copy not verified", "unmatched"}
    common = {"FLOPs not measured", "unmatched", "copy not verified"}
    assert set(pairs.rows[0][-1].notes) == {"at 5: 2 common replicates: no interval, no verdict", *common}
    assert set(pairs.rows[1][-1].notes) == common


def test_a_contestant_without_runs_is_left_out(tmp_path):
    missing = tuple(("vit", n, r) for n in (1, 5, 20, None) for r in range(3))
    models, pairs = growth_tables(made(tmp_path, missing=missing), "from-scratch")
    assert [row[0] for row in texts(models)] == ["DeiT-Ti/4", "ResNet-18"]
    needed = "needs two sizes with three replicates"
    assert texts(pairs)[1][1:3] == ["not claimed of exploratory pairs", needed]


def test_a_crossover_that_is_in_the_store_is_found(tmp_path):
    """At 1 image per class the DeiT gets every image right, at 20 none; the ResNet is as it was."""
    make_store(tmp_path, shots=(1, 20))
    store = RunStore(tmp_path)
    labels = np.arange(120) % 10
    for record in store.trials():
        if record["recipe"] == "deit-scratch":
            path = tmp_path / "runs" / record["id"] / "predictions.parquet"
            right = record["identity"]["shots"] == 1
            wanted = (labels if right else (labels + 1) % 10).astype(np.uint16)
            pd.read_parquet(path).assign(predicted=wanted).to_parquet(path)
    evidence = gather(store, "tiny")
    pair = [f for f in evidence.findings if f.pair.a == "deit"]
    found = crossover_of(pair)
    assert crossover_of([f for f in evidence.findings if f.pair.a == "vit"]) is None
    assert found.status == "crossover" and found.crossings[0].leader == "a"
    assert crossover_in_words(found, pair[0].titles).startswith("DeiT-Ti/4 is better at 1, ResNet-18 at 20")


def test_a_whole_split_as_large_as_a_subset_is_one_size(tmp_path):
    make_store(tmp_path, shots=(5, 80, None))
    evidence = gather(RunStore(tmp_path), "tiny")
    models, pairs = growth_tables(evidence, "from-scratch")
    assert "from 5 to 80 images per class" in models.caption and len(pairs.rows) == 2


@pytest.mark.parametrize(
    "needed, words",
    [
        (Needed("reached", 5.0, 20.0, 12.34), "about 12; 5 to 20"),
        (Needed("reached", None, 1.0, None), "at most 1"),
        (Needed("not reached", 80.0, None, None), "not reached by 80"),
        (Needed("inconclusive", 20.0, None, 123.4), "about 123; inconclusive, over 20"),
        (Needed("inconclusive", None, None, None), "inconclusive"),
    ],
)
def test_images_needed_in_words(needed, words):
    assert needed_in_words(needed) == words


def test_crossover_in_words():
    both = ("A", "B")
    found = Crossover("crossover", (Crossing(2, 10, 4.5, "b"),))
    assert crossover_in_words(found, both) == "B is better at 2, A at 10; about 4.5 by interpolation"
    assert crossover_in_words(Crossover("inconclusive"), both) == "inconclusive"


def test_targets_are_round_and_within_what_was_measured(tmp_path):
    members = list(made(tmp_path).growths.values())
    means = [true for m in members for true in m.curve.estimate]
    assert all(min(means) < target <= max(means) for target in targets(members))
    assert 1 <= len(targets(members)) <= 4 and len(members) == len(NETWORKS)
