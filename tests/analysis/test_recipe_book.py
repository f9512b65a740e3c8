"""What recipes came to, over the replicates that suites list."""

import json

import numpy as np
import pytest
from scipy import stats
from small_store import digest, write_store

from bench.analysis.recipe_book import TOLERANCE, Expectation, best_first, measured
from bench.store.run_store import RunStore


def test_the_interval_is_that_of_a_further_replicate():
    """By simulation: 95 of 100 further means lie in it."""
    rng = np.random.default_rng(0)
    inside = {1: 0, 3: 0}
    for _ in range(4000):
        seen = rng.normal(0.6, 0.02, 5)
        expectation = Expectation(seen.mean(), seen.std(ddof=1), 5)
        for more in inside:
            low, high = expectation.interval(more)
            inside[more] += low <= rng.normal(0.6, 0.02, more).mean() <= high
    for count in inside.values():
        assert stats.binomtest(count, 4000, 0.95).pvalue > 0.001


def test_one_run_has_no_spread_and_no_interval_leaves_the_scale():
    assert Expectation(0.5, None, 1).interval() == pytest.approx((0.5 - TOLERANCE, 0.5 + TOLERANCE))
    assert Expectation(0.99, 0.2, 2).interval() == (0.0, 1.0)
    low, high = Expectation(0.5, 0.0, 3).interval()
    assert low < 0.5 < high


def store_of(folder):
    """Two models on two subsets, three replicates of 40 test images; the same share of val is right."""
    rng = np.random.default_rng(1)
    cells = [("vit", 5), ("vit", None), ("resnet", 5), ("resnet", None)]
    right = {cell: rng.random((3, 40)) < 0.3 + 0.2 * k for k, cell in enumerate(cells)}
    return write_store(folder, right), right


def test_replicates_of_a_recipe_are_one_and_unlisted_runs_are_none(tmp_path):
    root, right = store_of(tmp_path / "store")
    store = RunStore(root)
    book = measured([store])
    assert sorted((one.first.model.name, one.first.identity.shots or 0) for one in book) == [
        ("resnet_digits", 0), ("resnet_digits", 5), ("vit_digits", 0), ("vit_digits", 5),
    ]  # fmt: skip
    for one in book:
        top1 = right[one.first.model.name.removesuffix("_digits"), one.first.identity.shots].mean(1)
        assert one.expectation.mean == pytest.approx(np.mean(top1))
        assert one.expectation.sd == pytest.approx(np.std(top1, ddof=1))
        assert one.next_replicate == len(top1) == one.expectation.replicates
        assert one.has_size(one.first.identity.shots) and not one.has_size(4)
    # A run that no suite lists is one of `vcbench verify`: it does not count.
    first = book[0].first
    identity = first.identity.content() | {"seed": 99, "draw_seed": 99}
    record = json.loads((root / "runs" / first.id / "record.json").read_text())
    (root / "runs" / digest(identity)).mkdir()
    path = root / "runs" / digest(identity) / "record.json"
    path.write_text(json.dumps(record | {"id": digest(identity), "identity": identity}))
    again = measured([RunStore(root), store])
    assert [one.records for one in again] == [one.records for one in book]


def test_the_best_is_chosen_on_val(tmp_path):
    book = measured([RunStore(store_of(tmp_path / "store")[0])])
    ranked = best_first(book)
    values = [np.mean([record.metrics.val_top1 for record in one.records]) for one in ranked]
    assert values == sorted(values, reverse=True) and len(set(values)) > 1
