"""Models brought from outside in the report: their rows, intervals, sentence and where they do not belong."""

import json

import numpy as np
import pandas as pd
import pytest
from report.make_store import CLASSES, TEST_IMAGES, make_store, run_id, true_top1
from scipy.stats import t, ttest_rel

from bench.analysis.external import paired_interval, sentence
from bench.exchange.external import keep_external, stored_test_set
from bench.report.render import render
from bench.store.run_store import RunStore

LABELS = np.arange(TEST_IMAGES) % CLASSES


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("brought")
    store = RunStore(make_store(root / "store", shots=(5,), diverged=(("vit", 5, 1),)))
    predicted = np.where(np.arange(TEST_IMAGES) % 4 == 0, (LABELS + 3) % CLASSES, LABELS)
    pd.DataFrame({"image": range(TEST_IMAGES), "predicted": predicted}).to_parquet(root / "mine.parquet")
    record = keep_external(store, root / "mine.parquet", "mine", stored_test_set(store, "digits", "official"))
    render(store, "tiny", root / "out")
    return root, record, predicted == LABELS


def test_the_interval_is_that_of_the_paired_t_test():
    random = np.random.default_rng(3)
    a, b = random.random(200) < 0.7, random.random((3, 200)).mean(0)
    mean, half = np.mean(a - b), t.ppf(0.975, 199) * np.std(a - b, ddof=1) / np.sqrt(200)
    assert paired_interval(a, b) == pytest.approx((mean, mean - half, mean + half))


def test_two_networks_that_agree_on_every_image_may_differ_on_others():
    same = np.arange(200) % 3 == 0
    unseen = 1 - 0.025 ** (1 / 200)
    assert paired_interval(same, same.astype(float)) == pytest.approx((0, -unseen, unseen))
    assert paired_interval(np.ones(200), np.zeros(200)) == pytest.approx((1, 1 - 2 * unseen, 1))


def test_rows_and_sentence(report):
    root, record, right = report
    text = (root / "out" / "appendix.md").read_text()
    assert sentence(record, {("digits", record.data.fingerprint): "digits"}).replace("(", "(") in text
    scores = np.mean(
        [np.arange(TEST_IMAGES) < round(true_top1("deit", 5, r) * TEST_IMAGES) for r in range(3)], axis=0
    )
    low, high = ttest_rel(scores, right.astype(float)).confidence_interval(0.95)
    shown = f"{100 * low:+.1f} to {100 * high:+.1f}".replace("-", "\u2212")
    difference = f"{100 * (scores.mean() - right.mean()):+.1f}".replace("-", "\u2212")
    assert f"| {100 * scores.mean():.1f} | 75.0 | {difference} ({shown}) | how mine was trained" in text
    own = text.split("## Beside other people's numbers")[1].split("\n## ")[0]
    assert "1 of 3 diverged, at chance" in own and run_id("tiny", "vit", 5, 0) in text
    assert set(json.loads((root / "out" / "MANIFEST.json").read_text())["brought"]) == {"mine"}


def test_a_model_of_another_split_is_not_in_it(report, tmp_path):
    root, _, _ = report
    path = root / "store" / "brought" / "mine" / "record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"data": record["data"] | {"split_id": "other"}}))
    render(RunStore(root / "store"), "tiny", tmp_path / "out")
    path.write_text(json.dumps(record))
    assert "brought from outside" not in (tmp_path / "out" / "appendix.md").read_text()
