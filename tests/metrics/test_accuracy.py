"""Metrics against scikit-learn and plain loops."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import log_softmax
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    recall_score,
    top_k_accuracy_score,
)

from bench.metrics.accuracy import compact, deduplicated_top1, score
from bench.metrics.calibration import BINS
from bench.store.predictions import save_predictions


def outputs(n: int, classes: int, strength: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that know something about the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) * strength
    logits[np.arange(n), labels] += strength * 1.5
    return logits.astype(np.float32), labels


def slow_ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        members = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if low < row.max() <= high
        ]
        if members:
            confidence, correct = np.mean([m[0] for m in members]), np.mean([m[1] for m in members])
            total += len(members) / len(labels) * abs(correct - confidence)
    return total


@pytest.mark.parametrize("n, classes", [(500, 10), (300, 100), (40, 2), (50, 5)])
def test_metrics_are_scikit_learns(n, classes):
    logits, labels = outputs(n, classes)
    found = score(logits, labels)
    probabilities = np.exp(log_softmax(logits.astype(np.float64), axis=1))
    every = np.arange(classes)
    assert found["top1"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    present = np.unique(labels)
    assert found["mean_per_class"] == pytest.approx(
        recall_score(labels, logits.argmax(1), labels=present, average="macro", zero_division=0)
    )
    assert found["nll"] == pytest.approx(log_loss(labels, probabilities, labels=every))
    assert found["ece"] == pytest.approx(slow_ece(probabilities, labels))
    if classes > 5:
        assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=every))
    else:
        assert found["top5"] == 1.0


def test_a_class_without_images_does_not_count():
    logits = np.array([[3.0, 0, 0, 0], [0, 3, 0, 0], [3, 0, 0, 0]], np.float32)
    labels = np.array([0, 1, 1])
    expected = balanced_accuracy_score(labels, logits.argmax(1))
    assert score(logits, labels)["mean_per_class"] == pytest.approx(expected) == pytest.approx(0.75)
    assert score(logits, labels)["nll"] > 0


def test_ties_go_to_the_lowest_index():
    logits = np.zeros((6, 6), np.float32)
    frame = compact(logits, np.arange(6))
    assert frame["predicted"].tolist() == [0] * 6
    assert frame["rank"].tolist() == list(range(6))
    found = score(logits, np.arange(6))
    assert found["top1"] == pytest.approx(1 / 6) and found["top5"] == pytest.approx(5 / 6)
    assert found["nll"] == pytest.approx(np.log(6))


def test_certainty_has_no_negative_zero():
    assert str(score(np.array([[1e4, 0.0]]), np.array([0]))["nll"]) == "0.0"


def test_large_logits_stay_finite():
    logits = np.array([[3e38, -3e38], [1e5, 0.0]], np.float32)
    found = score(logits, np.array([0, 1]))
    assert found["nll"] == pytest.approx(5e4)
    assert all(np.isfinite(column).all() for column in compact(logits, np.array([1, 1])).values())


@pytest.mark.parametrize(
    "logits, labels, says",
    [
        (np.array([[0.0, np.nan]]), np.array([0]), "finite"),
        (np.array([[0.0, -np.inf]]), np.array([0]), "finite"),
        (np.zeros((2, 3)), np.array([0]), "shape"),
        (np.zeros((0, 3)), np.array([], int), "shape"),
        (np.zeros(3), np.array([0, 1, 2]), "shape"),
        (np.zeros((2, 3)), np.array([0, 3]), "outside 0..2"),
        (np.zeros((2, 3)), np.array([-1, 0]), "outside"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "whole numbers"),
    ],
)
def test_what_cannot_be_scored(logits, labels, says):
    for judge in (score, compact):
        with pytest.raises(ValueError, match=says):
            judge(logits, labels)


matrices = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=st.floats(-50, 50, width=16)),
        hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)),
    )
)


@settings(max_examples=50)
@given(matrices)
def test_properties(case):
    logits, labels = case
    found, columns = score(logits, labels), compact(logits, labels)
    assert all(0 <= found[name] <= 1 for name in ("top1", "top5", "mean_per_class", "ece"))
    assert found["top1"] <= found["top5"] and found["nll"] >= 0
    assert ((columns["rank"] == 0) == (columns["predicted"] == labels)).all()
    order = [sorted(range(len(row)), key=lambda c, row=row: (-row[c], c)) for row in logits]
    assert columns["rank"].tolist() == [o.index(label) for o, label in zip(order, labels, strict=True)]
    shifted = score(logits + np.float32(1), labels)
    assert shifted["nll"] == pytest.approx(found["nll"], abs=1e-3)
    np.testing.assert_allclose(
        columns["log_prob"].astype(float),
        log_softmax(logits.astype(float), axis=1)[np.arange(len(labels)), labels],
        rtol=1e-3,
        atol=1e-7,
    )


@pytest.mark.parametrize("strength", [0.5, 2.0, 10.0])
def test_what_is_kept_of_every_image_gives_the_same_metrics(strength, tmp_path):
    logits, labels = outputs(3000, 100, strength)
    path = tmp_path / "predictions.parquet"
    columns, expected = compact(logits, labels), score(logits, labels)
    save_predictions(columns, path)
    read = pd.read_parquet(path)
    assert [str(kind) for kind in read.dtypes] == ["uint16", "float16", "uint16", "float16"]
    for name, column in columns.items():
        np.testing.assert_array_equal(read[name], column)
    assert (read["predicted"] == labels).mean() == expected["top1"]
    assert (read["rank"] < 5).mean() == expected["top5"]
    log_prob = read["log_prob"].astype("float64")
    assert -log_prob.mean() == pytest.approx(expected["nll"], rel=1e-3)


def test_without_duplicates():
    logits, labels = outputs(50, 4)
    assert deduplicated_top1(logits, labels, np.arange(10)) == score(logits[10:], labels[10:])["top1"]
    assert deduplicated_top1(logits, labels, None) is None
    assert deduplicated_top1(logits, labels, np.arange(50)) is None


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_ten_thousand_predictions_stay_under_80_kib(strength, tmp_path):
    path = tmp_path / "predictions.parquet"
    save_predictions(compact(*outputs(10_000, 100, strength)), path)
    assert path.stat().st_size < 80 * 1024
    assert pq.read_schema(path).metadata[b"format"] == b"1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["predictions.parquet"]


def test_more_classes_than_16_bits():
    with pytest.raises(ValueError, match="65537 classes"):
        compact(np.zeros((1, 65537), np.float32), np.array([0]))
