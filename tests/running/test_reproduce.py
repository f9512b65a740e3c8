"""When a run done again agrees with the stored one."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from small_store import trial

from bench.running.reproduce import DEVIATIONS, agreement

DATA = {"train_images": 200, "val_images": 200, "test_images": 600}


def run(top1, val_top1=0.9, **changes):
    metrics = {"top1": top1, "val_top1": val_top1, "nll": 0.3}
    return trial(id="a" * 16, metrics=metrics, data=DATA, **changes)


def predictions(wrong):
    rank = np.zeros(600, np.uint16)
    rank[wrong] = 1
    return pd.DataFrame({"predicted": rank, "rank": rank})


def judged(old_wrong, new_wrong, val=(0.9, 0.9), tolerance=0.01, **changes):
    before, after = predictions(old_wrong), predictions(new_wrong)
    records = [
        run(float((frame["rank"] == 0).mean()), own, **more)
        for frame, own, more in zip((before, after), val, ({}, changes), strict=True)
    ]
    return agreement(*records, before, after, tolerance)


def test_the_same_is_identical():
    assert judged(range(30), range(30)).verdict == "identical"
    other = judged(range(30), range(30), instructions="AVX2")
    assert other.circumstances == {"instructions": (None, "AVX2")}


def test_a_few_of_few_images_are_chance_where_images_flipped():
    """12 of 600 test images flipped: 3 of 200 val images, 1.5 points, is what that comes to."""
    found = judged(range(30), range(6, 36), val=(0.900, 0.885))
    assert (found.verdict, found.flipped) == ("within", (6, 6))
    assert found.allowed["val_top1"] == pytest.approx(2.6 * 4**0.5 / 200)
    assert judged(range(30), range(6, 36), val=(0.900, 0.860)).verdict == "differs"


def test_the_same_difference_without_a_flipped_image_differs():
    """One image may be at the border of val, no more."""
    assert judged(range(30), range(30), val=(0.900, 0.885)).verdict == "differs"
    assert judged(range(30), range(30), val=(0.900, 0.890)).verdict == "within"


def test_images_that_all_flip_one_way_are_not_chance():
    found = judged(range(30), range(60))
    assert (found.verdict, found.flipped) == ("differs", (30, 0))
    assert judged(range(30), range(60), tolerance=0.06).verdict == "within"


def test_another_outcome_differs():
    assert judged(range(30), range(30), outcome="diverged").verdict == "differs"


def test_without_predictions_the_tolerance_alone_decides():
    assert agreement(run(0.90), run(0.92), None, None, 0.01).verdict == "differs"
    assert agreement(run(0.90), run(0.905), None, None, 0.01).verdict == "within"


def test_chance_is_exceeded_about_once_in_a_hundred():
    for flipped in (10, 40, 200):
        inside = DEVIATIONS * flipped**0.5
        odds = sum(binom.pmf(k, flipped, 0.5) for k in range(flipped + 1) if abs(2 * k - flipped) > inside)
        assert 0.001 < odds < 0.02
