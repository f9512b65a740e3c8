"""Recipes printed, run and held against what they are expected to give."""

import json
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from bench.analysis.recipe_book import measured
from bench.errors import InputError
from bench.running.verify import of_recipe
from bench.spec.recipe import Recipe, load_recipe, recipe_names
from bench.spec.toml import parse
from bench.store.run_store import RunStore

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
SUITE = """
title = "own"
description = "for tests"
[models]
vit = { model = "vit_digits" }
[[comparison]]
name = "small"
dataset = "digits"
contestants = ["vit"]
recipe = "scratch"
shots = [3, 5]
replicates = 2
input_size = 16
set = { "budget.epochs" = 1, "budget.min_steps" = 4, "budget.batch_size" = 8, "augment.flip" = false }
"""


@pytest.mark.parametrize("name", recipe_names())
def test_what_a_recipe_expects_is_what_is_published(name):
    """By the published table; its trials are those of the suite, by their ids' settings."""
    table = pd.read_csv(PUBLISHED / "tables" / "accuracy.csv")
    for one in load_recipe(name).expect:
        place = (one.suite, one.comparison, one.contestant, name)
        rows = table[(table[["suite", "comparison", "contestant", "recipe"]] == list(place)).all(axis=1)]
        rows = rows[rows["shots"].isna() if one.shots == "all" else rows["shots"] == one.shots]
        assert len(rows) == one.replicates, one
        assert rows["top1"].mean() == pytest.approx(one.top1, abs=5.1e-5)
        if one.spread is not None:
            assert rows["top1"].std() == pytest.approx(one.spread, abs=5.1e-5)
    expected = of_recipe(load_recipe(name), None, None) if load_recipe(name).expect else []
    hash(load_recipe(name))  # as jobs need it
    for one, listed in zip(expected, load_recipe(name).expect, strict=True):
        place = (listed.suite, listed.comparison, listed.contestant)
        run = table[(table[["suite", "comparison", "contestant"]] == list(place)).all(axis=1)]
        run = run[run["shots"].isna() if listed.shots == "all" else run["shots"] == listed.shots].iloc[0]
        record = json.loads((PUBLISHED / "runs" / run["run"] / "record.json").read_text())
        assert one.trial.recipe.identity() == record["identity"]["recipe"]
        assert one.trial.replicate == listed.replicates and not one.trial.tuned


def test_a_recipe_that_expects_nothing_of_it_says_what_it_does_expect():
    with pytest.raises(InputError, match="expects nothing of these, only: DeiT-Ti.*EfficientNet-Lite0 on"):
        of_recipe(load_recipe("linear-probe"), "resnet50", None)
    with pytest.raises(InputError, match="only: nothing"):
        of_recipe(load_recipe("tutorial"), None, None)
    values = load_recipe("scratch").model_dump(mode="json")
    one = values["expect"][0]
    with pytest.raises(InputError, match="spread goes with more than one replicate"):
        parse(values | {"expect": [one | {"replicates": 1}]}, Recipe, where="mine")
    wrong = parse(values | {"expect": [one | {"contestant": "vit"}]}, Recipe, where="mine")
    searched = load_recipe("finetune").model_dump(mode="json")
    unsaid = parse(searched | {"expect": [searched["expect"][0] | {"set": {}}]}, Recipe, where="mine")
    with pytest.raises(InputError, match="suite cpu searches optimizer.lr; `set` should have its choice"):
        of_recipe(unsaid, None, None)
    with pytest.raises(InputError, match='suite quick has no trial of "vit" in digits with shots = all'):
        of_recipe(wrong, None, None)


@pytest.fixture
def own(vcbench, tmp_path):
    (tmp_path / "own.toml").write_text(SUITE)
    assert vcbench("run", "own.toml", "--device", "cpu")[0] == 0


def test_the_printed_recipe_runs_and_its_command_verifies_it(own, vcbench, tmp_path):
    status, out, _ = vcbench("recipe", "vit_digits", "digits", "--shots", "5")
    assert status == 0
    (command,) = [line.removeprefix("#").strip() for line in out.splitlines() if "vcbench verify" in line]
    run = command.split()[2]
    record = json.loads((tmp_path / "results" / "runs" / run / "record.json").read_text())
    (tmp_path / "printed.toml").write_text(out)
    assert load_recipe("printed.toml").identity() == record["identity"]["recipe"]
    assert tomllib.loads(out)["budget"]["epochs"] == 1 and "epochs = 1  # scratch: 100" in out
    assert "# run the comparison that it is from:\n#     vcbench run own.toml --only small" in out

    before = {path.name for path in (tmp_path / "results" / "runs").iterdir()}
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    status, out, err = vcbench(*command.split()[1:], "--device", "cpu", "--json")
    torch.set_num_threads(threads)
    assert status in (0, 1), err
    (one,) = json.loads(out)
    # A replicate that was not seen, kept in the store: the same command has nothing left to do.
    (new,) = {path.name for path in (tmp_path / "results" / "runs").iterdir()} - before
    assert one["runs"] == [new] and one["replicates"] == 2 and one["met"] == (status == 0)
    identity = json.loads((tmp_path / "results" / "runs" / new / "record.json").read_text())["identity"]
    assert identity["seed"] == identity["draw_seed"] == 2
    # As a run of the suite would compute it, whose number it counts as from now on.
    assert RunStore(tmp_path / "results").trial(new).threads == 1
    assert identity | {"seed": 0, "draw_seed": 0} == record["identity"] | {"seed": 0, "draw_seed": 0}
    assert json.loads(vcbench(*command.split()[1:], "--device", "cpu", "--json")[1]) == [one]


def test_one_run_of_what_is_drawn_does_not_tell_what_another_gives(vcbench, tmp_path):
    (tmp_path / "own.toml").write_text(SUITE)
    assert vcbench("run", "own.toml", "--device", "cpu", "--replicates", "1")[0] == 0
    status, out, _ = vcbench("recipe", "vit_digits", "digits", "--shots", "5")
    run = out.partition("seen in runs ")[2][:16]
    assert status == 0 and "one more replicate" not in out and f"vcbench reproduce {run}" in out
    runs = {path.name for path in (tmp_path / "results" / "runs").iterdir()}
    status, _, err = vcbench("verify", run, "--device", "cpu")
    assert status == 2 and "one run was seen" in err and err.count("\n") == 1
    assert {path.name for path in (tmp_path / "results" / "runs").iterdir()} == runs


def test_an_expectation_that_is_not_met_is_status_1(own, vcbench, tmp_path, monkeypatch):
    from bench.analysis.recipe_book import Measured

    (run, *_) = json.loads(vcbench("recipe", "vit_digits", "digits", "--shots", "3", "--json")[1])[0]["runs"]
    expectation = Measured.expectation.func
    raised = property(lambda one: type(expectation(one))(0.99, 0.001, 20))
    monkeypatch.setattr(Measured, "expectation", raised)
    status, out, _ = vcbench("verify", run[:10], "--device", "cpu")
    assert status == 1 and "expectation NOT met: below that" in out


def test_a_student_is_verified_with_a_teacher_of_its_own(vcbench, tmp_path):
    """The next replicate of both is trained: the teacher has the draw and the seed of its student."""
    student = (
        'model = "vit_micro_distilled_patch4_32", recipe = "deit", set = { "distill.teacher" = "resnet" }'
    )
    text = SUITE.replace(
        'vit = { model = "vit_digits" }', f'vit = {{ {student} }}\nresnet = {{ model = "resnet_digits" }}'
    )
    (tmp_path / "own.toml").write_text(text.replace('["vit"]', '["vit", "resnet"]').replace("[3, 5]", "[3]"))
    assert vcbench("run", "own.toml", "--only", "vit", "--replicates", "2", "--device", "cpu")[0] == 0
    store = RunStore(tmp_path / "results")
    students = [run for run in store.names("runs") if store.trial(run).identity.teacher]
    (seen,) = [one for one in measured([store]) if one.first.identity.teacher]
    assert sorted(record.id for record in seen.records) == sorted(students) and len(students) == 2
    status, out, err = vcbench("verify", students[0], "--device", "cpu", "--json")
    assert status in (0, 1), err
    (new,) = json.loads(out)[0]["runs"]
    own = store.result(new).identity
    teacher = store.trial(own.teacher).identity
    assert (own.seed, own.draw_seed) == (teacher.seed, teacher.draw_seed) == (2, 2)
    assert own.teacher not in {store.trial(run).identity.teacher for run in students}


def test_nothing_measured_is_said_plainly(own, vcbench, tmp_path):
    status, out, _ = vcbench("recipe", "vit_digits", "digits", "--shots", "4", "--results", "results")
    assert status == 1 and out.startswith("Nothing was measured of vit_digits on digits with 4 images per")
    assert "3 images per class, 5 images per class" in out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("recipe", "vit_digit", "digits"), 'model "vit_digit": .*did you mean "vit_digits"'),
        (("recipe", "vit_digits", "digit"), 'no dataset "digit"; did you mean "digits"'),
        (("verify", "linear-prob"), 'no recipe, and no run .*did you mean "linear-probe"'),
        (("verify", "0b0b0b0b0b0b0b0b"), "no recipe, and no run that a suite has finished"),
        (("verify", "mine.toml"), 'no recipe "mine.toml"'),
        (("verify", "linear-probe", "--model", "resnet50"), "expects nothing of these"),
        (("verify", "0b0b", "--shots", "5"), "--model and --shots choose among what a recipe expects"),
    ],
)
def test_bad_input_is_one_line(vcbench, arguments, error):
    import re

    status, _, err = vcbench(*arguments)
    assert status == 2 and err.count("\n") == 1 and re.search(error, err)


def test_a_repeat_of_k_fold_is_not_verified_by_one_run(vcbench, tmp_path):
    for number in range(16):
        place = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (15 * number, 0, 0)).save(place)
    kfold = f'dataset = "folder:{tmp_path}/photos"\nsplit_id = "kfold-2"'
    text = SUITE.replace('dataset = "digits"', kfold).replace("shots = [3, 5]", 'shots = ["all"]')
    (tmp_path / "own.toml").write_text(text)
    assert vcbench("run", "own.toml", "--device", "cpu")[0] == 0
    status, out, _ = vcbench("recipe", "vit_digits", "photos")
    assert status == 0 and "vcbench verify" not in out and "vcbench run own.toml --only small" in out
    run = out.partition("seen in runs ")[2][:16]
    status, _, err = vcbench("verify", run, "--device", "cpu")
    assert (
        status == 2
        and "a network a fold; another repeat is made by: vcbench run own.toml --replicates 3" in err
    )
