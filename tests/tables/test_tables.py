"""The tables against numbers worked out by hand from a synthetic store."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from report.make_store import SHOTS, make_store, run_id, true_top1

from bench.analysis.costs import COST
from bench.errors import StoreError
from bench.metrics.accuracy import at_chance
from bench.store.run_store import RunStore
from bench.tables.tables import ACCURACY, HISTORY, build_tables, write_tables

CLAIMS = ("claims", "claim_numbers")
MEASURED = ("speed", "memory", "scaling", "end_to_end", "loading")

PROMISED = (
    "run,suite,model,family,pretraining,dataset,split_id,recipe,protocol,input_size,precision,shots,train_images,"
    "replicate,draw_seed,seed,outcome,top1,top5,mean_per_class,nll,ece,top1_deduplicated,val_top1,train_top1,"
    "images_seen,train_images_per_s,wall_s,device,machine,"
)


@pytest.fixture
def store(tmp_path):
    return RunStore(make_store(tmp_path, diverged=(("vit", 5, 1),), missing=(("resnet", None, 2),)))


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def row(store, *place):
    accuracy = build_tables(store)["accuracy"]
    found = accuracy[accuracy["run"] == run_id("tiny", *place)]
    assert len(found) == 1
    return found.iloc[0]


def test_accuracy_begins_with_the_promised_columns(store):
    assert ",".join(build_tables(store)["accuracy"].columns).startswith(PROMISED)


def test_accuracy_has_one_row_a_trial_with_an_outcome(store):
    accuracy = build_tables(store)["accuracy"]
    assert len(accuracy) == 3 * len(SHOTS) * 3 - 1
    assert accuracy["run"].is_unique
    assert run_id("tiny", "resnet", None, 2) not in set(accuracy["run"])


def test_a_finished_trial(store):
    found = row(store, "deit", 20, 1)
    top1 = true_top1("deit", 20, 1)
    expected = {
        "suite": "tiny",
        "model": "vit_tiny_patch4_32",
        "family": "DeiT",
        "pretraining": "none",
        "dataset": "digits",
        "split_id": "official",
        "recipe": "deit-scratch",
        "protocol": "shared",
        "input_size": 32,
        "precision": "fp32",
        "shots": 20,
        "train_images": 200,
        "images_per_class": 20.0,
        "replicate": 1,
        "draw_seed": 1,
        "seed": 1,
        "outcome": "finished",
        "top1": top1,
        "mean_per_class": top1 - 0.01,
        "nll": -math.log(top1) + 0.2,
        "val_top1": top1 + 0.005,
        "images_seen": 640,
        "wall_s": 12.345,
        "machine": "Example CPU, 2 cores, 8 GiB",
        "contestant": "deit",
        "title": "DeiT-Ti/4",
        "comparison": "from-scratch",
        "torch": "2.11.0",
        "data_copy": "verified",
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert pd.isna(found["top1_deduplicated"])
    assert pd.isna(found["reason"])


def test_shots_are_whole_numbers_and_empty_for_the_whole_split(store):
    accuracy = build_tables(store)["accuracy"]
    assert accuracy["shots"].dtype == "Int64"
    assert pd.isna(row(store, "vit", None, 0)["shots"])
    assert row(store, "vit", None, 0)["images_per_class"] == 80


def test_shots_are_as_the_suite_asked_for_them(store):
    """A subset that is the whole split keeps the number by which the suite asked for it."""

    def ask_for_80(listing):
        for entry in listing["trials"]:
            entry["shots"] = entry["shots"] or 80

    rewrite(store.root / "suites" / "tiny.json", ask_for_80)
    assert row(store, "vit", None, 0)["shots"] == 80


def test_a_diverged_trial_is_scored_at_chance(store):
    found = row(store, "vit", 5, 1)
    assert found["outcome"] == "diverged"
    assert found["reason"] == "loss is not finite at step 7"
    assert (found["top1"], found["top5"], found["mean_per_class"]) == (0.1, 0.5, 0.1)
    assert found["nll"] == math.log(10)
    assert (found["val_top1"], found["train_top1"]) == (0.1, 0.1)
    assert pd.isna(found["ece"]) and pd.isna(found["top1_deduplicated"]) and pd.isna(found["images_seen"])


def test_chance_of_fewer_classes_than_five():
    assert at_chance(3) == {"top1": 1 / 3, "top5": 1.0, "mean_per_class": 1 / 3, "nll": math.log(3)}


def test_a_diverged_trial_without_val_has_no_val_score(tmp_path):
    store = RunStore(make_store(tmp_path, diverged=(("vit", 5, 1),), data={"val_images": 0}))
    assert pd.isna(row(store, "vit", 5, 1)["val_top1"])


def test_a_diverged_trial_has_a_deduplicated_score_where_its_dataset_has_one(store):
    def measure(record):
        record["metrics"]["top1_deduplicated"] = 0.5

    rewrite(store.record_of("runs", run_id("tiny", "vit", 5, 0)), measure)
    assert row(store, "vit", 5, 1)["top1_deduplicated"] == 0.1


def test_a_trial_in_two_suites_has_two_rows(store):
    listing = json.loads((store.root / "suites" / "tiny.json").read_text())
    listing["trials"] = listing["trials"][:2]
    (store.root / "suites" / "other.json").write_text(json.dumps(listing | {"suite": "other"}))
    accuracy = build_tables(store)["accuracy"]
    assert accuracy["suite"].value_counts().to_dict() == {"tiny": 35, "other": 2}
    assert set(accuracy.loc[accuracy["suite"] == "other", "run"]) == {e["id"] for e in listing["trials"]}


def test_a_trial_in_two_comparisons_of_a_suite_has_a_row_in_each(store):
    def add(listing):
        listing["comparisons"].append(listing["comparisons"][0] | {"name": "again"})
        listing["trials"] += [
            entry | {"comparison": "again"} for entry in listing["trials"] if entry["contestant"] == "vit"
        ]

    before = build_tables(store)["accuracy"]
    rewrite(store.root / "suites" / "tiny.json", add)
    accuracy = build_tables(store)["accuracy"]
    key = ["suite", "comparison", "contestant", "shots", "replicate", "condition"]
    assert not accuracy.duplicated(key).any() and set(accuracy["condition"]) == {"clean"}
    means = {name: rows["top1"].mean() for name, rows in accuracy.groupby("comparison")}
    vit = before.loc[before["contestant"] == "vit", "top1"]
    assert means == {"from-scratch": before["top1"].mean(), "again": vit.mean()}


def test_a_trial_that_no_suite_lists_is_not_lost(store):
    (store.root / "suites" / "tiny.json").unlink()
    accuracy = build_tables(store)["accuracy"]
    assert len(accuracy) == 35
    assert accuracy["suite"].isna().all() and accuracy["replicate"].isna().all()
    assert set(accuracy["shots"].dropna()) == {1, 5, 20}


def test_entries_without_an_id_are_left_out(store):
    def forget(listing):
        listing["trials"][0]["id"] = None

    rewrite(store.root / "suites" / "tiny.json", forget)
    assert build_tables(store)["accuracy"]["suite"].notna().sum() == 34


def test_accuracy_is_sorted(store):
    accuracy = build_tables(store)["accuracy"]
    keys = accuracy[["model", "recipe", "shots", "replicate"]].fillna({"shots": 10**6})
    assert keys.apply(tuple, axis=1).is_monotonic_increasing


def test_cost(store):
    cost = build_tables(store)["cost"]
    assert list(cost.columns)[:6] == ["model", "classes", "input_size", "params", "flops", "gmacs"]
    assert list(cost["model"]) == ["resnet50", "vit_base_patch16_224"]
    vit = cost.iloc[1]
    assert (vit["classes"], vit["input_size"], vit["params"]) == (1000, 224, 86_567_656)
    assert vit["flops"] == 35_127_656_448 and cost["flops"].dtype == "Int64"
    assert vit["gmacs"] == 17.563828224
    assert json.loads(vit["by_part"]) == {"matmul": 35_127_656_448}


def test_cost_keeps_the_latest_count(store):
    first = store.profiles()[0]
    again = first.content() | {"id": "0" * 16, "finished": "2026-04-01T00:00:00+00:00", "counter": "newer"}
    path = store.root / "profiles" / again["id"] / "record.json"
    path.parent.mkdir()
    path.write_text(json.dumps(again))
    cost = build_tables(store)["cost"]
    assert len(cost) == 2
    assert list(cost.loc[cost["model"] == first.model, "counter"]) == ["newer"]


def test_history(store):
    history = build_tables(store)["history"]
    run = run_id("tiny", "deit", None, 2)
    own = history[history["run"] == run]
    stored = pd.read_parquet(store.files(run).history)
    assert list(own["step"]) == list(range(1, 61))
    for name in HISTORY:
        if name != "run":
            np.testing.assert_array_equal(own[name].to_numpy(float), stored[name].to_numpy(float))
    assert len(history) == 20 * (3 * 9 - 1) + 60 * 8  # the diverged one logged nothing
    assert history[["run", "step"]].apply(tuple, axis=1).is_monotonic_increasing


def test_a_damaged_history_is_named(store):
    path = store.files(run_id("tiny", "vit", 1, 0)).history
    path.write_bytes(b"not parquet")
    with pytest.raises(StoreError, match="history.parquet"):
        build_tables(store)


def test_files_hold_the_tables_to_the_last_digit(store):
    written = write_tables(store)
    assert {path.name for path in written} == {
        f"{name}.{kind}"
        for name in ("accuracy", "baselines", "contrasts", "cost", "history", *CLAIMS, *MEASURED)
        for kind in ("csv", "parquet")
    }
    for name, frame in build_tables(store).items():
        folder = store.root / "tables"
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), frame)
        types = dict(frame.dtypes)
        read = pd.read_csv(folder / f"{name}.csv", dtype=types, float_precision="round_trip")
        pd.testing.assert_frame_equal(read, frame, check_exact=True)
        assert b"\r" not in (folder / f"{name}.csv").read_bytes()


def test_the_same_store_gives_the_same_bytes(store):
    first = {path: path.read_bytes() for path in write_tables(store)}
    assert {path: path.read_bytes() for path in write_tables(store)} == first


def test_an_empty_store_gives_empty_tables(tmp_path):
    store = RunStore(tmp_path / "none")
    tables = build_tables(store)
    for name, columns in (("accuracy", ACCURACY), ("cost", COST), ("history", HISTORY)):
        assert len(tables[name]) == 0
        text = str(pd.Series(dtype="str").dtype)  # object before pandas 3
        expected = {column: text if dtype == "str" else dtype for column, dtype in columns.items()}
        assert {column: str(dtype) for column, dtype in tables[name].dtypes.items()} == expected
    write_tables(store)
    header = (store.root / "tables" / "accuracy.csv").read_text()
    assert header == ",".join(ACCURACY) + "\n"
