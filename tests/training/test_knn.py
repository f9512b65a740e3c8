"""Nearest neighbours and class means on frozen features against scikit-learn."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.preprocessing import Normalizer

from bench.data import draw_subset, open_dataset
from bench.errors import InputError, WeightsError
from bench.metrics.accuracy import score
from bench.networks import find_card, make_model, resolve_weights
from bench.networks.weight_file import tensors_as_bytes
from bench.spec.recipe import Knn, Recipe, load_recipe
from bench.spec.toml import parse
from bench.tables.tables import build_tables
from bench.training import knn
from bench.training.frozen import class_means, nearness
from bench.training.knn import NearestNeighbours, expected_seconds
from bench.training.observer import Stopped
from bench.training.stored import read_neighbours

SUITE = """
title = "frozen"
description = "for tests"
[models]
vit = { model = "vit_digits", weights = "file:vit.safetensors" }
[[comparison]]
name = "probe"
dataset = "digits"
contestants = ["vit"]
recipe = "linear-probe"
shots = [3, "all"]
replicates = 2
input_size = 16
[[comparison]]
name = "knn"
dataset = "digits"
contestants = ["vit"]
recipe = "knn"
shots = [3, "all"]
replicates = 2
input_size = 16
"""


def features(images, seed=0, classes=6, width=12):
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centres = np.random.default_rng(9).normal(size=(classes, width))
    lengths = random.uniform(0.1, 10, (images, 1))
    return (lengths * (centres[labels] + random.normal(size=(images, width)))).astype(np.float32), labels


@pytest.mark.parametrize("recipe", [Knn(), Knn(k=1), Knn(k=7, temperature=0.5), Knn(k=1000, temperature=2.0)])
def test_the_votes_are_those_of_scikit_learn(recipe, monkeypatch):
    monkeypatch.setattr(knn, "ROWS", 16)
    (x, labels), (test, _) = features(90), features(50, seed=1)
    ours = NearestNeighbours.of(x, labels, 6, recipe)
    theirs = KNeighborsClassifier(
        n_neighbors=min(recipe.k, 90),
        metric="cosine",
        weights=lambda distance: np.exp((1 - distance) / recipe.temperature),
    ).fit(x.astype(float), labels)
    # One vote of k + 1 is spread over the six classes.
    votes = theirs.predict_proba(test.astype(float))
    wanted = (votes * ours.k + 1 / 6) / (ours.k + 1)
    np.testing.assert_allclose(np.exp(ours.logits(test)), wanted, rtol=1e-4)
    assert (ours.logits(test).argmax(1) == votes.argmax(1)).all() and ours.k == min(recipe.k, 90)


def test_one_image_per_class_is_the_nearest_whatever_the_temperature():
    (x, labels), (test, _) = features(6), features(50, seed=1)
    nearest = (Normalizer().transform(test) @ Normalizer().transform(x).T).argmax(1)
    for recipe in (Knn(), Knn(temperature=5.0)):
        assert (NearestNeighbours.of(x, labels, 6, recipe).logits(test).argmax(1) == nearest).all()


def test_class_means_are_those_of_scikit_learn():
    (x, labels), (test, true) = features(60), features(50, seed=1)
    theirs = NearestCentroid().fit(Normalizer().transform(x), labels)
    means = class_means(x, labels, 6)
    np.testing.assert_allclose(means, theirs.centroids_, rtol=1e-5)
    predicted = nearness(test, means).argmax(1)
    assert (predicted == theirs.predict(Normalizer().transform(test))).all()
    assert score(nearness(test, means), true)["top1"] > 0.5


def test_a_class_without_images_is_predicted_for_none():
    x, labels = features(60)
    logits = nearness(-100 * x, class_means(x, labels, 8))
    assert np.isfinite(logits).all() and logits.argmax(1).max() < 6
    assert np.isfinite(NearestNeighbours.of(x, labels, 8, Knn()).logits(x)).all()


def test_the_stored_neighbours_vote_as_before(tmp_path):
    (x, labels), (test, _) = features(60), features(20, seed=1)
    ours = NearestNeighbours.of(x, labels, 6, Knn(k=3))
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.numpy() for name, tensor in ours.tensors().items()}, path)
    assert load_file(path)["labels"].tolist() == labels.tolist()
    again = read_neighbours(path, Knn(k=3), 6)
    np.testing.assert_allclose(again.logits(test), ours.logits(test), rtol=1e-5)
    save_file({"weight": x}, path)
    with pytest.raises(
        WeightsError, match="not the weights of nearest neighbours, which are features and labels"
    ):
        read_neighbours(path, Knn(), 6)


def test_it_stops_when_it_is_asked_to():
    x, labels = features(600)
    with pytest.raises(Stopped):
        NearestNeighbours.of(x, labels, 6, Knn(), should_stop=lambda: True).logits(x)


def test_its_time_grows_with_both_numbers_of_images():
    once = expected_seconds(100, 1000, 64)
    assert expected_seconds(200, 3000, 64) == pytest.approx(6 * once)


def test_a_recipe_is_of_one_kind():
    recipe = load_recipe("knn")
    assert recipe.frozen and load_recipe("linear-probe").frozen and not load_recipe("scratch").frozen
    assert recipe.identity()["knn"] == {"k": 20, "temperature": 0.07}
    assert "knn" not in load_recipe("linear-probe").identity()
    values = recipe.model_dump(mode="json")
    for more in ({"probe": {}}, {"knn": None}, {"optimizer": {"lr": 0.1}}):
        with pytest.raises(
            InputError, match=r"either \[budget\] and \[optimizer\], or \[probe\], or \[knn\]"
        ):
            parse(values | more, Recipe, where="mine")
    with pytest.raises(InputError, match='key "knn.k".*greater than or equal to 1'):
        parse(values | {"knn": {"k": 0}}, Recipe, where="mine")


def test_a_suite_reads_its_features_once_and_stores_what_scikit_learn_says(run, tmp_path, monkeypatch):
    card = find_card("vit_digits")
    none = resolve_weights(card, "none", tmp_path, download=False)
    network = make_model(card, none, classes=10, input_size=16, seed=4)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vit.safetensors").write_bytes(tensors_as_bytes(network.state_dict()))
    (tmp_path / "frozen.toml").write_text(SUITE)
    monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path / "cache"))
    store, outcomes = run(tmp_path / "frozen.toml")
    # Two draws of 3 images per class; all images are one deterministic run.
    assert len(outcomes) == 6 and all(outcome.status == "finished" for outcome in outcomes)
    files = list((tmp_path / "cache" / "features").glob("*.npy"))
    stored = {path.name.split("-")[1]: np.load(path) for path in files}
    assert stored.keys() == {"train", "val", "test"} and len(files) == 3
    dataset = open_dataset("digits", None, tmp_path)
    truth = dataset.split_labels("test")
    for outcome in outcomes:
        record = outcome.record
        assert record.identity.seed is None
        shots, draw = record.identity.shots, record.identity.draw_seed or 0
        train = dataset.split_labels("train")
        own = draw_subset(dataset.id_name, dataset.split_id, train, shots, draw)
        centroids = NearestCentroid().fit(Normalizer().transform(stored["train"][own]), train[own])
        right = centroids.predict(Normalizer().transform(stored["test"])) == truth
        assert record.metrics.class_mean_top1 == pytest.approx(right.mean(), abs=1 / len(truth))
        if record.recipe != "knn":
            continue
        theirs = KNeighborsClassifier(
            n_neighbors=min(20, len(own)), metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)
        ).fit(stored["train"][own].astype(float), train[own])
        right = theirs.predict(stored["test"].astype(float)) == truth
        assert record.metrics.top1 == pytest.approx(right.mean(), abs=1 / len(truth))
        assert record.details["k"] == min(20, len(own)) and record.images_seen == len(own)
    table = build_tables(store)["accuracy"]
    assert table["class_mean_top1"].notna().all()
