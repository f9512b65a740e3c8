"""The flag `not trained`, on both sides of every border."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from small_store import digest, trial
from torch import nn

from bench.analysis.trained import AT_CHANCE, BEATEN, DIVERGED, Training, last_loss, p_beaten, same_model
from bench.store.run_store import RunStore
from bench.tables.tables import accuracy_table

DATA = {"dataset": "digits", "split_id": "frozen", "fingerprint": "f", "copy": "verified", "classes": 10}
DATA |= {"train_images": 20, "test_images": 40}


def store(root, majority=0.12, nearest=(0.8, 0.9)):
    made = RunStore(root)
    made.prepare()
    for draw, value in enumerate(nearest):
        made.finish_baseline(
            f"base{draw}",
            {
                "format": 1,
                "id": f"base{draw}",
                "kind": "baseline",
                "shots": 2,
                "draw_seed": draw,
                "data": DATA,
                "chance_top1": 0.1,
                "majority_top1": majority,
                "nearest_top1": value,
            },
        )
    return made


def trial_of(made, top1, *, draw=0, loss=None, outputs=None, outcome="finished", model="vit", weights="none"):
    run = f"run{draw}"
    if loss is not None:
        path = made.files(run).history
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"step": [10, 95, 100], "loss": [9.0, loss, loss]}).to_parquet(path)
    return trial(
        id=run,
        outcome=outcome,
        data=DATA,
        metrics={"top1": top1},
        identity={"shots": 2, "draw_seed": draw, "recipe": {"head_outputs": outputs}, "weights": weights},
        model={"name": model},
    )


@pytest.mark.parametrize(
    ("loss", "outputs", "expected"),
    [
        (0.951 * math.log(10), None, AT_CHANCE),
        (0.949 * math.log(10), None, None),
        (0.951 * math.log(10), 1000, None),
        (0.951 * math.log(1000), 1000, AT_CHANCE),
    ],
)
def test_a_loss_that_has_not_left_chance(tmp_path, loss, outputs, expected):
    made = store(tmp_path)
    assert Training(made).reason([trial_of(made, 0.99, loss=loss, outputs=outputs)]) == expected


@pytest.mark.parametrize(
    ("top1", "expected"),
    [
        (0.8, None),
        (0.799, BEATEN["nearest_top1"]),
        (0.11, BEATEN["majority_top1"]),
        (0.09, BEATEN["chance_top1"]),
    ],
)
def test_beaten_by_what_needs_no_training(tmp_path, top1, expected):
    made = store(tmp_path)
    assert Training(made).reason([trial_of(made, top1)]) == expected


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 0.5), (4.0, 0.9), (10.0, 1.0), (0.5, 0.3)])
def test_a_student_has_left_chance_where_guessing_of_a_sure_teacher_has_not(tmp_path, temperature, weight):
    sure, even = torch.zeros(1, 10), torch.zeros(1, 10)
    sure[0, 3] = 1e4
    by_teacher = nn.KLDivLoss(reduction="batchmean")(
        F.log_softmax(even / temperature, 1), F.softmax(sure / temperature, 1)
    )
    by_labels = F.cross_entropy(even, torch.tensor([3]))
    guessing = float((1 - weight) * by_labels + weight * temperature**2 * by_teacher)
    soft = {"kind": "soft", "temperature": temperature, "weight": weight, "by": "class"}
    made = store(tmp_path)
    for share, expected in ((0.951, AT_CHANCE), (0.949, None)):
        student = trial_of(made, 0.99, loss=share * guessing)
        student.identity.recipe["distill"] = soft
        assert Training(made).reason([student]) == expected


def test_it_is_the_mean_over_the_trials_that_counts(tmp_path):
    made = store(tmp_path)
    first, second = trial_of(made, 0.81), trial_of(made, 0.88, draw=1)
    assert Training(made).reason([second]) == BEATEN["nearest_top1"]
    assert Training(made).reason([first, second]) == BEATEN["nearest_top1"]
    assert Training(made).reason([trial_of(made, 0.82), second]) is None


def test_a_diverged_trial_counts_at_chance_and_a_probe_has_no_loss(tmp_path):
    made = store(tmp_path)
    diverged = trial_of(made, None, outcome="diverged", loss=99.0)
    assert Training(made).reason([diverged]) == BEATEN["majority_top1"]
    assert Training(made).reason([trial_of(made, 0.9, draw=1)]) is None


def test_without_baselines_there_is_chance(tmp_path):
    made = store(tmp_path, nearest=())
    assert Training(made).reason([trial_of(made, 0.11)]) is None
    assert Training(made).reason([trial_of(made, 0.09)]) == BEATEN["chance_top1"]
    assert Training(made).baseline(trial_of(made, 0.5)) is None


def test_the_last_tenth_of_the_steps_counts_by_their_number():
    history = pd.DataFrame({"step": [50, 89, 94, 100], "loss": [9.0, 7.0, 1.0, 4.0]})
    # 5 steps of the row that ends at 94 and 6 of that which ends at 100: rows count where they end.
    assert last_loss(history) == pytest.approx((5 * 1.0 + 6 * 4.0) / 11)
    assert last_loss(pd.DataFrame({"step": [3], "loss": [2.0]})) == 2.0


def test_one_model_is_one_network_with_the_same_weights(tmp_path):
    made = store(tmp_path)
    assert same_model([trial_of(made, 1.0), trial_of(made, 1.0, draw=1)])
    assert not same_model([trial_of(made, 1.0), trial_of(made, 1.0, model="resnet")])
    assert not same_model([trial_of(made, 1.0), trial_of(made, 1.0, weights="f00")])


def with_neighbours(root, *top1, **changes):
    """A store with the nearest neighbours of vit's features on draw 0, one run a value."""
    made = store(root, nearest=())
    for number, value in enumerate(top1):
        record = trial_of(made, value, weights="f00")
        identity = record.identity.content() | {"recipe": {"knn": {"k": number + 1}}} | changes
        run = digest(identity)
        content = record.content() | {"format": 1, "id": run, "identity": identity}
        del content["evaluation"], content["condition"]
        path = made.files(run).record
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    return RunStore(root)


def test_beaten_by_neighbours_on_its_own_features(tmp_path):
    training = Training(with_neighbours(tmp_path, 0.6))
    made, why = RunStore(tmp_path), BEATEN["own_features_top1"]
    assert training.reason([trial_of(made, 0.59, weights="f00")]) == why
    assert training.reason([trial_of(made, 0.61, weights="f00")]) is None
    # Other weights, another model, another draw have other features.
    assert training.reason([trial_of(made, 0.59)]) is None
    assert training.reason([trial_of(made, 0.59, weights="f00", model="cnn")]) is None
    assert training.reason([trial_of(made, 0.59, weights="f00", draw=1)]) is None


def test_neighbours_do_not_beat_each_other_and_the_lowest_counts(tmp_path):
    made = with_neighbours(tmp_path, 0.6, 0.5)
    training = Training(made)
    assert [training.reason([record]) for record in made.results()] == [None, None]
    assert training.reason([trial_of(made, 0.55, weights="f00")]) is None
    assert training.reason([trial_of(made, 0.45, weights="f00")]) == BEATEN["own_features_top1"]


def test_at_another_size_features_are_others(tmp_path):
    training = Training(with_neighbours(tmp_path, 0.6, input_size=8))
    assert training.reason([trial_of(RunStore(tmp_path), 0.59, weights="f00")]) is None


@pytest.mark.parametrize(
    ("top1", "expected"),
    [(0.775, None), (0.65, None), (0.6, BEATEN["nearest_top1"]), (0.0, BEATEN["chance_top1"])],
)
def test_one_trial_fails_by_more_than_40_test_images_explain(tmp_path, top1, expected):
    """26 of 40 beside 32 of 40 right has a one-sided p-value of 7 %, 24 of 40 one of 3 %."""
    made = store(tmp_path)
    one = trial_of(made, top1)
    assert Training(made).failure(one) == expected
    (told,) = accuracy_table({one.id: one}, {}, Training(made))["not_trained"]
    assert told == expected or (expected is None and pd.isna(told))
    assert Training(made).reason([one]) is not None  # on average over trials it would not count as trained


def test_one_trial_fails_that_diverged_or_never_left_chance(tmp_path):
    made = store(tmp_path)
    assert Training(made).failure(trial_of(made, None, outcome="diverged", loss=99.0)) == DIVERGED
    at_chance = trial_of(made, 0.99, loss=0.96 * math.log(10))
    assert Training(made).failure(at_chance) == AT_CHANCE


@pytest.mark.parametrize("images", [40, 600])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_good_trials_rarely_fail(images, share):
    """Trials that are as good as a baseline are seldom found to be beaten."""
    right = np.random.default_rng(0).binomial(images, share, (4000, 2)) / images
    beaten = np.mean([p_beaten(own, other, images) <= 0.05 for own, other in right])
    assert 0.005 < beaten < 0.06


def test_p_values_are_near_those_of_fishers_exact_test():
    for own, other in ((20, 30), (300, 330), (5, 9)):
        exact = stats.fisher_exact([[own, 600 - own], [other, 600 - other]], alternative="less").pvalue
        assert exact - 0.06 < p_beaten(own / 600, other / 600, 600) < exact + 0.02
