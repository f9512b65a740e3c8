"""vcbench export: the numbers arrive, under the names that other tools know."""

import json

import numpy as np
import pandas as pd
import pytest
from console import told, vcbench
from small_store import run_id, write_store

from bench.exchange import export
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables


@pytest.fixture
def right():
    random = np.random.default_rng(0)
    shares = {("vit", 5): 0.6, ("resnet", 5): 0.7, ("vit", None): 0.8, ("resnet", None): 0.95}
    return {key: random.random((3, 400)) < share for key, share in shares.items()}


@pytest.fixture
def store(tmp_path, right):
    return write_store(tmp_path / "store", right)


def exported(store, form, out):
    ran = vcbench("export", "--format", form, "--results", store, "--out", out)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_tables(store, tmp_path, form):
    written = exported(store, form, tmp_path / "out")
    tables = build_tables(RunStore(store))
    assert written == [str(tmp_path / "out" / f"{name}.{form}") for name in tables]
    for path, expected in zip(written, tables.values(), strict=True):
        kinds = expected.dtypes.to_dict()
        found = pd.read_csv(path, dtype=kinds) if form == "csv" else pd.read_parquet(path).astype(kinds)
        # A CSV file does not tell an empty text from a missing one.
        pd.testing.assert_frame_equal(found, expected.replace("", None) if form == "csv" else expected)
    assert not (store / "tables").exists()


def test_columns_of_timm(tmp_path, right):
    store = write_store(tmp_path / "store", right, diverged=(run_id("vit", 5, 0),))
    out = tmp_path / "out"
    assert sorted(path.rpartition("/")[2] for path in exported(store, "timm", out)) == [
        "benchmark-cost.csv",
        "results-digits-frozen-small-main-5-shot.csv",
        "results-digits-frozen-small-main-all.csv",
    ]
    frame = pd.read_csv(out / "results-digits-frozen-small-main-5-shot.csv")
    assert list(frame)[:9] == [
        "model", "top1", "top1_err", "top5", "top5_err", "param_count", "img_size", "crop_pct",
        "interpolation",
    ]  # fmt: skip
    assert list(frame["model"]) == ["resnet_digits", "vit_digits"]
    best, other = frame.iloc[0], frame.iloc[1]
    assert best["top1"] == pytest.approx(100 * right["resnet", 5].mean(), abs=5e-4)
    assert best["top1_sd"] == pytest.approx(100 * right["resnet", 5].mean(1).std(ddof=1), abs=5e-4)
    assert other["top1"] == pytest.approx(100 * (right["vit", 5][1:].mean() * 2 + 0.1) / 3, abs=5e-4)
    assert (best["top1"] + best["top1_err"], best["param_count"]) == pytest.approx((100, 1.23))
    assert (best["img_size"], best["crop_pct"], best["interpolation"]) == (16, 0.875, "bicubic")
    cost = pd.read_csv(out / "benchmark-cost.csv")
    assert list(cost) == [
        "model", "infer_img_size", "infer_gmacs", "infer_macts", "param_count", "num_classes",
    ]  # fmt: skip
    assert list(cost.loc[0, "infer_gmacs":"param_count"]) == [1.0, 2.5, 1.2346]


def test_timm_is_given_the_accuracy_on_clean_images_alone(store, tmp_path, monkeypatch):
    plain = [path.read_bytes() for path in export.export_timm(RunStore(store), tmp_path / "plain")]
    tables = build_tables(RunStore(store))
    # As a table is sorted, this condition comes before "clean".
    spoilt = tables["accuracy"].assign(condition="brightness-1", top1=0.0)
    tables["accuracy"] = pd.concat([spoilt, tables["accuracy"]])
    monkeypatch.setattr(export, "build_tables", lambda store: tables)
    found = [path.read_bytes() for path in export.export_timm(RunStore(store), tmp_path / "out")]
    assert found == plain


def test_a_run_of_two_comparisons_is_in_the_file_of_each(store, tmp_path):
    path = store / "suites" / "small.json"
    listing = json.loads(path.read_text())
    again = [e | {"comparison": "second"} for e in listing["trials"] if e["contestant"] == "vit"]
    listing["comparisons"] += [listing["comparisons"][0] | {"name": "second", "contestants": ["vit"]}]
    path.write_text(json.dumps(listing | {"trials": listing["trials"] + again}))
    exported(store, "timm", tmp_path / "out")
    found = {
        name: list(pd.read_csv(tmp_path / "out" / f"results-digits-frozen-small-{name}-5-shot.csv")["model"])
        for name in ("main", "second")
    }
    assert found == {"main": ["resnet_digits", "vit_digits"], "second": ["vit_digits"]}
    assert len(list((tmp_path / "out").glob("results-*"))) == 4


def test_speeds_under_timms_names(tmp_path, right):
    """Names, order and units as in the benchmark files of timm's repository; batches are never mixed."""
    store = write_store(tmp_path / "store", right)
    cost = build_tables(RunStore(store))["cost"].iloc[0]
    shared = {
        "format": 1, "kind": "profile", "what": "speed", "device": "cpu", "machine": "My CPU, 2 cores",
        "compiled": False, "input_size": int(cost["input_size"]), "classes": int(cost["classes"]),
        "threads": 2, "versions": {"torch": "2.11.0"}, "outcome": "measured", "samples": 30, "processes": 3,
        "unstable": False, "busy": True, "matmul_peak": None, "memory_format": "channels_last",
    }  # fmt: skip
    rows = [
        ("a", "other", "infer", 1, "fp32", 5.0),
        ("b", cost["model"], "infer", 1, "fp32", 4.0),
        ("c", cost["model"], "infer", 8, "fp32", 16.0),
        ("d", cost["model"], "infer", 8, "bf16", 8.0),
        ("e", cost["model"], "train", 8, "fp32", 50.0),
    ]
    for run, model, mode, batch, precision, ms in rows:
        own = {"id": run, "model": model, "mode": mode, "batch_size": batch, "precision": precision}
        times = {"latency_ms_median": ms, "images_per_s": 1000 * batch / ms}
        RunStore(store).finish_profile(run, shared | own | times)
    lost = shared | {"id": "f", "model": "vit", "mode": "infer", "batch_size": 8, "precision": "fp32"}
    RunStore(store).finish_profile("f", lost | {"outcome": "failed", "reason": "NaN"})
    exported(store, "timm", tmp_path / "out")
    files = {path.name: pd.read_csv(path) for path in (tmp_path / "out").glob("benchmark-*px*.csv")}
    assert len(files) == 4
    place = f"{cost['input_size']}px-batch1-{cost['classes']}classes-my-cpu-2-cores-2threads-torch2.11.0"
    single = files[f"benchmark-infer-fp32-nhwc-{place}.csv"]
    assert list(single)[:8] == [
        "model", "infer_samples_per_sec", "infer_step_time", "infer_batch_size", "infer_img_size",
        "infer_gmacs", "infer_macts", "param_count",
    ]  # fmt: skip
    assert list(single["model"]) == [cost["model"], "other"] and list(single["infer_step_time"]) == [4.0, 5.0]
    assert list(single["infer_samples_per_sec"]) == [250.0, 200.0] and set(single["infer_batch_size"]) == {1}
    assert single["infer_gmacs"][0] == cost["gmacs"] and pd.isna(single["infer_gmacs"][1])
    assert single["param_count"][0] == pytest.approx(cost["params"] / 1e6, abs=1e-4)
    (training,) = (frame for name, frame in files.items() if name.startswith("benchmark-train-fp32-nhwc"))
    assert list(training)[:6] == [
        "model", "train_samples_per_sec", "train_step_time", "train_batch_size", "train_img_size",
        "param_count",
    ]  # fmt: skip
    assert list(training["train_samples_per_sec"]) == [160.0]


def test_what_cannot_be_exported(store, tmp_path):
    arguments = ("--results", store, "--out", tmp_path / "out")
    told(vcbench("export", "--format", "tim", *arguments), '"timm"')
    told(vcbench("export", "--format", "csv", "--uncalibrated", *arguments), "--uncalibrated", "name one")
    hub = ("--hub-dataset", "digits=me/digits")
    told(vcbench("export", "0123", "--format", "onnx", *hub, *arguments), 'no run or profile "0123"')
    for record in (*(store / "runs").glob("*/record.json"), *(store / "profiles").glob("*/record.json")):
        record.unlink()
    told(vcbench("export", "--format", "timm", *arguments), "nothing here to export")
    assert not (tmp_path / "out").exists()
