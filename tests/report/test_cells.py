"""Averages over replicates and what is said about them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from report.make_store import make_store, set_pretraining, true_top1

from bench.report.cells import with_more_labels
from bench.report.evidence import gather
from bench.store.run_store import RunStore


def cell(root, contestant="vit", shots=5, **changes):
    evidence = gather(RunStore(make_store(root, shots=(shots,), **changes)), "tiny")
    (found,) = [c for c in evidence.cells if c.contestant == contestant and c.shots == shots]
    return found


def test_mean_and_spread(tmp_path):
    found = cell(tmp_path)
    values = np.array([true_top1("vit", 5, replicate) for replicate in range(3)])
    score = found.scores["top1"]
    assert (score.mean, score.n) == (pytest.approx(values.mean()), 3)
    assert score.sd == pytest.approx(np.sqrt(((values - values.mean()) ** 2).sum() / 2))
    assert found.notes == ()


def test_diverged_counts_at_chance_and_is_said(tmp_path):
    found = cell(tmp_path, diverged=(("vit", 5, 1),))
    expected = np.mean([true_top1("vit", 5, 0), 0.1, true_top1("vit", 5, 2)])
    assert found.scores["top1"].mean == pytest.approx(expected)
    assert (found.diverged, found.scores["top1"].n, found.scores["ece"].n) == (1, 3, 2)
    assert found.notes == ("1 of 3 diverged, at chance",)


def test_a_number_of_images_that_is_the_whole_split_says_so(tmp_path):
    make_store(tmp_path, shots=(5, 80))
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    for entry in listing["trials"]:
        entry["draw_seed"] = entry["replicate"] if entry["shots"] == 5 else None
    path.write_text(json.dumps(listing))
    for found in gather(RunStore(tmp_path), "tiny").cells:
        assert ("the whole training split: no spread over draws" in found.notes) == (found.shots == 80)


def test_two_replicates_have_no_interval(tmp_path):
    found = cell(tmp_path, missing=(("vit", 5, 0),))
    assert (len(found.runs), found.planned) == (2, 3)
    assert "fewer than 3 replicates: no interval" in found.notes


def test_one_replicate_has_no_spread(tmp_path):
    found = cell(tmp_path, replicates=1)
    assert found.scores["top1"].as_percent() == (f"{100 * true_top1('vit', 5, 0):.1f}", "")


def test_nothing_done_is_not_measured(tmp_path):
    found = cell(tmp_path, missing=tuple(("vit", 5, replicate) for replicate in range(3)))
    assert found.scores["top1"].as_percent() == ("not measured", "")
    assert (found.runs, found.notes, found.recipe) == ((), (), "scratch")


def test_one_run_listed_twice_is_one_replicate(tmp_path):
    make_store(tmp_path)
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    listing["trials"] += [entry | {"replicate": 7} for entry in listing["trials"]]
    path.write_text(json.dumps(listing))
    for found in gather(RunStore(tmp_path), "tiny").cells:
        assert (found.scores["top1"].n, len(found.runs)) == (3, 3)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"data": {"copy": "copy not verified"}}, "copy not verified"),
        ({"data": {"overlap": {"test_in_train": 3}}}, "3 of 120 test images are also in train"),
        ({"data": {"overlap": {"two_labels": 2}}}, "2 images have two labels"),
        ({"record": {"selection": "val-oracle"}}, "val-oracle"),
        ({"record": {"selection": "best-val"}}, "best epoch by val"),
        ({"model": {"carded": False}}, "no model card"),
        ({"comparison": {"unmatched": "FLOPs differ."}}, "unmatched"),
    ],
)
def test_what_must_be_known_stands_with_the_number(tmp_path, changes, note):
    assert cell(tmp_path, **changes).notes == (note,)


def test_different_pretraining_is_unmatched_in_every_row(tmp_path):
    make_store(tmp_path)
    set_pretraining(tmp_path, "resnet", "ImageNet-21k")
    found = gather(RunStore(tmp_path), "tiny").cells
    assert all("unmatched pretraining" in cell.notes for cell in found)


def test_cells_stand_in_the_order_of_the_suite(tmp_path):
    found = gather(RunStore(make_store(tmp_path)), "tiny").cells
    assert [c.shots for c in found] == [1] * 3 + [5] * 3 + [20] * 3 + [None] * 3
    assert [c.contestant for c in found[:3]] == ["vit", "deit", "resnet"]
    assert found[-1].images_per_class == 80


def test_values_that_were_searched_with_more_labels_are_named():
    def cell(comparison, shots, more=True, records=(1,)):
        return SimpleNamespace(comparison=comparison, shots=shots, more_labels=more, records=records)

    every = [cell("a", 2), cell("a", 1), cell("a", 2), cell("a", 5, more=False), cell("b", 1)]
    every += [cell("c", 1, records=()), cell("d", None)]
    named = ["a with 1 and 2 images per class", "b with 1 image per class"]
    assert with_more_labels(every) == named
