"""Whole trials: what is stored, what is repeatable, what is never looked at."""

from itertools import chain, repeat

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import accuracy_score, log_loss, recall_score, top_k_accuracy_score

import bench.running.execute as execute_module
import bench.training.train_network as train_network
from bench.training.evaluate import predict
from bench.training.inputs import Inputs
from bench.training.observer import Silent


def weights(store, outcome):
    return load_file(store.files(outcome.job.training.id).weights)


def same(first, second):
    assert first.keys() == second.keys()
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_a_finished_trial_is_stored_whole(tiny, run):
    store, outcomes = run(tiny)
    assert [outcome.status for outcome in outcomes] == ["finished", "finished"]
    for outcome in outcomes:
        record = store.result(outcome.job.training.id)
        folder = store.folder_of("runs", record.id)
        assert record == outcome.record
        assert record.data.train_images == 30 and record.test_evaluations == 1
        # 30 images in batches of 8 are 3 steps an epoch; 4 epochs are 12 steps, over the minimum of 8.
        assert record.steps == 12 and record.images_seen == 96 and record.epochs == 4
        assert sorted(path.name for path in folder.iterdir()) == [
            "history.parquet",
            "record.json",
            "weights.safetensors",
        ]
        evaluated = store.folder_of("evaluations", record.evaluation.id)
        names = ["predictions.parquet", "probabilities.npy", "record.json"]
        assert sorted(path.name for path in evaluated.iterdir()) == names
        history = pd.read_parquet(folder / "history.parquet")
        assert history["step"].tolist() == list(range(1, 13))
        assert history["val_top1"].iloc[-1] == pytest.approx(record.metrics.val_top1)


def test_metrics_are_those_of_scikit_learn(tiny, run):
    store, (outcome, _) = run(tiny)
    record = outcome.record
    labels = store.labels(record.data)["label"].to_numpy()
    probabilities = np.load(store.evaluation_files(record.id).probabilities).astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    metrics = record.metrics
    assert len(labels) == record.data.test_images == 600
    assert metrics.top1 == pytest.approx(accuracy_score(labels, probabilities.argmax(1)), abs=2e-3)
    assert metrics.top5 == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5), abs=2e-3)
    recall = recall_score(labels, probabilities.argmax(1), average="macro")
    assert metrics.mean_per_class == pytest.approx(recall, abs=2e-3)
    assert metrics.nll == pytest.approx(log_loss(labels, probabilities), abs=2e-3)
    predictions = store.predictions(record)
    assert (predictions["predicted"] == labels).mean() == metrics.top1
    assert ((predictions["rank"] == 0) == (predictions["predicted"] == labels)).all()


def test_one_seed_gives_one_result_and_another_gives_another(tiny, run):
    first, (a, _) = run(tiny, results="first", replicates=2, only=["vit"])
    second, outcomes = run(tiny, results="second", replicates=2, only=["vit"])
    assert same(weights(first, a), weights(second, outcomes[0]))
    folders = [store.evaluation_files(a.job.training.id).predictions for store in (first, second)]
    assert folders[0].read_bytes() == folders[1].read_bytes()
    assert not same(weights(second, outcomes[0]), weights(second, outcomes[1]))


def test_a_part_of_a_suite_is_listed_with_the_profiles_of_the_whole(tiny, run):
    store, _ = run(tiny, only=["vit"], should_stop=lambda: True)
    part = store.suite("tiny").profiles
    store, _ = run(tiny, results="whole", should_stop=lambda: True)
    assert len(part) == 2 and part == store.suite("tiny").profiles


class StopAt(Silent):
    """Asks to stop when it has been asked so many times."""

    def __init__(self, count):
        self.count = count

    def should_stop(self):
        self.count -= 1
        return self.count == 0


@pytest.mark.parametrize("model", ["vit", "resnet"])
def test_interrupted_equals_uninterrupted(tiny, run, model):
    # Mixing, erasing, stochastic depth and RandAugment all draw random numbers.
    settings = (
        "comparison.recipe=vit-strong-aug",
        "recipe.augment.scale=[0.5, 1.0]",
        "comparison.precision=bf16",
    )
    whole, (uninterrupted,) = run(tiny, results="whole", settings=settings, only=[model])
    for stops in (3, 5):
        run(tiny, results="parts", settings=settings, only=[model], follow=lambda _, n=stops: StopAt(n))
    parts, (resumed,) = run(tiny, results="parts", settings=settings, only=[model])
    assert resumed.job.training.id == uninterrupted.job.training.id
    assert same(weights(whole, uninterrupted), weights(parts, resumed))
    histories = [
        pd.read_parquet(store.files(resumed.job.training.id).history).drop(columns="images_per_s")
        for store in (whole, parts)
    ]
    pd.testing.assert_frame_equal(*histories)
    assert uninterrupted.record.metrics == resumed.record.metrics
    assert not parts.is_begun(resumed.job.training.id)


def test_a_stopped_trial_keeps_its_checkpoint_and_does_not_count(tiny, run):
    store, outcomes = run(tiny, only=["vit"], follow=lambda _: StopAt(4))
    (outcome,) = outcomes
    assert outcome.status == "stopped"
    assert store.is_begun(outcome.job.training.id) and not store.is_done(outcome.job.training.id)
    assert store.results() == []


def test_the_test_split_is_opened_after_everything_is_chosen(tiny, run, monkeypatch):
    """Neither its images nor its labels are asked for before the weights that count are fixed."""
    events = []
    images, labels = Inputs.images, Inputs.labels
    monkeypatch.setattr(Inputs, "images", lambda self, split: events.append(split) or images(self, split))
    monkeypatch.setattr(
        Inputs, "labels", lambda self, split: events.append(f"{split} labels") or labels(self, split)
    )
    original = execute_module.fit
    monkeypatch.setattr(execute_module, "fit", lambda inputs: (original(inputs), events.append("chosen"))[0])
    settings = ("comparison.recipe=tutorial", "recipe.head_outputs=10", "recipe.budget.epochs=2")
    run(tiny, only=["vit"], settings=settings)
    before, after = events[: events.index("chosen")], events[events.index("chosen") :]
    assert "val" in before and not [event for event in before if event.startswith("test")]
    assert [event for event in after if event.startswith("test")] == ["test", "test labels"]


def test_no_choice_follows_the_test_labels(tiny, run, monkeypatch):
    """With other test labels and images, the weights kept and all that is known of val stay the same."""
    settings = ("comparison.recipe=tutorial", "recipe.head_outputs=10", "recipe.budget.epochs=3")
    honest, (first,) = run(tiny, results="honest", only=["vit"], settings=settings)
    original = Inputs.labels
    monkeypatch.setattr(
        Inputs,
        "labels",
        lambda self, split: (original(self, split) + 1) % 10 if split == "test" else original(self, split),
    )
    poisoned, (second,) = run(tiny, results="poisoned", only=["vit"], settings=settings)
    assert same(weights(honest, first), weights(poisoned, second))
    assert first.record.details["kept_step"] == second.record.details["kept_step"]
    assert first.record.metrics.val_top1 == second.record.metrics.val_top1
    assert first.record.metrics.nll != second.record.metrics.nll


def test_best_val_on_few_shots_is_marked(tiny, run):
    settings = ("comparison.recipe=tutorial", "recipe.head_outputs=10", "recipe.budget.epochs=2")
    _, (outcome,) = run(tiny, only=["vit"], settings=settings)
    assert outcome.record.selection == "val-oracle" and outcome.record.protocol == "own"


def test_divergence_is_an_outcome_with_its_reason(tiny, run):
    settings = ("recipe.optimizer.lr=1e6",)
    store, (outcome,) = run(tiny, only=["vit"], settings=settings)
    assert outcome.status == "diverged" and "step" in outcome.record.reason
    assert store.is_done(outcome.job.training.id)
    assert outcome.record.test_evaluations == 0 and outcome.record.metrics.top1 is None


def test_out_of_memory_says_which_batch_would_fit(tiny, run, monkeypatch):
    import torch

    def hungry(network, *args, **options):
        forward = network.forward

        def limited(images):
            if len(images) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(images)

        network.forward = limited
        return trainer(network, *args, **options)

    trainer = train_network.Trainer
    monkeypatch.setattr(train_network, "Trainer", hungry)
    store, outcomes = run(tiny)
    assert [outcome.status for outcome in outcomes] == ["errored", "errored"]
    assert "2 would fit: --set recipe.budget.batch_size=2" in outcomes[0].message
    assert store.error(outcomes[0].job.training.id).attempts == 1 and not store.results()
    monkeypatch.undo()
    store, outcomes = run(tiny)
    assert [outcome.status for outcome in outcomes] == ["finished", "finished"]
    assert store.error(outcomes[0].job.training.id) is None


def test_one_replicate_of_every_cell_comes_before_the_second_of_any(tiny, run):
    settings = ("comparison.shots=[2, 3]", "recipe.budget.epochs=1", "recipe.budget.min_steps=1")
    _, outcomes = run(tiny, settings=settings, replicates=2)
    order = [
        (o.job.training.trial.replicate, o.job.training.trial.shots, o.job.training.trial.contestant)
        for o in outcomes
    ]
    cells = [(shots, key) for shots in (2, 3) for key in ("vit", "resnet")]
    assert order == [(replicate, *cell) for replicate in (0, 1) for cell in cells]


def test_running_again_does_nothing(tiny, run, monkeypatch):
    run(tiny)
    monkeypatch.setattr(execute_module, "fit", lambda inputs: pytest.fail("trained again"))
    _, outcomes = run(tiny)
    assert outcomes == []


def test_stopped_is_raised_while_evaluating_too(tiny, run, monkeypatch):
    class StopInEvaluation(Silent):
        evaluating = False

        def progress(self, phase, done, total, **numbers):
            self.evaluating = phase == "evaluating train" or self.evaluating

        def should_stop(self):
            return self.evaluating

    observer = StopInEvaluation()
    store, (outcome,) = run(tiny, only=["vit"], follow=lambda _: observer)
    assert outcome.status == "stopped" and not store.is_done(outcome.job.training.id)
    # What was trained is kept, all of it, and not trained again.
    files = store.files(outcome.job.training.id)
    before = files.weights.read_bytes()
    monkeypatch.setattr(train_network, "Trainer", lambda *args, **how: pytest.fail("trained again"))
    _, (outcome,) = run(tiny, only=["vit"])
    assert outcome.status == "finished" and files.weights.read_bytes() == before
    monkeypatch.undo()
    _, (whole, _) = run(tiny, results="whole")
    assert outcome.record.metrics == whole.record.metrics
    assert outcome.record.details.keys() == whole.record.details.keys()


def test_val_is_looked_at_in_training_alone(tiny, run, monkeypatch):
    """The record has what training saw when it reached the weights that count: here after the first epoch."""
    looks = []
    monkeypatch.setattr(
        train_network, "predict", lambda *args, **how: looks.append(how["phase"]) or predict(*args, **how)
    )
    rates = chain([0.9], repeat(0.1))
    true = train_network.score
    monkeypatch.setattr(train_network, "score", lambda *args: true(*args) | {"top1": next(rates)})
    settings = ("comparison.recipe=tutorial", "recipe.head_outputs=10", "recipe.budget.epochs=2")
    store, (outcome,) = run(tiny, only=["vit"], settings=settings)
    record = outcome.record
    assert sorted(looks) == ["evaluating test", "evaluating train", *["evaluating val"] * int(record.epochs)]
    assert record.details["kept_step"] == record.steps / record.epochs
    history = pd.read_parquet(store.files(record.id).history)
    (row,) = history[history["step"] == record.details["kept_step"]].to_dict("records")
    assert record.metrics.val_top1 == row["val_top1"] == 0.9
    assert record.metrics.val_nll == row["val_nll"]
