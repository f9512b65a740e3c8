"""The section on the protocol and the simulated rates, against the store and the study."""

import json
from types import SimpleNamespace

import pytest
from report.make_store import make_store, run_id

from bench.analysis.simulation.study import stored
from bench.report.blocks import Prose, Table, walk
from bench.report.evidence import gather
from bench.report.sections.looks import looks_at_test
from bench.report.sections.protocol import _simulated, protocol
from bench.store.run_store import RunStore


def made(root, **changes):
    return gather(RunStore(make_store(root, shots=(5, None), **changes)), "tiny")


def words(evidence):
    return " ".join(b.text for b in walk(protocol(evidence).blocks) if isinstance(b, Prose))


def table(evidence, name):
    found = {b.name: b for b in walk(protocol(evidence).blocks) if isinstance(b, Table)}
    return [[field.text for field in row] for row in found[name].rows]


def test_looks_at_test_are_counted(tmp_path):
    evidence = made(tmp_path, diverged=(("vit", 5, 1),))
    assert "evaluated 17 times in 18 trials, at most once in any one" in looks_at_test(evidence)


def test_a_second_look_is_named(tmp_path):
    evidence = made(tmp_path, record={"test_evaluations": 2})
    found = looks_at_test(evidence)
    assert "evaluated 36 times in 18 trials, at most twice" in found
    assert run_id("tiny", "vit", 5, 0) in found and "interrupted" in found


def test_trials_whose_data_are_not_here_are_no_draws(tmp_path):
    """The store lists them without an id and without seeds."""
    make_store(tmp_path, shots=(5,))
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    for entry in listing["trials"]:
        entry.update(id=None, draw_seed=None, seed=None)
    path.write_text(json.dumps(listing))
    evidence = gather(RunStore(tmp_path), "tiny")
    (row,) = table(evidence, "protocol")
    assert "the whole split" not in " ".join(row) and row[3] == "not measured"


def test_replicates_until_decided_are_said(tmp_path):
    assert "The number of replicates is to be fixed beforehand" in words(made(tmp_path))
    path = tmp_path / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    listing["comparisons"][0]["looks"] = [3, 5, 8]
    path.write_text(json.dumps(listing))
    text = words(gather(RunStore(tmp_path), "tiny"))
    assert "judged after 3 and 5 replicates, and at last after 8" in text and "(R / 8)²" in text
    assert "fixed beforehand" not in text


@pytest.mark.parametrize("asked", [2, 3])
def test_replicates_that_the_suite_does_not_ask_for_are_told(tmp_path, asked):
    evidence = made(tmp_path, comparison={"replicates": asked})
    told = "In from-scratch there are more replicates than the suite asks for." in words(evidence)
    (note,) = {str(note) for one in evidence.findings for note in one.flags if "asks for" in str(note)} or [
        ""
    ]
    assert told == (asked == 2)
    assert note.startswith("3 replicates, the suite asks for 2: ") == (asked == 2)


def test_choices_by_val_and_unverified_copies_are_told(tmp_path):
    evidence = made(tmp_path, record={"selection": "val-oracle"}, data={"copy": "copy not verified"})
    text = words(evidence)
    assert "ViT-Ti/4 in from-scratch (val-oracle, 6 runs)" in text
    assert "Copies of digits were not verified against checksums in 18 runs of 18." in text
    (row,) = table(evidence, "protocol")
    assert row[6].startswith("val-oracle")


def test_what_was_held_equal(tmp_path):
    evidence = made(tmp_path)
    (row,) = table(evidence, "protocol")
    assert row[1:6] == [
        "digits (official)",
        "50 to 800, 60, 120",
        "3 nested, class-balanced draws; the whole split: one draw, no spread over draws",
        "scratch (shared); deit-scratch (shared)",
        "fp32",
    ]
    budget = table(evidence, "budget")
    assert [line[1:3] for line in budget] == [["5", "640"], ["all (80)", "1\u202f920"]]
    assert {(line[3], line[4]) for line in budget} == {("not measured", "10")}
    assert "last checkpoint: nothing was chosen by the val split" in words(evidence)
    assert "Holm's procedure over 2 primary contrasts and sizes" in words(evidence)


def test_models_with_other_budgets_are_told_apart(tmp_path):
    evidence = made(tmp_path)
    evidence.trials.loc[evidence.trials["contestant"] == "deit", "images_seen"] = 77
    assert table(evidence, "budget")[0][2] == "ViT-Ti/4: 640; DeiT-Ti/4: 77; ResNet-18: 640"


def test_a_students_budget_has_its_teachers(tmp_path):
    """A teacher of twice the FLOPs that saw 1000 images, and the student's 640."""
    evidence = made(tmp_path)
    evidence.__dict__["match"] = SimpleNamespace(flops=lambda *_: 1e9)
    taught = (evidence.trials["contestant"] == "deit") & (evidence.trials["shots"] == 5)
    evidence.trials.loc[taught, ["teacher_images_seen", "teacher_forward_flops"]] = 1000, 2e9 * 640
    first = table(evidence, "budget")[0]
    assert first[2] == "ViT-Ti/4: 640; DeiT-Ti/4: 1\u202f640; ResNet-18: 640"
    training, outputs, teacher = 3 * 1e9 * 640, 2e9 * 640, 3 * 2e9 * 1000
    total = (training + outputs + teacher) / 1e12
    assert first[3] == f"ViT-Ti/4: 1.92; DeiT-Ti/4: {total:.3g}; ResNet-18: 1.92"


def test_nothing_run_says_so(tmp_path):
    missing = tuple((n, s, r) for n in ("vit", "deit", "resnet") for s in (5, None) for r in range(3))
    text = words(made(tmp_path, missing=missing))
    assert "has not been evaluated" in text and "No copy of the data was used yet" in text


@pytest.mark.parametrize("replicates", [3, 5, 10])
def test_the_worst_rates_are_those_of_the_study(replicates):
    study = stored().query("claim == 'verdict' and replicates == @replicates")
    worst = f"{100 * max(study.false_claims):.1f} %"
    assert f"{worst} with {replicates} replicates" in _simulated()
