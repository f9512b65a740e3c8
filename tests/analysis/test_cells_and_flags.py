"""The join of a listing with its records, against plain loops over the files; pairs; flags."""

import json
import math
import string
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from report.make_store import make_store, run_id
from small_store import listing, trial

from bench.analysis.cells import cells, metrics_of, paired
from bench.analysis.flags import Flag, flags_of_runs
from bench.analysis.match import Match
from bench.store.run_store import RunStore

MISSING = (("vit", 5, 1), ("deit", None, 0))
DIVERGED = (("resnet", 5, 2), ("resnet", None, 0))


@pytest.fixture
def root(tmp_path):
    return make_store(tmp_path, shots=(None, 20, 5), missing=MISSING, diverged=DIVERGED)


def joined(root):
    store = RunStore(root)
    return cells(store.suite("tiny"), {record.id: record for record in store.results()})


def read(path):
    return json.loads(path.read_text()) if path.exists() else None


def test_every_cell_holds_what_its_files_say(root):
    suite = read(root / "suites" / "tiny.json")
    for cell in joined(root):
        entries = [
            entry
            for entry in suite["trials"]
            if (entry["comparison"], entry["contestant"], entry["shots"])
            == (cell.comparison, cell.contestant, cell.shots)
        ]
        records = [read(root / "runs" / entry["id"] / "record.json") for entry in entries]
        done = [record for record in records if record]
        assert [one.entry.id for one in cell.replicates] == [entry["id"] for entry in entries]
        assert cell.planned == 3 and cell.runs == tuple(record["id"] for record in done)
        assert cell.diverged == sum(record["outcome"] == "diverged" for record in done)
        top1 = [0.1 if record["outcome"] == "diverged" else record["metrics"]["top1"] for record in done]
        assert list(cell.values("top1")) == top1
        ece = [math.nan if record["outcome"] == "diverged" else record["metrics"]["ece"] for record in done]
        assert np.array_equal(cell.values("ece"), ece, equal_nan=True)
        assert cell.title == suite["contestants"][cell.contestant]["title"]
        assert cell.images_per_class == (cell.shots or 80) and cell.condition == "clean"


def test_a_student_of_a_pretrained_teacher_is_no_match_of_one_without(root):
    given = {"vit": ("none", "run-resnet"), "deit": ("none", None), "resnet": ("ImageNet-1k", None)}
    made = [
        SimpleNamespace(
            comparison="tiny", contestant=key, title=key, model=key, input_size=16,
            records=[
                trial(id=f"run-{key}", model={"pretraining": pretraining}, identity={"teacher": teacher})
            ],
        )
        for key, (pretraining, teacher) in given.items()
    ]  # fmt: skip
    suite = SimpleNamespace(comparisons=[SimpleNamespace(name="tiny", unmatched="")])
    match = Match(suite, made, pd.DataFrame(columns=["model", "classes", "input_size", "flops"]))
    words = "unmatched pretraining: ImageNet-1k (of the teacher) / none against "
    assert str(match.notes("tiny", "vit", "deit")[0]) == words + "none"
    assert str(match.notes("tiny", "vit", "resnet")[0]) == words + "ImageNet-1k"
    assert [str(note) for note in match.notes("tiny", "deit", "deit")] == ["FLOPs not measured"]


def test_cells_are_in_the_order_of_the_suite(root):
    order = [(cell.shots, cell.contestant) for cell in joined(root)]
    assert order == [(shots, key) for shots in (5, 20, None) for key in ("vit", "deit", "resnet")]


def test_another_condition_has_the_same_plan_and_nothing_done(root):
    store = RunStore(root)
    records = {record.id: record for record in store.results()}
    suite = store.suite("tiny")
    assert cells(suite, records, "fog") == []
    asks = [one.model_copy(update={"conditions": ["fog"]}) for one in suite.comparisons]
    other = cells(suite.model_copy(update={"comparisons": asks}), records, "fog")
    assert [cell.planned for cell in other] == [cell.planned for cell in joined(root)]
    assert not any(cell.records for cell in other) and {cell.condition for cell in other} == {"fog"}


def test_replicates_are_paired_where_both_are_done(root):
    at = {(cell.contestant, cell.shots): cell for cell in joined(root)}
    for shots in (5, 20, None):
        expected = [r for r in range(3) if not {("vit", shots, r), ("deit", shots, r)} & set(MISSING)]
        a, b = paired(at["vit", shots], at["deit", shots])
        assert [record.id for record in a] == [run_id("tiny", "vit", shots, r) for r in expected]
        assert [record.id for record in b] == [run_id("tiny", "deit", shots, r) for r in expected]


def two(first, second, **records):
    """Two contestants with the entries and, by id, the changed records of a trial each."""
    entries = [
        {"comparison": "c", "contestant": key, **own} for key, own in zip("ab", (first, second), strict=True)
    ]
    suite = listing(contestants={"a": {}, "b": {}}, comparisons=[{"name": "c"}], trials=entries)
    own = {key: trial(id=key, **records.get(key, {})) for key in ("x", "y")}
    return cells(suite, own)


@pytest.mark.parametrize(
    ("second", "records", "pairs"),
    [
        ({"id": "y", "seed": 2}, {}, 1),
        ({"id": "y", "seed": 3}, {}, 0),
        ({"id": "y", "seed": None, "replicate": 2}, {}, 1),
        ({"id": "y", "seed": None, "replicate": 3}, {}, 0),
        ({"id": "y", "seed": 2, "draw_seed": 1}, {}, 0),
        ({"id": None, "seed": 2}, {}, 0),
        ({"id": "y", "seed": 2}, {"y": {"data": {"fingerprint": "other"}}}, 0),
    ],
)
def test_a_pair_shares_draw_seed_training_seed_and_images(second, records, pairs):
    a, b = two({"id": "x", "seed": 2}, second, **records)
    assert len(paired(a, b)[0]) == len(paired(a, b)[1]) == pairs


def test_images_may_be_others_and_some_records_may_not_count():
    a, b = two({"id": "x", "seed": 2}, {"id": "y", "seed": 2}, y={"data": {"fingerprint": "other"}})
    assert [len(own) for own in paired(a, b, same_images=False)] == [1, 1]
    assert paired(a, b, lambda record: record.id == "x", same_images=False) == ([], [])


def test_one_run_without_a_seed_on_the_whole_split_is_deterministic():
    seeded, one = two({"id": "x", "seed": 0}, {"id": "y"})
    assert one.deterministic and not seeded.deterministic


def test_accuracy_without_duplicates_of_a_diverged_trial():
    lost = trial(outcome="diverged", metrics={"top1": None})
    assert metrics_of(lost, True)["top1_deduplicated"] == metrics_of(lost, False)["top1"] == 0.1
    assert "top1_deduplicated" not in metrics_of(lost, False)


def test_a_flag_has_a_text_with_its_values_and_all_texts_are_different():
    texts = [flag.text for flag in Flag] + [flag.short for flag in Flag if flag.short != flag.text]
    assert len(set(texts)) == len(texts)
    for flag in Flag:
        places = {name for _, name, *_ in string.Formatter().parse(flag.text + flag.short) if name}
        assert str(flag(**dict.fromkeys(places, 2))) and flag(**dict.fromkeys(places, 2)).short


def test_what_is_unusual_about_trials_is_said_once():
    odd = trial(selection="val-oracle", model={"carded": False}, data={"overlap": {"test_in_train": 3}})
    notes = flags_of_runs([odd, odd, trial()])
    assert [note.flag for note in notes] == [Flag.VAL_ORACLE, Flag.TEST_IN_TRAIN, Flag.NO_CARD]
    assert str(notes[1]) == "3 of 40 test images are also in train" and flags_of_runs([trial()]) == []
