"""The search of recipe values: the same for every contestant, judged without the test split."""

import json
import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.analysis.cells import cells
from bench.analysis.search import search_table, sensitivity
from bench.data.base import Dataset
from bench.data.subsets import fold_of
from bench.errors import InputError, StoreError
from bench.planning.plan import Resolver, trials_of
from bench.planning.stage import Stage
from bench.planning.tune import Tunings
from bench.spec.job import EvaluateJob, Unresolved
from bench.spec.suite import load_suite
from bench.store.reading import read_record
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
protocol = "tuned"
shots = [2, 10]
replicates = 2
input_size = 16
set = { "budget.epochs" = 1, "budget.min_steps" = 4, "budget.batch_size" = 8, "augment.flip" = false }
[comparison.search]
space = { "optimizer.lr" = { low = 1e-4, high = 1e-2, values = 5 } }
folds = 2
held_out = 50
"""
SETTING = SUITE.splitlines()[-5]
SPACE = '{ "optimizer.lr" = { low = 1e-4, high = 1e-2, values = 5 } }'
GRID = [1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2]


def load(folder, *changes):
    """The suite with some text replaced."""
    text = SUITE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "tuned.toml"
    path.write_text(text)
    return load_suite(str(path))


class Planted:
    """A store in which every search job has the accuracy that a function of its job gives it."""

    def __init__(self, accuracy):
        self.accuracy, self.jobs = accuracy, {}

    def search(self, run):
        if run not in self.jobs:
            return None
        top1 = self.accuracy(self.jobs[run])
        return SimpleNamespace(
            outcome="finished",
            metrics=SimpleNamespace(val_top1=top1),
            data=SimpleNamespace(val_images=self.jobs[run].held_out),
        )


def searched(suite, folder, accuracy):
    """Plan, do the search jobs with planted accuracies, and plan again, until nothing is missing."""
    resolver, store = Resolver(folder, folder, None), Planted(accuracy)
    for _ in range(10):
        tunings = Tunings(suite, resolver, store)
        missing = [job for job in tunings.jobs if job.id not in store.jobs]
        if not missing:
            return tunings
        store.jobs |= {job.id: job for job in missing}
    raise AssertionError("the search does not end")


def lr_of(job):
    return job.trial.recipe.optimizer.lr


def peak(at):
    """An accuracy that falls off on both sides of a learning rate."""
    return lambda job: max(0.0, 0.9 - 0.3 * abs(math.log10(lr_of(job) / at[job.trial.contestant])))


def test_both_get_as_many_jobs_and_their_own_best(tmp_path):
    tunings = searched(load(tmp_path), tmp_path, peak({"a": 3.16e-4, "b": 3.16e-3}))
    chosen = {key[1]: dict(one.choice.values)["optimizer.lr"] for key, one in tunings.by_subset.items()}
    assert chosen == {"a": 3.16e-4, "b": 3.16e-3}
    jobs = Counter(job.trial.contestant for job in tunings.jobs)
    # Five learning rates; of the 100 images of the only subset with enough, one fold of 50 will do.
    assert jobs == {"a": 5, "b": 5}
    assert {job.purpose for job in tunings.jobs} == {"search"}
    assert {one.choice.edge for one in tunings.by_subset.values()} == {None}


def test_a_search_that_can_never_end_is_refused(tmp_path):
    frozen = load(tmp_path, ('recipe = "scratch"', 'recipe = "linear-probe"'), (SETTING, ""))
    with pytest.raises(InputError, match='recipe "linear-probe" trains no network'):
        trials_of(frozen)
    for number in range(12):
        place = tmp_path / "photos" / ("train", "test")[number > 7] / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(place)
    own = load(
        tmp_path,
        ('dataset = "digits"', f'dataset = "folder:{tmp_path}/photos"\nsplit_id = "given"'),
        ("shots = [2, 10]", 'shots = ["all"]'),
        ("folds = 2\nheld_out = 50", 'judge = "val"'),
    )
    with pytest.raises(InputError, match="photos has no val split here"):
        searched(own, tmp_path, peak({"a": 1e-3, "b": 1e-3}))


def test_there_are_no_more_folds_than_groups(tmp_path):
    rows = ["path,label,group"]
    for number in range(72):
        Image.new("RGB", (16, 16), (3 * number, 0, 0)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number // 6 % 2]},patient {number // 12}")
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    suite = load(
        tmp_path,
        ('dataset = "digits"', f'dataset = "table:{tmp_path}/photos.csv"'),
        ("shots = [2, 10]", 'shots = ["all"]'),
        ("folds = 2\nheld_out = 50", "folds = 5"),
    )
    jobs = searched(suite, tmp_path, peak({"a": 1e-3, "b": 1e-3})).jobs
    dataset = Resolver(tmp_path, tmp_path, None).dataset(jobs[0].trial)
    groups = len({row for row in dataset.groups[dataset.splits["train"]].tolist()})
    assert {job.identity["search"]["folds"] for job in jobs} == {groups} and groups < 5


def test_a_job_is_called_by_the_values_that_it_tries(tmp_path):
    suite = load(tmp_path, (SPACE, '{ "optimizer.weight_decay" = [0.01, 0.1] }'))
    jobs = searched(suite, tmp_path, peak({"a": 1e-3, "b": 1e-3})).jobs
    words = {job.where.partition("search: ")[2] for job in jobs}
    assert words == {f"optimizer.weight_decay = {value}, fold 1 of 2" for value in ("0.01", "0.1")}


def test_a_subset_too_small_takes_over_what_the_next_one_chose(tmp_path):
    suite = load(tmp_path)
    tunings = searched(suite, tmp_path, peak({"a": 3.16e-4, "b": 3.16e-3}))
    assert {key[2] for key in tunings.by_subset} == {10}
    small = next(trial for trial in trials_of(suite) if trial.shots == 2)
    assert tunings.apply(small).recipe.optimizer.lr == 3.16e-4
    with pytest.raises(InputError, match="2 images per class are too few to hold any out"):
        searched(load(tmp_path, ("[2, 10]", "[2]")), tmp_path, peak({"a": 1, "b": 1}))


def test_a_range_is_extended_once_for_all_where_one_model_chose_its_end(tmp_path):
    tunings = searched(load(tmp_path), tmp_path, peak({"a": 1e-3, "b": 1.0}))
    tried = {
        key[1]: [dict(t.values)["optimizer.lr"] for t in one.tried] for key, one in tunings.by_subset.items()
    }
    assert tried["a"] == tried["b"] == [*GRID, 0.0316]
    choices = {key[1]: one.choice for key, one in tunings.by_subset.items()}
    assert dict(choices["b"].values)["optimizer.lr"] == 0.0316
    assert (choices["a"].edge, choices["b"].edge) == (None, "high")


def test_a_range_is_extended_where_its_end_is_best_and_a_smaller_rate_as_good_within_noise(tmp_path):
    # Of 50 held-out images: the standard error is 7 points.
    slope = {lr: 0.5 + 0.01 * place for place, lr in enumerate([3.16e-5, *GRID, 0.0316])}
    tunings = searched(load(tmp_path), tmp_path, lambda job: slope[lr_of(job)])
    for one in tunings.by_subset.values():
        assert dict(one.choice.values)["optimizer.lr"] == 3.16e-5 and one.choice.edge == "low"
        assert sorted(dict(t.values)["optimizer.lr"] for t in one.tried if t.extended) == [3.16e-5, 0.0316]


def test_a_list_is_not_extended(tmp_path):
    listed = ("{ low = 1e-4, high = 1e-2, values = 5 }", "[1e-4, 1e-3]")
    tunings = searched(load(tmp_path, listed), tmp_path, peak({"a": 1, "b": 1}))
    assert all(len(one.tried) == 2 for one in tunings.by_subset.values())


def test_the_smallest_learning_rate_within_a_standard_error_is_taken(tmp_path):
    """Against a loop over random accuracies that follows the rule word by word."""
    rng = np.random.default_rng(0)
    suite = load(tmp_path, ("{ low = 1e-4, high = 1e-2, values = 5 }", str(GRID)))
    for _ in range(20):
        top1 = dict(zip(GRID, rng.integers(10, 40, 5) / 50, strict=True))
        tunings = searched(suite, tmp_path, lambda job, top1=top1: top1[lr_of(job)])
        images = sum(job.held_out for job in tunings.by_subset["c", "a", 10].tried[0].jobs)
        best = max(top1.values())
        error = math.sqrt(best * (1 - best) / images)
        expected = min(lr for lr in GRID if top1[lr] >= best - error)
        assert dict(tunings.by_subset["c", "a", 10].choice.values) == {"optimizer.lr": expected}


def test_successive_halving_trains_the_better_half_longer(tmp_path):
    suite = load(tmp_path, ("held_out = 50", "held_out = 50\nrungs = [0.25, 0.5, 1.0]"))
    tunings = searched(suite, tmp_path, peak({"a": 3.16e-4, "b": 3.16e-3}))
    for key, best in (("a", 3.16e-4), ("b", 3.16e-3)):
        tried = tunings.by_subset["c", key, 10].tried
        rungs = [[dict(t.values)["optimizer.lr"] for t in tried if t.rung == rung] for rung in range(3)]
        assert rungs[0] == GRID
        nearest = sorted(GRID, key=lambda lr: abs(math.log10(lr / best)))
        assert set(rungs[1]) == set(nearest[:3])
        assert len(rungs[2]) == 2 and best in rungs[2]
        assert [t.jobs[0].trial.recipe.budget.min_steps for t in tried] == [1] * 5 + [2] * 3 + [4] * 2
    # What is to come is counted from the start.
    first = Tunings(suite, Resolver(tmp_path, tmp_path, None), Planted(None))
    planned = sum(len(one.jobs) + len(one.later) for one in first.by_subset.values())
    assert planned == len(tunings.jobs)


def test_folds_are_disjoint_balanced_and_the_same_every_time():
    labels = np.repeat(np.arange(4), 10)
    held = [fold_of(labels, fold, 5, 0)[1] for fold in range(5)]
    assert sorted(np.concatenate(held)) == list(range(40))
    assert all((np.bincount(labels[one]) == 2).all() for one in held)
    kept, left = fold_of(labels, 1, 5, 0)
    assert sorted([*kept, *left]) == list(range(40))
    assert not np.array_equal(held[0], fold_of(labels, 0, 5, 1)[1])


def test_a_folder_with_one_image_a_class_cannot_be_searched_on(tmp_path):
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            (tmp_path / "few" / split / name).mkdir(parents=True)
            seed = [len(split), ord(name)]
            noise = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "few" / split / name / f"{name}.png")
    suite = load(tmp_path, ('"digits"', f'"folder:{tmp_path / "few"}"'), ("[2, 10]", '["all"]'))
    with pytest.raises(InputError, match="of 2 images of 2 classes none can be held out"):
        searched(suite, tmp_path, peak({"a": 1, "b": 1}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("{ low = 1e-4, high = 1e-2, values = 5 }", "[1e-3]")], "at least two values"),
        ([("{ low = 1e-4, high = 1e-2, values = 5 }", "[]")], "at least two values"),
        ([("{ low = 1e-4, high = 1e-2, values = 5 }", "[1e-3, 1e-3]")], "a value twice"),
        ([("low = 1e-4", "low = 1.0")], "low should be below high"),
        ([("{ low = 1e-4, high = 1e-2, values = 5 }", "[-1.0, 1e-3]")], "optimizer.lr"),
        ([("optimizer.lr", "optimizer.rl")], "rl"),
        ([("held_out = 50", "held_out = 50\njobs = 9")], "only 5 combinations"),
        ([("high = 1e-2", "high = 1.001e-4")], "5 values from 0.0001 to 0.0001001 are not all different"),
        ([("held_out = 50", "rungs = [0.5, 0.2]")], "rungs should ascend"),
        ([('protocol = "tuned"\n', "")], 'a search needs protocol = "tuned"'),
        ([('"resnet_digits"', '"resnet_digits", set = { "optimizer.lr" = 1e-3 }')], 'and model "b" sets it'),
        ([('"resnet_digits"', '"resnet_digits", set = { optimizer = { lr = 1e-3 } }')], 'model "b" sets it'),
        ([("set = {", 'set = { "optimizer.lr" = 1e-3, ')], "and the comparison sets it"),
        ([('recipe = "scratch"', 'recipe = "linear-probe"'), ("set = {", "# set = {")], "trains no network"),
        ([(SPACE, '{ "optimizer.momentum" = [0.5, 0.9] }')], 'nothing of model "a", as only optimizer.name'),
        ([(SPACE, '{ "val_times" = [1, 2] }')], "as it says how often val is looked at; leave it out"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_told(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error:
        trials_of(load(tmp_path, *changes))
    assert "\n" not in str(error.value)


def test_what_is_searched_is_not_set_from_the_command_line(tmp_path):
    (tmp_path / "tuned.toml").write_text(SUITE)
    with pytest.raises(InputError, match='"optimizer.lr" is searched, and --set sets it'):
        trials_of(load_suite(str(tmp_path / "tuned.toml"), ("recipe.optimizer.lr=0.5",)))
    other = load_suite(str(tmp_path / "tuned.toml"), ("recipe.optimizer.weight_decay=0.5",))
    assert {trial.recipe.optimizer.weight_decay for trial in trials_of(other)} == {0.5}


def test_without_a_search_five_learning_rates_around_the_recipes_own(tmp_path):
    text = SUITE[: SUITE.index("[comparison.search]")]
    (tmp_path / "plain.toml").write_text(text)
    suite = load_suite(str(tmp_path / "plain.toml"))
    (comparison,) = suite.comparison
    tried = [dict(values)["optimizer.lr"] for values in suite.search_of(comparison).candidates()]
    assert tried == [5e-5, 1.58e-4, 5e-4, 1.58e-3, 5e-3]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A tuned suite that was run, twice: with the labels of the test split, and with others."""
    return [run(tmp_path_factory.mktemp("tuned"), shuffled) for shuffled in (False, True)]


def run(folder, shuffled):
    from bench.running.engines.in_process import InProcess
    from bench.running.runner import run_suite
    from bench.running.workspace import Workspace
    from bench.training.observer import Silent

    suite = load(folder, ("[2, 10]", "[10]"), ("replicates = 2", "replicates = 1"))
    own = Dataset.split_labels

    def labels(self, split):
        truth = own(self, split)
        return np.random.default_rng(0).permutation(truth) if split == "test" and shuffled else truth

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dataset, "split_labels", labels)
        workspace = Workspace(folder, folder, folder / "store", "cpu")
        counts = run_suite(
            suite, workspace, InProcess(), follow=lambda job: Silent(), should_stop=lambda: False
        )
    return suite, RunStore(folder / "store"), counts


def test_labels_of_the_test_split_change_no_choice(ran):
    (suite, first, _), (_, second, _) = ran
    listings = [store.suite(suite.name) for store in (first, second)]
    assert listings[0].searches == listings[1].searches
    assert all(one.chosen for one in listings[0].searches)
    tops = [
        [store.search(job).metrics.val_top1 for job in listings[0].search_jobs] for store in (first, second)
    ]
    assert tops[0] == tops[1]
    assert [r.top1 for r in first.results()] != [r.top1 for r in second.results()]


def test_search_jobs_are_no_trials(ran):
    suite, store, counts = ran[0]
    listing = store.suite(suite.name)
    trials = {entry.id for entry in listing.trials}
    assert counts["finished"] == len(trials) == 2
    assert counts["searched"] == len(listing.search_jobs) >= 10
    assert {record.id for record in store.results()} == trials
    assert {run for cell in cells(listing, {r.id: r for r in store.results()}) for run in cell.runs} == trials
    assert not any(
        (store.root / "searches" / job / "weights.safetensors").exists() for job in listing.search_jobs
    )
    assert len(list((store.root / "evaluations").iterdir())) == 2


def test_a_planted_search_job_does_not_count(ran):
    """Moved among the trials, the search job that would win is refused; and none can be evaluated."""
    suite, store, _ = ran[0]
    job = store.suite(suite.name).search_jobs[0]
    content = json.loads((store.root / "searches" / job / "record.json").read_text())
    planted = store.root / "runs" / job
    planted.mkdir()
    try:
        (planted / "record.json").write_text(json.dumps(content))
        with pytest.raises(StoreError, match="a search job is no trial"):
            read_record(store, "runs", job)
        assert RunStore(store.root).result(job) is None
    finally:
        (planted / "record.json").unlink()
        planted.rmdir()
    stage = Stage(suite, trials_of(suite), Resolver(store.root, store.root, store.root), store)
    with pytest.raises(ValueError, match="never sees the test split"):
        EvaluateJob(identity={}, training=stage.tunings.jobs[0], condition="clean")


def test_what_was_searched_is_a_table(ran):
    suite, store, _ = ran[0]
    table = search_table({suite.name: store.suite(suite.name)}, store)
    assert table.groupby("contestant")["chosen"].sum().to_dict() == {"a": 1, "b": 1}
    assert table.groupby("contestant")["jobs"].sum().nunique() == 1
    for row in table.itertuples():
        records = [store.search(job) for job in row.runs.split()]
        right = sum(record.metrics.val_top1 * record.data.val_images for record in records)
        assert row.val_top1 == pytest.approx(right / sum(record.data.val_images for record in records))
        assert {record.identity.recipe["optimizer"]["lr"] for record in records} == {row.lr}
    close = sensitivity(table)
    assert len(close) == 2
    for row in close.itertuples():
        first = table[(table["contestant"] == row.contestant) & ~table["extended"]]["val_top1"]
        assert row.close == (first >= first.max() - 0.02).sum()


@pytest.mark.parametrize(
    ("rates", "good", "close", "decades"),
    [
        ([1e-4, 1e-3, 1e-2], {1e-3}, 1, 1.0),
        ([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2], {1e-4, 10**-3.5, 1e-3}, 3, 1.5),
        # Each reaches half way to the next: from 10^-3.5 to 0.02 * 2^0.5.
        ([1e-4, 1e-3, 1e-2, 2e-2], {1e-3, 1e-2, 2e-2}, 3, 1 + (1 + math.log10(2)) / 2 + math.log10(2)),
    ],
)
def test_rates_count_once_whatever_else_is_searched(rates, good, close, decades):
    rows = [
        {
            "suite": "s", "comparison": "c", "contestant": "a", "title": "A", "shots": 5, "rung": 0,
            "extended": False, "lr": rate, "weight_decay": decay, "chosen": rate == max(good) and not decay,
            "val_top1": 0.9 if rate in good and not decay else 0.5,
        }
        for rate in rates
        for decay in (0.0, 0.1)
    ]  # fmt: skip
    (row,) = sensitivity(pd.DataFrame(rows)).to_dict("records")
    assert (row["tried"], row["close"], row["chosen_lr"]) == (len(rates), close, max(good))
    assert row["decades"] == pytest.approx(decades) and row["share"] == pytest.approx(close / len(rates))
    without = pd.DataFrame(rows).assign(lr=math.nan)
    assert sensitivity(without).empty


def test_trials_wait_for_the_choice_and_then_have_it(ran, tmp_path):
    suite, store, _ = ran[0]
    resolver = Resolver(tmp_path, tmp_path, store.root)
    before = Stage(suite, trials_of(suite), resolver, RunStore(tmp_path / "empty"))
    assert all(isinstance(one, Unresolved) and one.waiting for one in before.resolved)
    after = Stage(suite, trials_of(suite), resolver, store)
    chosen = {one.contestant: one.chosen for one in store.suite(suite.name).searches}
    for job in after.trials:
        assert {"optimizer.lr": lr_of(job)} == chosen[job.trial.contestant]
        assert store.has(job)


def test_one_of_two_searched_comparisons_can_be_planned_alone(tmp_path):
    block = SUITE[SUITE.index("[[comparison]]") :]
    (tmp_path / "two.toml").write_text(
        (SUITE + block.replace('name = "c"', 'name = "other"')).replace(
            "replicates = 2",
            'contrasts = [["a", "b"]]\nreplicates = { start = 3, until = "decided", max = 4 }',
        )
    )
    suite = load_suite(str(tmp_path / "two.toml"))
    alone = [trial for trial in trials_of(suite) if trial.comparison == "other"]
    store = RunStore(tmp_path / "store")
    stage = Stage(suite, alone, Resolver(tmp_path, tmp_path, None), store)
    assert {job.trial.comparison for job in stage.tunings.jobs} == {"other"}
    assert len(stage.resolved) == 2 * 2 * 3
