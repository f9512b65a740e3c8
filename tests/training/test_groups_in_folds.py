"""That groups reach whatever divides training images."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.planning.plan import Resolver, trials_of
from bench.planning.tune import _search_job
from bench.spec.recipe import Probe
from bench.spec.suite import load_suite
from bench.training import frozen
from bench.training.inputs import Inputs


@pytest.fixture
def job_and_resolver(tmp_path):
    rows = []
    for i in range(120):
        Image.new("RGB", (8, 8), (i, 2 * i, 7)).save(tmp_path / f"{i:03d}.png")
        rows.append({"path": f"{i:03d}.png", "label": "ab"[i % 2], "group": f"g{i // 4}"})
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


def test_no_fold_of_a_search_separates_a_group(job_and_resolver):
    job, resolver = job_and_resolver
    held = []
    for fold in range(5):
        search = _search_job(job, {"fold": fold, "folds": 5}, job.train_images // 5)
        inputs = Inputs.open(search, resolver, "cpu", None, None)
        groups = inputs.dataset.groups[inputs.dataset.splits["train"]]
        assert not set(groups[inputs.positions]) & set(groups[inputs.held_out])
        assert inputs.groups("train").tolist() == groups[inputs.positions].tolist()
        assert inputs.groups("val").tolist() == groups[inputs.held_out].tolist()
        held += inputs.held_out.tolist()
    assert sorted(held) == list(range(job.train_images))


def test_a_probe_is_given_the_groups(job_and_resolver, monkeypatch):
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
    assert seen[0].tolist() == inputs.groups("train").tolist()
