"""Students and teachers from a suite's file to the store: order, failures, what is kept, what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bench.errors import InputError, StoreError
from bench.planning.plan import Resolver, plan, trials_of
from bench.planning.stage import Stage
from bench.running.engines.in_process import InProcess
from bench.running.estimate import Estimator
from bench.running.reproduce import reproduce
from bench.running.runner import run_suite
from bench.running.workspace import Workspace
from bench.spec.job import EvaluateJob, TrainJob
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.store.unneeded import remove_unneeded
from bench.tables.tables import build_tables
from bench.training import train_network
from bench.training.observer import Silent

SUITE = """
title = "t"
description = "d"
[models]
deit = { model = "vit_micro_distilled_patch4_32", recipe = "deit", set = { "distill.teacher" = "resnet" } }
vit = { model = "vit_micro_distilled_patch4_32", recipe = "vit-strong-aug" }
resnet = { model = "resnet_digits", recipe = "scratch", set = { "budget.min_steps" = 0 } }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["deit", "vit", "resnet"]
recipe = "scratch"
shots = [3]
replicates = 1
input_size = 16
set = { "budget.epochs" = 2, "budget.batch_size" = 8 }
"""

SPACE = 'space = { "optimizer.lr" = [1e-4, 1e-3] }\nrungs = [0.5, 1.0]\n'


@pytest.fixture
def folder(tmp_path):
    """Where the suite's file and its store lie."""
    return tmp_path


def suite(folder, *changes):
    """The suite with some text replaced."""
    text = SUITE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text)
    return load_suite(str(path))


def workspace(folder):
    return Workspace(folder, folder / "weights", folder / "store", "cpu")


def run(folder, *changes, follow=lambda job: Silent(), **options):
    """The store and (contestant, kind, status, message) of each job that ended."""
    outcomes = []
    run_suite(
        suite(folder, *changes),
        workspace(folder),
        InProcess(),
        follow=follow,
        should_stop=lambda: False,
        ended=outcomes.append,
        **options,
    )
    return RunStore(folder / "store"), [
        (one.job.training.trial.contestant, one.job.kind, one.status, one.message) for one in outcomes
    ]


def trained(folder, *changes, replicates=None):
    """The trials' jobs by contestant."""
    resolver = Resolver(folder, folder / "weights", None)
    jobs = resolver.resolve_all(trials_of(suite(folder, *changes), replicates))
    return {job.trial.contestant: job for job in jobs}


def test_a_teacher_comes_first_and_its_record_is_in_that_of_its_student(folder):
    jobs = trained(folder)
    assert list(jobs) == ["resnet", "deit", "vit"]
    store, outcomes = run(folder)
    kinds = [(who, kind) for who, kind, status, _ in outcomes if status == "finished"]
    assert kinds == [(who, kind) for who in ("resnet", "deit", "vit") for kind in ("train", "evaluate")]
    student, teacher = (store.result(jobs[key].id) for key in ("deit", "resnet"))
    assert student.identity.teacher == teacher.id and teacher.identity.teacher is None
    told = student.details["teacher"]
    assert (told["run"], told["model"]) == (teacher.id, "resnet_digits")
    assert told["images_seen"] == teacher.images_seen == student.images_seen == 48
    heads = {head: getattr(student.evaluation.metrics, f"{head}_top1") for head in ("class", "distillation")}
    assert all(0 <= top1 <= 1 for top1 in heads.values())
    assert not hasattr(teacher.evaluation.metrics, "distillation_top1")
    rows = build_tables(store)["accuracy"].set_index("contestant")
    cost = build_tables(store)["cost"].set_index("model")
    assert rows["teacher"].dropna().to_dict() == {"deit": teacher.id}
    assert rows.loc["deit", "distillation_top1"] == heads["distillation"]
    assert rows.loc["deit", "class_top1"] == heads["class"] and np.isnan(rows.loc["resnet", "class_top1"])
    assert rows.loc["deit", "teacher_images_seen"] == 48
    assert rows.loc["deit", "teacher_forward_flops"] == 48 * cost.loc["resnet_digits", "flops"]
    (entry,) = [one for one in store.suite("mine").trials if one.contestant == "deit"]
    assert entry.teacher == teacher.id


def test_the_identity_of_a_student_holds_its_teachers(folder):
    def ids(*changes):
        return {key: job.id for key, job in trained(folder, *changes).items()}

    before = ids()
    renamed = ids(
        ("resnet = {", "cnn = {"), ('"vit", "resnet"]', '"vit", "cnn"]'), ('= "resnet" }', '= "cnn" }')
    )
    assert renamed == {"cnn": before["resnet"], "deit": before["deit"], "vit": before["vit"]}
    other = ids(('"budget.min_steps" = 0', '"budget.min_steps" = 0, "optimizer.lr" = 1e-3'))
    assert other["vit"] == before["vit"] and not {other["deit"], other["resnet"]} & set(before.values())
    student = trained(folder)["deit"]
    assert student.needs == (before["resnet"],) and student.teacher.id == before["resnet"]
    assert student.trial.teacher.shots == student.trial.shots
    assert "teacher" not in student.identity["recipe"]["distill"]


def test_each_replicate_has_a_teacher_of_its_own(folder):
    resolver = Resolver(folder, folder / "weights", None)
    jobs = resolver.resolve_all(trials_of(suite(folder), 2))
    teachers = {job.trial.replicate: job.id for job in jobs if job.trial.contestant == "resnet"}
    students = {job.trial.replicate: job.needs for job in jobs if job.trial.contestant == "deit"}
    assert students == {0: (teachers[0],), 1: (teachers[1],)}


def test_a_student_alone_has_its_teacher_trained_and_not_evaluated(folder):
    store, outcomes = run(folder, only=["deit"])
    assert [one[:3] for one in outcomes] == [
        ("resnet", "train", "finished"),
        ("deit", "train", "finished"),
        ("deit", "evaluate", "finished"),
    ]
    jobs = trained(folder)
    assert store.result(jobs["resnet"].id) is None and store.trial(jobs["resnet"].id) is not None
    assert [job.trial.contestant for job in plan([jobs["deit"]], store) if isinstance(job, TrainJob)] == [
        "deit"
    ]


class StopAfter(Silent):
    """Asks to stop when it has been asked so many times."""

    def __init__(self, count):
        self.count = count

    def should_stop(self):
        self.count -= 1
        return self.count == 0


def test_an_interrupted_student_ends_with_the_same_weights(folder):
    (folder / "whole").mkdir()
    whole, _ = run(folder / "whole", only=["deit"])
    run_id = trained(folder)["deit"].id
    for stops in (3, 4):  # of six steps, in which training goes on from a checkpoint
        parts, outcomes = run(
            folder, only=["deit"], follow=lambda job, n=stops: StopAfter(n if job.id == run_id else -1)
        )
        assert outcomes[-1][:3] == ("deit", "train", "stopped") and parts.files(run_id).checkpoint.exists()
    parts, _ = run(folder, only=["deit"])
    first, second = (load_file(store.files(run_id).weights) for store in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert whole.result(run_id).metrics == parts.result(run_id).metrics
    assert whole.result(run_id).details.keys() == parts.result(run_id).details.keys()


def test_a_diverged_teacher_has_diverged_students(folder):
    store, outcomes = run(folder, ('"budget.min_steps" = 0', '"budget.min_steps" = 0, "optimizer.lr" = 1e6'))
    jobs = trained(folder, ('"budget.min_steps" = 0', '"budget.min_steps" = 0, "optimizer.lr" = 1e6'))
    assert [one[:3] for one in outcomes if one[0] != "vit"] == [
        ("resnet", "train", "diverged"),
        ("deit", "train", "diverged"),
    ]
    record, teacher = (store.result(jobs[key].id) for key in ("deit", "resnet"))
    assert record.reason == f"its teacher, run {teacher.id}, diverged: {teacher.reason}"
    _, outcomes = run(folder, ('"budget.min_steps" = 0', '"budget.min_steps" = 0, "optimizer.lr" = 1e6'))
    assert outcomes == []


def test_a_failed_teacher_fails_its_students_until_it_is_trained(folder, monkeypatch):
    true = train_network.Trainer

    def failing(network, *arguments, **options):
        if options["outputs"] and options.get("teacher") is None and not hasattr(network, "head_dist"):
            raise RuntimeError("no luck")
        return true(network, *arguments, **options)

    monkeypatch.setattr(train_network, "Trainer", failing)
    store, outcomes = run(folder)
    jobs = trained(folder)
    teacher, student = jobs["resnet"].id, jobs["deit"].id
    reason = f"its teacher, run {teacher}, failed: RuntimeError: no luck"
    assert [one for one in outcomes if one[0] == "deit"] == [("deit", "train", "errored", reason)]
    assert store.error(student).message == reason and store.error(student).attempts == 1
    monkeypatch.undo()
    store, outcomes = run(folder)
    assert store.is_done(student) and store.error(student) is None


@pytest.mark.parametrize("damage", ["removed", "damaged"])
def test_a_teacher_whose_weights_are_gone_is_trained_again(folder, damage):
    store, _ = run(folder, only=["resnet"])
    job = trained(folder)["resnet"]
    path, before = store.files(job.id).weights, store.files(job.id).weights.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    store, outcomes = run(folder)
    assert [one[:3] for one in outcomes if one[0] == "resnet"] == [("resnet", "train", "finished")]
    assert store.result(trained(folder)["deit"].id).outcome == "finished"
    assert path.read_bytes() == before
    assert store.result(job.id).test_evaluations == 1


def test_weights_of_a_teacher_stay_as_long_as_a_student_needs_them(folder):
    change = ('title = "t"', 'title = "t"\nkeep_weights = false')

    store, jobs = RunStore(folder / "store"), trained(folder, change)
    path = store.files(jobs["resnet"].id).weights
    began = []

    def follow(job):
        began.append((job.trial.contestant if isinstance(job, TrainJob) else "evaluation", path.exists()))
        return StopAfter(3) if isinstance(job, TrainJob) and job.trial.contestant == "deit" else Silent()

    run_suite(suite(folder, change), workspace(folder), InProcess(), follow=follow, should_stop=lambda: False)
    assert began == [("resnet", False), ("evaluation", True), ("deit", True)]
    assert store.is_begun(jobs["deit"].id) and path.exists()
    assert path not in [file for file, _ in remove_unneeded(store)] and path.exists()
    run(folder, change)
    assert not path.exists() and store.is_done(jobs["deit"].id)
    assert not any(isinstance(job, EvaluateJob) and not store.has(job) for job in plan(jobs.values(), store))
    assert all(store.has(job) for job in plan(jobs.values(), store))


def test_gc_removes_the_weights_of_a_teacher_whose_students_are_done(folder):
    change = ('title = "t"', 'title = "t"\nkeep_weights = false')
    store, _ = run(folder)
    path = store.files(trained(folder)["resnet"].id).weights
    assert not list(remove_unneeded(store))
    listing = json.loads(store.listing_of("mine").read_text())
    store.listing_of("mine").write_text(json.dumps(listing | {"keep_weights": False}))
    assert path in [file for file, _ in remove_unneeded(RunStore(folder / "store"))]
    assert run(folder, change)[1] == []


BAD = {
    "needs a teacher, another contestant (vit, resnet)": (', set = { "distill.teacher" = "resnet" }', ""),
    '"deit" is its own teacher': ('= "resnet" }', '= "deit" }'),
    'the teacher of "deit", "resnt", is no contestant of this comparison; did you mean "resnet"?': (
        '= "resnet" }',
        '= "resnt" }',
    ),
    'the teacher of "deit", "resnet", is no contestant of this comparison': ('"vit", "resnet"]', '"vit"]'),
    "deit learns from vit learns from deit": (
        'recipe = "vit-strong-aug" }',
        'recipe = "deit", set = { "distill.teacher" = "deit" } }\n[[unused]]',
    ),
    "cannot teach": (
        'recipe = "scratch", set = { "budget.min_steps" = 0 } }',
        'weights = "card", recipe = "linear-probe" }',
    ),
    "head_outputs of their recipes differ": ('"budget.min_steps" = 0', '"head_outputs" = 20'),
    "temperature is for kind": ('= "resnet" }', '= "resnet", "distill.temperature" = 3.0 }'),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_teachers_are_refused_in_one_line(folder, message):
    old, new = BAD[message]
    changes = [(old, new.replace("\n[[unused]]", ""))]
    if "learns" in message:
        changes.append(('"distill.teacher" = "resnet"', '"distill.teacher" = "vit"'))
    if "cannot" in message:
        changes.append(('set = { "budget.epochs" = 2, "budget.batch_size" = 8 }', ""))
    with pytest.raises(InputError) as error:
        trials_of(suite(folder, *changes))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_token_that_the_network_does_not_have_is_told_before_anything_is_trained(folder):
    with pytest.raises(InputError, match="vit_digits: has no distillation token.*or by = .class"):
        run(folder, ('deit = { model = "vit_micro_distilled_patch4_32"', 'deit = { model = "vit_digits"'))


def test_any_network_learns_by_its_class_token(folder):
    change = (
        'deit = { model = "vit_micro_distilled_patch4_32"',
        'deit = { model = "vit_digits"',
    )
    store, _ = run(
        folder, change, ('= "resnet" }', '= "resnet", "distill.by" = "class", "distill.kind" = "soft" }')
    )
    (record,) = [one for one in store.results() if "teacher" in one.details]
    assert record.outcome == "finished" and not hasattr(record.metrics, "distillation_top1")


def test_a_student_agrees_with_its_teacher_more_than_its_untaught_twin_does(folder):
    """The same network on the same images with the same seeds, with and without the teacher."""
    light = (
        '"augment.mixup" = 0.0, "augment.cutmix" = 0.0, "augment.erase" = 0.0, "augment.repeats" = 1, '
        '"augment.randaugment.magnitude" = 3, "augment.randaugment.std" = 0.0'
    )
    soft = '"distill.kind" = "soft", "distill.weight" = 0.9, "distill.temperature" = 4.0'
    changes = (
        ('"distill.teacher" = "resnet"', f'"distill.teacher" = "resnet", {soft}, {light}'),
        ('recipe = "vit-strong-aug"', f'recipe = "vit-strong-aug", set = {{ {light} }}'),
        ("shots = [3]", "shots = [20]"),
        (
            '"budget.epochs" = 2, "budget.batch_size" = 8',
            '"budget.epochs" = 20, "budget.batch_size" = 40, "optimizer.lr" = 2e-3, "val_times" = 1, '
            '"augment.flip" = false, "augment.random_crop" = "none", "schedule.warmup" = 0.1',
        ),
    )
    store, _ = run(folder, *changes)
    jobs = trained(folder, *changes)
    predicted = {key: store.predictions(store.result(job.id))["predicted"] for key, job in jobs.items()}
    assert store.result(jobs["resnet"].id).top1 > 0.7
    taught, alone = ((predicted[key] == predicted["resnet"]).mean() for key in ("deit", "vit"))
    assert taught > alone + 0.03


def test_a_tuned_student_learns_from_a_teacher_that_saw_what_it_may_see(folder):
    """Its search has as many jobs as that of others, and teachers trained on the same images; its trials have
    the teacher with the values chosen for it."""
    changes = (
        ('recipe = "scratch"\nshots', 'recipe = "scratch"\nprotocol = "tuned"\nshots'),
        (
            "shots = [3]",
            'shots = [6]\nsearch = { space = { "optimizer.lr" = [1e-4, 1e-3] }, folds = 3, held_out = 40 }',
        ),
        ('"deit", "vit", "resnet"', '"deit", "resnet"'),
    )
    store, outcomes = run(folder, *changes)
    assert {status for _, _, status, _ in outcomes} == {"finished"}
    stage = Stage(
        suite(folder, *changes), trials_of(suite(folder, *changes)), workspace(folder).resolver, store
    )
    searches = {key: tuning for (_, key, _), tuning in stage.tunings.by_subset.items()}
    assert {key: len(tuning.jobs) for key, tuning in searches.items()} == {"deit": 4, "resnet": 4}
    chosen = dict(searches["resnet"].choice.values)["optimizer.lr"]
    by_id = {job.id: job for job in searches["resnet"].jobs}
    for job in searches["deit"].jobs:
        teacher = by_id[job.needs[0]]  # no job beside those of its own search
        assert teacher.identity["search"] == job.identity["search"]
        assert teacher.trial.recipe.training[1].lr == chosen
        assert store.search(job.id).details["teacher"]["run"] == teacher.id
        assert not store.files_of(teacher).weights.exists()
    assert len(store.names("searches")) == 8
    trials = {job.trial.contestant: job for job in stage.trials}
    assert trials["deit"].teacher.id == trials["resnet"].id
    assert trials["resnet"].trial.recipe.training[1].lr == chosen


def test_a_student_is_reproduced_with_its_teacher(folder):
    store, _ = run(folder, only=["deit"])
    jobs = trained(folder)
    record = store.result(jobs["deit"].id)
    agreed = reproduce(store, record, workspace(folder), Silent(), tolerance=0.0)
    assert agreed.verdict == "identical"
    store.record_of("runs", jobs["resnet"].id).unlink()
    with pytest.raises(StoreError, match="the record of its teacher"):
        reproduce(RunStore(store.root), record, workspace(folder), Silent(), tolerance=0.0)


def test_the_time_of_a_student_is_that_of_two_networks(folder, monkeypatch):
    """By calibrated rates: a third of a forward pass of the teacher beside each pass of the student."""
    jobs = trained(folder)
    monkeypatch.setattr(
        Estimator,
        "_calibrate",
        lambda self, job, *, train: {("deit", True): 1.0, ("vit", True): 1.0, ("resnet", False): 6.0}[
            job.trial.contestant, train
        ],
    )
    estimator = Estimator(RunStore(folder / "store"), "cpu", workspace(folder).resolver.dataset)
    alone, taught = (estimator.seconds(jobs[key]) for key in ("vit", "deit"))
    assert taught == pytest.approx(3 * alone, rel=0.01)


def test_a_teacher_that_was_searched_is_not_trained_again_for_its_students_searches(folder):
    """On a GPU it would be another network than the one that was chosen. Two rungs; nothing stays.
    What nothing needs is removed while the first search of the student is stopped."""
    changes = (
        ('recipe = "scratch"\nshots = [3]', 'recipe = "scratch"\nprotocol = "tuned"\nshots = [6]'),
        ('"budget.batch_size" = 8 }', '"budget.batch_size" = 8 }\n[comparison.search]\n' + SPACE),
    )
    store, before = run(
        folder, *changes, follow=lambda job: StopAfter(1 if job.trial.contestant == "deit" else -1)
    )
    assert before[-1][:3] == ("deit", "train", "stopped")
    teachers = sorted(store.root.glob("searches/*/weights.safetensors"))
    assert teachers and not list(remove_unneeded(store))
    store, after = run(folder, *changes)
    outcomes = [*before[:-1], *after]
    assert {status for _, _, status, _ in outcomes} == {"finished"}
    searches = store.suite("mine").search_jobs
    trials = [one for one in outcomes if one[1] == "train"]
    assert len(trials) == len(searches) + 3
    assert not [job for job in searches if (store.root / "searches" / job / "weights.safetensors").exists()]
