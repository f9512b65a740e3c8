"""The baselines against scikit-learn, and that `run` makes them on the images of the trials."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from bench.data import draw_subset, open_dataset
from bench.data.base import Dataset
from bench.planning.plan import Resolver, trials_of
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.training.baselines import (
    Stopped,
    majority_class,
    measure_baselines,
    nearest_by_statistics,
    nearest_classes,
    raw_pixels,
    statistics,
)


def digits(tmp_path) -> Dataset:
    return open_dataset("digits", None, tmp_path)


def test_nearest_neighbour_and_majority_are_those_of_scikit_learn_on_its_own_digits(tmp_path):
    """On scikit-learn's own 64 numbers an image, not on what our data set makes of them."""
    dataset, pixels = digits(tmp_path), load_digits().data
    train, test = (pixels[dataset.splits[split]] for split in ("train", "test"))
    labels, truth = dataset.split_labels("train"), dataset.split_labels("test")
    subsets = [
        draw_subset("digits", dataset.split_id, labels, shots, seed)
        for shots, seed in ((2, 0), (5, 1), (20, 0), (20, 2), (None, 0))
    ]
    found = nearest_classes(raw_pixels(dataset, "train"), labels, raw_pixels(dataset, "test"), subsets)
    for positions, predicted in zip(subsets, found, strict=True):
        known = KNeighborsClassifier(1, algorithm="brute").fit(train[positions], labels[positions])
        # Levels 0..16 are spread over 0..255 and rounded, which can turn near ties.
        assert (predicted == known.predict(test)).mean() > 0.995
        assert (predicted == truth).mean() == pytest.approx(known.score(test, truth), abs=0.004)
        most = DummyClassifier(strategy="most_frequent").fit(train[positions], labels[positions])
        assert majority_class(labels[positions]) == most.predict(test[:1])[0]


@pytest.mark.parametrize(("shots", "expected"), [(2, 0.779), (5, 0.852), (20, 0.947), (None, 0.978)])
def test_digits_as_measured_elsewhere(tmp_path, shots, expected):
    """The mean of three draws, as scripts that know nothing of this project gave it."""
    dataset = digits(tmp_path)
    labels, truth = dataset.split_labels("train"), dataset.split_labels("test")
    subsets = [draw_subset("digits", dataset.split_id, labels, shots, seed) for seed in range(3)]
    found = nearest_classes(raw_pixels(dataset, "train"), labels, raw_pixels(dataset, "test"), subsets)
    assert np.mean([(predicted == truth).mean() for predicted in found]) == pytest.approx(expected, abs=5e-4)


def test_the_nearest_by_brute_force_over_more_images_than_a_batch():
    generator = np.random.default_rng(0)
    train, test = (generator.integers(-9, 9, (n, 12)).astype(np.float32) for n in (40, 600))
    labels = generator.integers(0, 5, 40)
    subset = np.array([1, 4, 5, 17, 30])
    (found,) = nearest_classes(train, labels, test, [subset])
    squares = ((test[:, None] - train[None, subset]) ** 2).sum(-1)
    assert (found == labels[subset][squares.argmin(1)]).all()


def test_large_images_are_scaled_down_and_those_of_large_sets_further(tmp_path, monkeypatch):
    image = np.zeros((60, 40, 3), np.uint8)
    image[:, 20:] = 255
    dataset = Dataset(
        name="halves",
        split_id="given",
        class_names=["a", "b"],
        labels=np.array([0, 1, 0, 1]),
        splits={"train": np.arange(3), "val": np.arange(0), "test": np.arange(3, 4)},
        fingerprint="halves",
        copy="own data",
        read=lambda i: image,
        source=lambda i: "image",
    )
    pixels = raw_pixels(dataset, "train").reshape(3, 32, 32, 3)
    assert (pixels[:, :, :15] == -128).all() and (pixels[:, :, 17:] == 127).all()
    monkeypatch.setattr("bench.training.baselines.MANY", 2)
    assert raw_pixels(dataset, "train").shape == (3, 3 * 16 * 16)


def test_image_statistics_are_what_they_are_called_and_find_the_nearest():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (60, 16, 16, 3)).astype(np.float32) - 128
    images *= rng.uniform(0.2, 1, (60, 1, 1, 3)).astype(np.float32)
    found = statistics(images.reshape(60, -1))
    for image, numbers in zip(images.astype(float), found, strict=True):
        grey = image.mean(2)
        expected = [image[..., c].mean() for c in range(3)] + [image[..., c].std() for c in range(3)]
        expected += [np.abs(grey[:, 1:] - grey[:, :-1]).mean(), np.abs(grey[1:] - grey[:-1]).mean()]
        np.testing.assert_allclose(numbers, expected, rtol=1e-3, atol=1e-3)
    labels = rng.integers(0, 4, 40)
    scaler = StandardScaler().fit(found[:40])
    known = KNeighborsClassifier(1, algorithm="brute").fit(scaler.transform(found[:40]), labels)
    own = nearest_by_statistics(found[:40], labels, found[40:])
    assert own.tolist() == known.predict(scaler.transform(found[40:])).tolist()
    one = nearest_by_statistics(found[:1], labels[:1], found[40:])
    assert set(one.tolist()) == {labels[0]}


SUITE = """
title = "two"
description = "for tests"
[models]
resnet = { model = "resnet_digits" }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["resnet"]
recipe = "scratch"
shots = [2, "all"]
replicates = 2
input_size = 16
"""


def test_each_subset_and_draw_has_a_record_of_its_own(tmp_path):
    (tmp_path / "two.toml").write_text(SUITE)
    store = RunStore(tmp_path / "store")
    store.prepare()
    resolver = Resolver(tmp_path, tmp_path, store.root)
    trials = resolver.resolve_all(trials_of(load_suite(str(tmp_path / "two.toml"))))
    assert measure_baselines(trials, resolver.dataset, store, should_stop=lambda: True) == 0
    assert measure_baselines(trials, resolver.dataset, store) == 3
    places = {(r.shots, r.draw_seed, r.data.train_images) for r in store.baselines()}
    assert places == {(2, 0, 20), (2, 1, 20), (None, None, 997)}
    assert all(r.chance_top1 == 0.1 and r.pixels == 8 for r in store.baselines())
    whole = next(r for r in store.baselines() if r.shots is None)
    dataset = digits(tmp_path)
    most = np.bincount(dataset.split_labels("train")).argmax()
    assert whole.majority_top1 == (dataset.split_labels("test") == most).mean()
    assert measure_baselines(trials, lambda trial: pytest.fail("opened"), store) == 0


def test_a_wish_to_stop_is_heeded_between_batches():
    with pytest.raises(Stopped):
        pixels = np.zeros((4, 3), np.float32)
        nearest_classes(pixels, np.zeros(4, int), pixels, [np.arange(4)], should_stop=lambda: True)
