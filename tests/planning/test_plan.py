"""Ids: what changes them, and what must not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data import open_dataset
from bench.errors import InputError
from bench.planning.plan import Resolver, distinct, trials_of
from bench.spec.job import TrainJob, Unresolved
from bench.spec.suite import load_suite
from bench.store.records.profiles import CostRecord
from bench.store.run_store import RunStore

SUITE = """
title = "t"
description = "d"
[models]
a = { model = "vit_digits" }
b = { model = "resnet_digits" }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["a", "b"]
recipe = "scratch"
shots = [2, "all"]
replicates = 2
input_size = 16
"""


@pytest.fixture
def resolved(tmp_path):
    """Resolves the suite with some text replaced."""

    def call(*changes, results="results", replicates=None):
        text = SUITE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mine.toml"
        path.write_text(text)
        resolver = Resolver(tmp_path, tmp_path / "weights", tmp_path / results)
        return resolver.resolve_all(trials_of(load_suite(str(path)), replicates))

    return call


def ids(items):
    return [item.id for item in items]


def test_ids_are_distinct_and_repeatable(resolved):
    assert len(set(ids(resolved()))) == 8
    assert ids(resolved()) == ids(resolved(results="elsewhere"))


@pytest.mark.parametrize(
    "change",
    [
        ('title = "t"', 'title = "other"'),
        ('name = "c"', 'name = "other"'),
        ("input_size = 16", "input_size = 16\ncontrasts = [['a', 'b']]"),
        ('"vit_digits" }', '"vit_digits", title = "Other" }'),
    ],
)
def test_words_do_not_change_ids(resolved, change):
    assert ids(resolved(change)) == ids(resolved())


@pytest.mark.parametrize(
    "change",
    [
        ("input_size = 16", "input_size = 24"),
        ("input_size = 16", 'input_size = 16\nprecision = "bf16"'),
        ("input_size = 16", 'input_size = 16\nset = { "budget.epochs" = 3 }'),
        ("input_size = 16", 'input_size = 16\nset = { "augment.flip" = false }'),
        ('recipe = "scratch"', 'recipe = "vit-strong-aug"'),
    ],
)
def test_what_can_change_a_number_changes_every_id(resolved, change):
    assert not set(ids(resolved(change))) & set(ids(resolved()))


def test_more_replicates_keep_the_ids_of_the_first(resolved):
    assert set(ids(resolved())) < set(ids(resolved(replicates=3)))


def test_the_whole_split_has_one_draw_and_as_many_seeds_as_replicates(resolved):
    whole = [item.identity for item in resolved() if item.trial.shots is None]
    assert {identity["draw_seed"] for identity in whole} == {None}
    assert sorted(identity["seed"] for identity in whole) == [0, 0, 1, 1]


def test_models_are_given_the_same_draws_and_seeds(resolved):
    def of(key):
        return [
            (i.trial.shots, i.identity["draw_seed"], i.identity["seed"])
            for i in resolved()
            if i.trial.contestant == key
        ]

    assert of("a") == of("b")


def test_shots_beyond_a_class_are_refused(resolved):
    smallest = np.bincount(open_dataset("digits", None, ".").split_labels("train")).min()
    with pytest.raises(InputError, match=f"has {smallest} training images; ask for at most {smallest}"):
        resolved(("[2,", f"[{smallest + 1},"))
    assert resolved(("[2,", f"[{smallest},"))


def test_missing_data_and_weights_leave_trials_unresolved(resolved):
    for change in (
        ('dataset = "digits"', 'dataset = "flowers102"'),
        ('"vit_digits" }', '"vit_digits", weights = "file:nowhere.safetensors" }'),
    ):
        found = resolved(change)
        assert any(isinstance(item, Unresolved) for item in found) and len(found) == 8
        reason = next(str(item.reason) for item in found if isinstance(item, Unresolved))
        assert "\n" not in reason


def test_unknown_models_and_datasets_are_errors(resolved):
    with pytest.raises(InputError, match='did you mean "vit_digits"'):
        resolved(('"vit_digits"', '"vit_digit"'))
    with pytest.raises(InputError, match='did you mean "digits"'):
        resolved(('"digits"\n', '"digit"\n'))


def test_a_probe_needs_pretrained_weights(resolved):
    with pytest.raises(InputError, match="frozen features"):
        resolved(('recipe = "scratch"', 'recipe = "linear-probe"'))


def test_shots_that_are_the_whole_split_are_it(tmp_path, real_data):
    """Flowers102 has 10 training images a class: all draws of 10 shots are one, and that of all images."""
    path = tmp_path / "mine.toml"
    path.write_text(
        SUITE.replace("digits\n", "flowers102\n")
        .replace('"digits"', '"flowers102"')
        .replace("[2,", "[1, 10,")
        .replace("input_size = 16", "input_size = 224")
        .replace('"vit_digits" }', '"deit_tiny_patch16_224_lnq", weights = "card", recipe = "linear-probe" }')
        .replace('"resnet_digits" }', '"resnet18" }')
    )
    resolver = Resolver(real_data, real_data / "weights", tmp_path)
    found = resolver.resolve_all(trials_of(load_suite(str(path))))
    assert all(isinstance(item, TrainJob) for item in found)
    probes = [item for item in found if item.trial.contestant == "a"]
    assert [item.trial.shots for item in probes] == [1, 10, 1]
    trained = [item.id for item in found if item.trial.contestant == "b" and item.trial.shots != 1]
    assert len(trained) == len(set(trained)) == 2


def test_plan_says_what_the_models_of_a_contrast_do_not_share(tmp_path):
    from types import SimpleNamespace

    from bench.cli.planning import unmatched_pairs

    counted = []
    store = SimpleNamespace(profiles=lambda: counted)
    path = tmp_path / "mine.toml"
    text = SUITE + 'contrasts = [["a", "b"]]\nexploratory = [["a", "c"]]\n'
    text = text.replace('"b"]\nrecipe', '"b", "c"]\nrecipe')
    text = text.replace(
        "[[comparison]]", 'c = { model = "vit_digits", recipe = "vit-strong-aug" }\n[[comparison]]'
    )

    def lines(text):
        path.write_text(text)
        suite = load_suite(str(path))
        resolver = Resolver(tmp_path, tmp_path / "weights", None)
        return unmatched_pairs(suite, resolver.resolve_all(trials_of(suite)), store, None)

    recipes = "c: a against c: unmatched recipe: scratch against vit-strong-aug"
    recipes += "; c was trained on 2.3 times the images"
    assert lines(text) == [recipes]
    pretrained = text.replace('"resnet_digits" }', '"resnet18", weights = "card" }')
    assert lines(pretrained)[0].startswith("c: a against b: unmatched pretraining: none against ")
    taught = pretrained.replace(
        'recipe = "vit-strong-aug" }', 'set = { distill = { teacher = "b", kind = "hard", by = "class" } } }'
    )
    assert lines(taught)[1].startswith("c: a against c: unmatched pretraining: none against ImageNet")
    assert lines(taught)[1].endswith(" (of the teacher) / none")
    counts = {"what": "cost", "classes": 10, "input_size": 16, "params": 1, "gmacs": 0.0}
    counted[:] = [
        CostRecord(id=model, model=model, flops=flops, **counts)
        for model, flops in (("vit_digits", 100), ("resnet_digits", 120))
    ]
    assert lines(text) == ["c: a against b: b costs 1.2 times the FLOPs", recipes]
    counted[1] = counted[1].model_copy(update={"flops": 110})
    assert lines(text) == [recipes]
    counted[0] = counted[0].model_copy(update={"params": 3})
    assert lines(text)[0] == "c: a against b: a has 3.0 times the parameters"
    longer = text.replace(
        '"resnet_digits" }', '"resnet_digits", set = { "budget.epochs" = 400, "budget.min_steps" = 0 } }'
    )
    assert "b was trained on " in lines(longer)[0] and " times the images" in lines(longer)[0]


def test_plan_says_that_two_probes_read_features_of_unequal_width(real_data):
    from bench.cli.planning import unmatched_pairs
    from bench.running.estimate import Estimator

    suite = load_suite("cpu", ())
    resolver = Resolver(real_data, real_data / "weights", None)
    found = resolver.resolve_all([trial for trial in trials_of(suite) if trial.replicate == 0])
    store = RunStore(Path("nowhere"))
    lines = unmatched_pairs(suite, found, store, Estimator(store, "cpu", resolver.dataset))
    probed = {line.split(":")[0] for line in lines if "unmatched feature width: 192 against 1280" in line}
    assert probed == {"flowers-probe", "flowers-knn", "cifar100-probe"}


def test_parts_of_a_plan_that_are_one_trial_are_listed_once(resolved):
    first = resolved()[0]
    again = replace(first, trial=replace(first.trial, replicate=7))
    elsewhere = replace(first, trial=replace(first.trial, comparison="another"))
    assert distinct([first, again, elsewhere]) == [first, elsewhere]
