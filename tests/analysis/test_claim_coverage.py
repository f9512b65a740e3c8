"""Intervals of claims hold for other networks and for other test images: simulated networks, 5 replicates on
600 images."""

from itertools import combinations, permutations

import numpy as np
import pytest
from small_store import trial

from bench.analysis.cells import Cell, Replicate
from bench.analysis.claims.averages import ensembles
from bench.analysis.claims.contestants import Contestant, Measured
from bench.analysis.claims.scores import scores
from bench.analysis.predictions import Outputs
from bench.frames import frame
from bench.spec.claim import load_claims
from bench.store.records.listing import TrialEntry

REPLICATES, IMAGES, CLASSES, STORES = 5, 600, 4, 300
CLAIMS = {claim.name: claim for claim in load_claims()}
FACTS = {
    "family": "x", "regime": "from scratch", "pretraining": "none", "augmentation": "light",
    "distilled": False, "budget": "one",
}  # fmt: skip


class Networks:
    """Two kinds of networks, a and b, drawn alike: images are hard for all, for one kind or for one network,
    and some networks are better than others."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        self.labels = random.integers(CLASSES, size=IMAGES)
        true = np.eye(CLASSES)[self.labels]
        shape = IMAGES, CLASSES
        hard = random.normal(0, 1, shape)
        self.probabilities, self.contestants = {}, []
        for key, kind in (("a", "transformer"), ("b", "cnn")):
            of_kind = random.normal(0, 1, shape)
            replicates = []
            for r in range(REPLICATES):
                skill = random.normal(2, 0.03)
                logits = skill * true + hard + of_kind + random.normal(0, 0.5, shape)
                odds = np.exp(1.5 * logits)
                self.probabilities[f"{key}{r}"] = odds / odds.sum(1, keepdims=True)
                record = trial(id=f"{key}{r}", metrics={"train_top1": random.normal(0.9, 0.005)})
                entry = {"id": record.id, "comparison": "c", "contestant": key, "shots": 5}
                entry |= {"replicate": r, "draw_seed": r, "seed": r}
                replicates.append(Replicate(TrialEntry(**entry), record))
            cell = Cell(
                comparison="c", contestant=key, title=key, model=key, dataset="d", split_id=None,
                input_size=8, shots=5, images_per_class=5.0, condition="clean", replicates=tuple(replicates),
                pretraining="none", planned_recipe="scratch", deduplicated=False,
            )  # fmt: skip
            partners = frozenset("ab") - {key}
            facts = FACTS | {"kind": kind, "model": key}
            self.contestants.append(Contestant("s", cell, facts, 1.0, None, {}, partners))
        tables = {"history": frame([], {"run": "str", "val_nll": "float64"})}
        self.measured = Measured(self.contestants, tables, self, self, self)

    # What is asked of predictions, and of averages of two.
    def outputs(self, record):
        own = self.probabilities[record.id]
        true = own[np.arange(IMAGES), self.labels]
        return Outputs(own.argmax(1), own.max(1), np.log(true), self.labels)

    known = outputs

    def has_scores(self, record):
        return True

    def scores(self, record):
        return self.right(record.id).astype(float)

    def independent(self, values, data):
        return values

    def top1(self, first, second):
        return self.right(first.id, second.id).mean()

    def right(self, *runs):
        mean = np.mean([self.probabilities[run] for run in runs], 0)
        return mean.argmax(1) == self.labels

    def gain(self):
        """What averaging a with b gains over averaging two of a."""
        both = [self.right(f"a{i}", f"b{j}").mean() for i, j in permutations(range(REPLICATES), 2)]
        own = [self.right(f"a{i}", f"a{j}").mean() for i, j in combinations(range(REPLICATES), 2)]
        return np.mean(both) - np.mean(own)


def evidence(claim, name):
    return next(one for one in CLAIMS[claim].evidence if one.name == name)


def coverage(numbers, truth):
    return np.mean([one.low < truth < one.high for one in numbers])


@pytest.mark.parametrize(
    ("claim", "name"),
    [("overfit", "gap between training and test accuracy"), ("calibrated", "expected calibration error")],
)
def test_differences_of_two_kinds_that_are_alike(claim, name):
    """The truth is 0, as both kinds are drawn alike."""
    numbers = [next(scores(evidence(claim, name), Networks(seed).measured)).number for seed in range(STORES)]
    assert 0.93 < coverage(numbers, 0.0) < 0.99


def test_what_averaging_gains():
    """The truth is the mean over all stores."""
    stores = [Networks(seed) for seed in range(STORES)]
    truth = [one.gain() for one in stores]
    numbers = [
        next(ensembles(evidence("together", "against two ViTs"), one.measured)).number for one in stores
    ]
    assert [one.value for one in numbers] == pytest.approx(truth)
    assert 0.93 < coverage(numbers, np.mean(truth)) < 0.99
