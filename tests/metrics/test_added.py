"""Metrics that somebody adds, beside those that are there."""

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from bench.exchange import external
from bench.exchange.external import GivenPredictions, TestSet
from bench.metrics import accuracy, added_metrics
from bench.metrics.accuracy import score
from bench.store.records.base import Data
from bench.store.records.trials import Identity, Metrics, TrialData, TrialModel, TrialRecord

LOGITS = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(3, size=50)


def matthews(logits, labels):
    return matthews_corrcoef(labels, logits.argmax(1))


@pytest.fixture
def added(monkeypatch):
    """A function that adds a metric by a name."""

    def add(name):
        for module in (accuracy, external):
            monkeypatch.setattr(module, "added_metrics", lambda: {name: matthews})

    return add


def test_a_metric_that_is_added_changes_no_other(added):
    before = score(LOGITS, LABELS)
    added("matthews")
    after = score(LOGITS, LABELS)
    assert after == before | {"matthews": matthews_corrcoef(LABELS, LOGITS.argmax(1))}


def test_a_name_that_is_taken_is_refused(added):
    added("top1")
    with pytest.raises(ValueError, match="bench/metrics/top1.py: there is a metric of this name"):
        score(LOGITS, LABELS)


def test_no_metric_here_has_the_name_of_something_else_in_the_table():
    named = (Identity, Metrics, TrialData, TrialModel, TrialRecord)
    taken = {name for model in named for name in model.model_fields} | {"run", "suite", "weights"}
    assert not added_metrics().keys() & taken


def test_without_probabilities_a_metric_is_not_measured(added):
    data = Data(dataset="d", split_id="s", fingerprint="f", copy="own data", classes=3, test_images=50)
    test = TestSet(data, LABELS, None)
    added("matthews")
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    assert external.measure(GivenPredictions(LOGITS.argmax(1), probabilities), test)["matthews"] is not None
    assert external.measure(GivenPredictions(LOGITS.argmax(1), None), test)["matthews"] is None


def test_only_a_number_is_believed_in_a_record():
    assert Metrics.model_validate({"top1": 0.5, "matthews": 0.25}).content()["matthews"] == 0.25
    assert Metrics.model_validate({"matthews": None}).content() == {"matthews": None}
    for wrong in ("0.25", [0.25], float("nan")):
        with pytest.raises(ValueError, match="matthews"):
            Metrics.model_validate({"matthews": wrong})
