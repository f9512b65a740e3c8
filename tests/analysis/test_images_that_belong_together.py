"""Test images in groups, such as patients: intervals take groups, not images, to be independent."""

import numpy as np
import pandas as pd
import pytest
from report.make_store import TEST_IMAGES, make_store
from scipy import stats

from bench.analysis.cells import cells
from bench.analysis.contrasts import find_contrasts
from bench.analysis.costs import cost_table
from bench.analysis.decisions import PairedScores, judge
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import by_group, ends, mcnemar, pair_p, parts, share_interval, wilson
from bench.report.evidence import gather
from bench.report.sections.protocol import _groups
from bench.store.run_store import RunStore


def test_equal_groups_have_their_means():
    table = np.random.default_rng(0).random((3, 12))
    groups = np.repeat([7, 3, 5, 1], 3)
    expected = [table[:, groups == one].mean(1) for one in (1, 3, 5, 7)]
    assert by_group(table, groups) == pytest.approx(np.transpose(expected))


def test_the_error_is_that_of_a_ratio_of_sums():
    """Cochran's formula for a mean over images whose groups are drawn, by a loop over groups."""
    rng = np.random.default_rng(1)
    groups = rng.permutation(np.repeat(np.arange(40), rng.integers(1, 15, 40)))
    scores = rng.random(len(groups)) < 0.7
    mean, sizes = scores.mean(), np.bincount(groups)
    over = sum((scores[groups == one].sum() - mean * sizes[one]) ** 2 for one in range(40))
    error = np.sqrt(over / (40 * 39)) / sizes.mean()
    of = parts(by_group(scores[None], groups))
    assert (float(of.estimate), float(of.se)) == pytest.approx((mean, error))
    half = stats.t.ppf(0.975, 39) * error
    assert share_interval(scores, groups) == pytest.approx((mean - half, mean + half))


def test_scores_of_differences_are_differences_of_scores():
    rng = np.random.default_rng(2)
    groups, (a, b) = rng.integers(0, 9, 60), rng.random((2, 3, 60))
    assert by_group(a, groups) - by_group(b, groups) == pytest.approx(by_group(a - b, groups))
    assert by_group(a, groups).mean(1) == pytest.approx(a.mean(1))
    with pytest.raises(ValueError, match="one group an image"):
        by_group(a, groups[1:])


def worlds(count, seed):
    """Differences without a true one, 3 replicates, and which images belong together."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        groups = np.repeat(np.arange(30), rng.integers(1, 21, 30))
        number = len(groups)
        of_images = rng.normal(0, 0.2, 30)[groups] + rng.normal(0, 0.2, number)
        yield of_images + rng.normal(0, 0.01, (3, 1)) + rng.normal(0, 0.2, (3, number)), groups


def excluding_zero(tables):
    low, high = np.transpose([ends(parts(table)) for table in tables])
    return np.mean((low > 0) | (high < 0))


def test_of_groups_that_differ_few_intervals_miss_the_truth_and_of_their_images_many():
    drawn = list(worlds(400, 3))
    assert excluding_zero(by_group(table, groups) for table, groups in drawn) < 0.07
    assert excluding_zero(table for table, _ in drawn) > 0.2


def test_of_two_networks_a_pair_of_groups_decides_nothing():
    a, b = np.ones(40, bool), np.repeat([True, False], 20)
    assert pair_p(a, b) == mcnemar(a, b).p < 1e-4
    assert pair_p(a, b, np.repeat([0, 1], 20)) > 0.3
    assert pair_p(a, b, np.zeros(40, int)) == 1 and share_interval(b, np.zeros(40, int)) == (0, 1)
    assert share_interval(b) == wilson(20, 40)


@pytest.fixture
def grouped(tmp_path):
    root = make_store(tmp_path)
    groups = np.arange(TEST_IMAGES) // 8
    (path,) = (root / "labels").glob("*.parquet")
    pd.read_parquet(path).assign(group=groups.astype(np.int32)).to_parquet(path, index=False)
    return RunStore(root), groups


def test_contrasts_and_averages_of_a_store_are_over_groups(grouped):
    store, groups = grouped
    predictions, suite = Predictions(store), store.suite("tiny")
    records = {record.id: record for record in store.results()}
    contrasts = find_contrasts(suite, cells(suite, records), predictions, cost_table(store.profiles()))
    primary = [one for one in contrasts if one.pair.primary]
    tables = []
    for one in primary:
        own = [
            np.stack([predictions.known(records[run]).correct for run in runs])
            for runs in (one.runs_a, one.runs_b)
        ]
        tables.append(PairedScores(tuple(by_group(table, groups) for table in own), 1))
    for one, by_hand in zip(primary, judge(tables, delta=suite.delta), strict=True):
        assert one.contrast.images == TEST_IMAGES and by_hand.images == groups.max() + 1
        assert (one.contrast.low, one.contrast.high) == pytest.approx((by_hand.low, by_hand.high))
        assert one.contrast.p_adjusted == pytest.approx(by_hand.p_adjusted)


def test_the_report_says_that_groups_stand_in_the_place_of_images(grouped):
    store, _ = grouped
    (text,) = _groups(gather(store, "tiny"))
    assert text.startswith(f"The {TEST_IMAGES} test images of digits come in {-(-TEST_IMAGES // 8)} groups")


def test_groups_are_added_to_labels_that_were_stored_without(tmp_path):
    store = RunStore(tmp_path)
    store.prepare()
    key, labels = ("photos", "given", "e" * 64), np.array([0, 1, 0, 1])
    path = store.labels_of(key)
    store.write_labels(*key, labels, None)
    assert "group" not in pd.read_parquet(path)
    store.write_labels(*key, labels, None, groups=np.array([9, 4, 9, 4]))
    assert pd.read_parquet(path)["group"].tolist() == [1, 0, 1, 0]
    before = path.stat().st_mtime_ns
    store.write_labels(*key, labels, None, groups=np.array([9, 4, 9, 4]))
    assert path.stat().st_mtime_ns == before
