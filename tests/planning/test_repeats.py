"""Repeats of k-fold in a plan: which trials they are, with which data, seeds, teachers and entries."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from bench.files import digest
from bench.planning.listing import listing
from bench.planning.plan import Resolver, trials_of
from bench.planning.repeats import by_repeat, repeat_identity, whole_repeats
from bench.spec.suite import load_suite

COMPARISON = {
    "name": "own",
    "split_id": "kfold-3",
    "contestants": ["vit"],
    "recipe": "scratch",
    "input_size": 16,
    "replicates": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("planned") / "shapes"
    for number in range(18):
        place = path / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), number, dtype=np.uint8)).save(place)
    return path


@pytest.fixture
def planned(folder):
    """The jobs of a comparison with these changes."""

    def call(models=None, **changes):
        suite = load_suite(content_of(folder, models, **changes))
        resolver = Resolver(folder, folder, None)
        return suite, resolver.resolve_all(trials_of(suite))

    return call


def test_every_repeat_has_all_folds_with_one_draw_and_seeds_of_their_own(planned):
    _, jobs = planned(shots=[2, "all"])
    assert len(jobs) == 2 * 2 * 3
    for job in jobs:
        identity, repeat = job.identity, job.trial.replicate
        fold = int(identity["split_id"][-1])
        assert identity["split_id"] == f"kfold-3-repeat-{repeat}-fold-{fold}"
        assert (identity["draw_seed"], identity["seed"]) == (repeat, repeat * 3 + fold)
        assert identity["shots"] == job.trial.shots
        assert f"replicate {repeat} fold {fold}" in job.trial.where
    assert len({job.id for job in jobs}) == len(jobs)


def test_an_entry_is_one_repeat_by_the_ids_of_its_folds(planned):
    suite, jobs = planned(shots=[2, "all"])
    entries = listing(suite, jobs, ()).trials
    assert len(entries) == 2 * 2
    by_id = {job.id: job for job in jobs}
    for entry in entries:
        folds = [by_id[run] for run in entry.folds]
        assert [job.trial.split_id[-1] for job in folds] == ["0", "1", "2"]
        assert {(job.trial.shots, job.trial.replicate) for job in folds} == {(entry.shots, entry.replicate)}
        expected = folds[0].identity | {
            "split_id": "kfold-3", "seed": entry.replicate, "folds": entry.folds,
        }  # fmt: skip
        assert repeat_identity(folds) == expected and entry.id == digest(expected)
    assert listing(suite, jobs, ()).comparisons[0].split_id == "kfold-3"
    assert set(listing(suite, jobs, ()).trainings) == set(by_id)


def test_a_repeat_that_is_planned_in_part_is_no_repeat(planned):
    _, jobs = planned()
    assert [len(own) for own in by_repeat(jobs)] == [3, 3]
    assert len(whole_repeats(jobs)) == 2 and len(whole_repeats(jobs[1:])) == 1


def test_a_teacher_is_that_of_the_same_fold(planned):
    models = {
        "student": {"model": "vit_digits", "recipe": "deit", "set": {"distill.teacher": "cnn"}},
        "cnn": {"model": "resnet_digits"},
    }
    suite, jobs = planned(models, contestants=["cnn", "student"])
    taught = [job for job in jobs if job.teacher]
    assert len(taught) == 6
    for job in taught:
        assert job.teacher.identity["split_id"] == job.identity["split_id"]
    entries = listing(suite, jobs, ()).trials
    taught = {run: teacher for entry in entries for run, teacher in entry.teachers.items()}
    assert taught == {job.id: job.teacher.id for job in jobs if job.teacher} and len(taught) == 6


def test_a_probe_on_all_images_is_repeated_as_its_folds_differ(planned):
    suite, _ = planned()
    comparison = suite.comparison[0].model_copy(update={"recipe": "linear-probe"})
    trials = trials_of(suite.model_copy(update={"comparison": (comparison,)}))
    assert [trial.replicate for trial in trials] == [0, 0, 0, 1, 1, 1]


def test_replicates_until_decided_are_repeats(planned):
    two = {"vit": {"model": "vit_digits"}, "resnet": {"model": "resnet_digits"}}
    suite, _ = planned(
        models=two,
        contestants=[*two],
        contrasts=[[*two]],
        replicates={"start": 3, "until": "decided", "max": 5},
    )
    trials = trials_of(suite)
    assert len(trials) == 2 * 5 * 3
    assert {trial.replicate for trial in trials if trial.optional} == {3, 4}


def test_suites_without_folds_have_the_entries_that_they_had(planned):
    suite, jobs = planned(split_id="stratified-70-10-20")
    (first, second) = listing(suite, jobs, ()).content()["trials"]
    assert first["id"] == jobs[0].id and "folds" not in first and second["seed"] == 1


def test_planning_folds_does_not_import_torch(folder):
    script = (
        "import sys, json\n"
        "from bench.planning.plan import trials_of\nfrom bench.spec.suite import load_suite\n"
        f"suite = load_suite(json.loads({json.dumps(json.dumps(content_of(folder)))}))\n"
        "assert len(trials_of(suite)) == 6 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def content_of(folder, models=None, **changes):
    comparison = COMPARISON | {"dataset": f"folder:{folder}"} | changes
    models = models or {"vit": {"model": "vit_digits"}}
    return {"name": "own", "title": "own", "description": "", "models": models, "comparison": [comparison]}
