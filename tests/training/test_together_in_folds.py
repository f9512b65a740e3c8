"""That images of one group, and equal images, are in one fold wherever training images are divided."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import save_file

from bench.errors import DataError
from bench.networks import find_card, make_model, resolve_weights
from bench.planning.plan import Resolver, trials_of
from bench.planning.tune import _search_job
from bench.spec.recipe import Probe, load_recipe
from bench.spec.suite import load_suite
from bench.training import frozen
from bench.training.inputs import Inputs


@pytest.fixture(params=["groups", "copies"])
def job_and_resolver(tmp_path, request):
    """120 images, each four of which are of one group, or equal."""
    rows, grouped = [], request.param == "groups"
    for i in range(120):
        shade = i if grouped else i // 4
        Image.new("RGB", (8, 8), (shade, 2 * shade, 7)).save(tmp_path / f"{i:03d}.png")
        label = "ab"[i % 2 if grouped else i // 4 % 2]
        rows.append({"path": f"{i:03d}.png", "label": label} | ({"group": f"g{i // 4}"} if grouped else {}))
    pd.DataFrame(rows).to_csv(tmp_path / "plants.csv", index=False)
    suite = load_suite(
        {
            "name": "plants",
            "title": "plants",
            "description": "for tests",
            "models": {"vit": {"model": "vit_digits", "weights": "none"}},
            "comparison": [
                {
                    "name": "own",
                    "dataset": f"table:{tmp_path / 'plants.csv'}",
                    "contestants": ["vit"],
                    "recipe": "scratch",
                    "shots": ["all"],
                    "replicates": 1,
                    "input_size": 16,
                }
            ],
        }
    )
    resolver = Resolver(tmp_path, tmp_path, None)
    return resolver.resolve(trials_of(suite)[0]), resolver


def units_of(dataset):
    """Which four each training image belongs to, by its file."""
    return np.array([int(dataset.file(i)[:3]) // 4 for i in dataset.splits["train"].tolist()])


def test_no_fold_of_a_search_separates_them(job_and_resolver):
    job, resolver = job_and_resolver
    held = []
    for fold in range(5):
        search = _search_job(job, {"fold": fold, "folds": 5}, job.train_images // 5)
        inputs = Inputs.open(search, resolver, "cpu", None, None)
        units = units_of(inputs.dataset)
        assert not set(units[inputs.positions]) & set(units[inputs.held_out])
        held += inputs.held_out.tolist()
    assert sorted(held) == list(range(job.train_images))


def test_a_job_is_not_done_on_other_images_than_it_was_planned_for(job_and_resolver, tmp_path):
    """As a worker would, which opens the data set by itself."""
    job, _ = job_and_resolver
    Inputs.open(job, Resolver(tmp_path, tmp_path, None), "cpu", None, None)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "003.png")
    with pytest.raises(DataError, match=r"plants.csv: was changed since it was planned; run the same"):
        Inputs.open(job, Resolver(tmp_path, tmp_path, None), "cpu", None, None)


def test_a_probe_is_given_them(job_and_resolver, monkeypatch):
    job, resolver = job_and_resolver
    inputs = Inputs.open(job, resolver, "cpu", None, None)
    seen = []

    def fit(features, labels, classes, recipe, *, groups, **more):
        seen.append(groups)
        raise KeyboardInterrupt

    monkeypatch.setattr(frozen.probe, "fit", fit)
    recipe = SimpleNamespace(probe=Probe(), head_outputs=None)
    monkeypatch.setattr(Inputs, "trial", SimpleNamespace(recipe=recipe))
    inputs.observer = SimpleNamespace(should_stop=None)
    with pytest.raises(KeyboardInterrupt):
        frozen._fit_probe(inputs, np.zeros((job.train_images, 2)), inputs.labels("train"))
    same = np.equal.outer(seen[0], seen[0])
    units = units_of(inputs.dataset)[inputs.positions]
    assert (same == np.equal.outer(units, units)).all()


def test_the_id_says_that_copies_are_together(tmp_path, job_and_resolver):
    """An id of before it was so would stand for another result."""
    job, resolver = job_and_resolver
    dataset = resolver.dataset(job.trial)
    assert dataset.fold_rule == ({} if dataset.groups is not None else {"copies": "together"})
    card = find_card("vit_digits")
    network = make_model(
        card, resolve_weights(card, "none", tmp_path, download=False), classes=2, input_size=16
    )
    save_file(network.state_dict(), tmp_path / "vit.safetensors")
    weights = f"file:{tmp_path / 'vit.safetensors'}"
    probe = resolver.resolve(replace(job.trial, recipe=load_recipe("linear-probe"), weights=weights))
    assert probe.identity.get("copies") == dataset.fold_rule.get("copies")
    assert "copies" not in job.identity  # nothing is divided in training
