"""Replicates until decided: which trials are planned, run and listed, round by round."""

from collections import Counter

import pytest
from PIL import Image

from bench.errors import InputError
from bench.planning.plan import Resolver, trials_of
from bench.planning.stage import Stage
from bench.running.engines.in_process import InProcess
from bench.running.runner import run_suite
from bench.running.workspace import Workspace
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables
from bench.training.observer import Silent

SUITE = """
title = "until decided"
description = "for tests"
[models]
a = { model = "vit_digits" }
b = { model = "vit_digits", set = { "budget.batch_size" = 9 } }
c = { model = "vit_digits", set = { "budget.batch_size" = 10 } }
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["a", "b", "c"]
recipe = "scratch"
shots = [2]
replicates = { start = 3, until = "decided", max = 5 }
input_size = 16
contrasts = [["a", "b"]]
exploratory = [["a", "c"]]
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = 2
"budget.batch_size" = 8
"augment.flip" = false
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "until.toml"
    path.write_text(SUITE)
    return load_suite(str(path))


def counted(items):
    return dict(Counter(item.contestant for item in items))


def test_the_first_look_is_planned_and_the_rest_is_optional(suite, tmp_path):
    trials = trials_of(suite)
    assert counted(trials) == {"a": 5, "b": 5, "c": 5}
    assert {one.replicate for one in trials if one.optional} == {3, 4}
    stage = Stage(suite, trials, Resolver(tmp_path, tmp_path, None), RunStore(tmp_path / "none"))
    assert counted(job.trial for job in stage.trials) == {"a": 3, "b": 3, "c": 3} and stage.optional == 6
    fixed = trials_of(suite, 4)
    assert counted(fixed) == {"a": 4, "b": 4, "c": 4} and not any(one.optional for one in fixed)


def test_an_undecided_contrast_gets_more_replicates_of_its_two_models(suite, tmp_path):
    workspace = Workspace(tmp_path, tmp_path, tmp_path / "store", "cpu")
    planned = []

    def run(**options):
        return run_suite(
            suite, workspace, InProcess(), follow=lambda job: Silent(), should_stop=lambda: False,
            began=lambda done, total: planned.append((done, total)), **options,
        )  # fmt: skip

    assert run()["finished"] == 13
    assert planned == [(0, 9), (9, 13)]
    listed = workspace.store.suite("until")
    assert counted(listed.trials) == {"a": 5, "b": 5, "c": 3}
    tables = build_tables(RunStore(workspace.results))
    primary, exploratory = (row for _, row in tables["contrasts"].iterrows())
    assert (primary.a, primary.b, primary.replicates, primary.looks) == ("a", "b", 5, 2)
    assert primary.alpha_spent == pytest.approx(0.05) and primary.verdict == "inconclusive"
    assert "judged after 3, 5 of at most 5 replicates" in primary.notes
    assert (exploratory.replicates, exploratory.looks, exploratory.alpha_spent) == (3, 0, 0.0)
    assert "judged" not in exploratory.notes
    # Nothing is left, also where only one model is asked for.
    assert not +run() and not +run(only=["b"])


def test_all_images_may_be_the_largest_subset(tmp_path):
    """Both sizes are one cell, whose trials are asked for once."""
    for number in range(48):
        place = tmp_path / "photos" / ("train", "test", "val")[min(number // 20, 2)] / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (5 * number, 0, 0)).save(place / f"{number}.png")
    text = SUITE.replace('dataset = "digits"', f'dataset = "folder:{tmp_path}/photos"\nsplit_id = "given"')
    (tmp_path / "own.toml").write_text(text.replace("shots = [2]", 'shots = [10, "all"]'))
    suite = load_suite(str(tmp_path / "own.toml"))
    stage = Stage(suite, trials_of(suite), Resolver(tmp_path, tmp_path, None), RunStore(tmp_path / "none"))
    assert len({job.id for job in stage.trials}) == 9


def test_no_replicates_are_refused(suite):
    for number in (0, -1):
        with pytest.raises(InputError, match=f"replicates = {number}: should be 1 or more"):
            trials_of(suite, number)
