"""Where models will run: each runtime by itself, both kinds side by side, and what int8 costs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from report.make_store import make_store, run_id, set_predicted

from bench.files import slug
from bench.report import deployed as where
from bench.report.blocks import Bullets, Table, walk
from bench.report.evidence import gather
from bench.report.sections.answer import shown_on
from bench.report.sections.deployed import deployed
from bench.report.sections.measurements import speed
from bench.report.writers.macros import setting_key
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables

RATES = {
    ("vit_tiny_patch4_32", "torch"): 100.0,
    ("resnet18_cifar", "torch"): 300.0,
    ("vit_tiny_patch4_32", "onnxruntime"): 150.0,
    ("resnet18_cifar", "onnxruntime"): 400.0,
    ("vit_tiny_patch4_32", "openvino"): 500.0,
    ("resnet18_cifar", "openvino"): 510.0,
}
PLACES = ["PyTorch, fp32, as trained", "ONNX Runtime, fp32", "OpenVINO, fp32"]
VERSIONS = {"torch": "2.11.0", "onnxruntime": "1.22.0", "openvino": "2025.3"}


def put(root, model, runtime, batch, what, **changes):
    trained = runtime == "torch"
    rate = RATES[model, runtime] * (1 if batch == 8 else 0.5)
    record = {
        "format": 1, "kind": "profile", "what": what, "model": model, "title": model, "family": "any",
        "mode": "infer", "precision": "fp32", "batch_size": batch, "input_size": 32, "classes": 10,
        "memory_format": "contiguous", "compiled": False, "cudnn_benchmark": False,
        "allocator": "keep_freed" if trained else "default", "as_trained": trained,
        "device": "cpu", "machine": "Example CPU", "threads": 2, "outcome": "measured", "reason": None,
        "versions": {name: VERSIONS[name] for name in ("torch", runtime)},
        "finished": "2026-03-01T09:00:00+00:00",
    }  # fmt: skip
    if not trained:
        record |= {"runtime": runtime}
    if what == "memory":
        record |= {"peak_rss_mib": 1e4 / rate, "processes": 1}
    else:
        record |= {
            "images_per_s": rate, "images_per_s_low": 0.98 * rate, "images_per_s_high": 1.02 * rate,
            "latency_ms_median": 1000 * batch / rate, "latency_ms_q1": 1.0, "latency_ms_q3": 2.0,
            "samples": 30, "processes": 3, "unstable": False, "busy": False, "steady": True,
        }  # fmt: skip
    record |= changes
    record["id"] = slug(f"{model}-{runtime}-{record['precision']}-{batch}-{what}")
    path = root / "profiles" / record["id"] / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """ResNet-18 is ahead of the ViT; PyTorch, and two runtimes that the suite asks for."""
    root = tmp_path_factory.mktemp("where")
    headline = {
        "mode": "infer", "input_size": 32, "classes": 10, "precision": "fp32", "batch_sizes": [1, 8],
        "scaling_batch_size": None, "runtimes": [["onnxruntime", "fp32"], ["openvino", "fp32"]],
    }  # fmt: skip
    make_store(root, listing={"headlines": [headline]}, profiles=False)
    for model, runtime in RATES:
        for batch in (1, 8):
            put(root, model, runtime, batch, "speed")
        put(root, model, runtime, 8, "memory")
    return root


def blocks(root, kind):
    return {
        getattr(one, "name", "bullets"): one
        for one in walk(deployed(gather(RunStore(root), "tiny")).blocks)
        if isinstance(one, kind)
    }


def column(table, title):
    place = [one.title for one in table.columns].index(title)
    return [row[place].text for row in table.rows]


def test_each_runtime_has_rows_of_its_own(store):
    table = blocks(store, Table)["deployed-cpu-32px"]
    assert (
        column(table, "Runs in") == ["PyTorch, fp32, as trained", "ONNX Runtime, fp32", "OpenVINO, fp32"] * 2
    )
    assert column(table, "Images/s") == ["100", "150", "500", "300", "400", "510"]
    assert column(table, "Latency (ms)") == ["20.0", "13.3", "4.00", "6.67", "5.00", "3.92"]
    assert column(table, "Memory (MiB)") == ["100", "67", "20", "33", "25", "20"]
    assert "ONNX Runtime 1.22.0 and OpenVINO 2025.3" in table.caption


def test_both_kinds_are_set_side_by_side_in_each_runtime_alone(store):
    table = blocks(store, Table)["where-it-will-run"]
    assert column(table, "Runs in")[:3] == [
        "PyTorch, fp32, as trained",
        "ONNX Runtime, fp32",
        "OpenVINO, fp32",
    ]
    # The suite declares deit against resnet, and vit against it as exploratory.
    assert column(table, "Images/s, transformer over CNN") == ["0.33", "0.38", "0.98"] * 2
    assert column(table, "Faster") == ["ResNet-18", "ResNet-18", "not told apart"] * 2
    assert column(table, "In accuracy") == ["ResNet-18 ahead"] * 6
    # Nothing is said of equal accuracy where there is none.
    assert "bullets" not in blocks(store, Bullets)


def test_of_equally_accurate_networks_a_sentence_says_which_is_faster(store, tmp_path):
    shutil.copytree(store, tmp_path / "copy")
    for replicate in range(3):
        deit, resnet = (
            tmp_path / "copy/runs" / run_id("tiny", name, None, replicate) for name in ("deit", "resnet")
        )
        predicted = pd.read_parquet(deit / "predictions.parquet")["predicted"].to_numpy().copy()
        right = predicted == np.arange(len(predicted)) % 10
        # One more is wrong, and one more is right.
        wrong, mended = np.flatnonzero(right)[replicate], np.flatnonzero(~right)[replicate]
        predicted[wrong], predicted[mended] = (predicted[wrong] + 1) % 10, mended % 10
        set_predicted(resnet, predicted)
    told = blocks(tmp_path / "copy", Bullets)["bullets"].items
    start = (
        "ONNX Runtime, fp32 on the CPU (Example CPU): in from-scratch, trained on the whole training split"
    )
    (exported,) = [one for one in told if one.startswith(start) and "DeiT" in one]
    assert "DeiT-Ti/4 and ResNet-18 are not told apart in accuracy (difference 0.0 points, 95 %" in exported
    assert exported.endswith("; DeiT-Ti/4 runs 0.38 times the images/s of ResNet-18.")
    (other,) = [one for one in told if one.startswith("OpenVINO") and "DeiT" in one]
    assert other.endswith("runs 0.98 times the images/s of ResNet-18, which the intervals do not tell apart.")


def test_in_int8_the_accuracy_is_that_in_int8(store, tmp_path, monkeypatch):
    root = tmp_path / "copy"
    shutil.copytree(store, root)
    listing = json.loads((root / "suites/tiny.json").read_text())
    listing["headlines"][0]["runtimes"].append(["onnxruntime", "int8"])
    (root / "suites/tiny.json").write_text(json.dumps(listing))
    for model, rate in (("vit_tiny_patch4_32", 900.0), ("resnet18_cifar", 300.0)):
        ends = {"images_per_s": rate, "images_per_s_low": 0.98 * rate, "images_per_s_high": 1.02 * rate}
        put(root, model, "onnxruntime", 8, "speed", precision="int8", agreement=0.75, **ends)
    clean = {(one.comparison, one.shots, one.contestant): one for one in gather(RunStore(root), "tiny").cells}

    def in_int8(evidence, runtime):
        """In int8 each of the two has the predictions that the other has in fp32."""
        if runtime != "onnxruntime":
            return {}
        other = {"deit": "resnet", "resnet": "deit"}
        return {key: clean[(*key[:2], other.get(key[2], key[2]))] for key in clean}

    monkeypatch.setattr(where, "_in_int8", in_int8)
    tables = blocks(root, Table)
    races = tables["where-it-will-run"]
    assert column(races, "Runs in")[:4] == [*PLACES, "ONNX Runtime, int8"]
    difference = column(races, "Accuracy, transformer minus CNN (points)")
    names = column(races, "Transformer")
    deit = [k for k, name in enumerate(names) if name == "DeiT-Ti/4"]
    assert {difference[k] for k in deit[:3]} == {difference[deit[0]]}
    assert difference[deit[3]] == difference[deit[0]].replace("\N{MINUS SIGN}", "+")
    assert [column(races, "In accuracy")[k] for k in deit] == [*["ResNet-18 ahead"] * 3, "DeiT-Ti/4 ahead"]
    assert column(races, "Images/s, transformer over CNN")[deit[3]] == "3.00"
    assert column(races, "Faster")[deit[3]] == "DeiT-Ti/4"
    cost = dict(
        zip(column(tables["int8"], "Model"), column(tables["int8"], "Difference (points)"), strict=True)
    )
    assert cost["ResNet-18"] == difference[deit[0]] and cost["DeiT-Ti/4"] == difference[deit[3]]
    assert cost["ViT-Ti/4"] == "0.0"
    assert column(tables["deployed-cpu-32px"], "Images/s") == [
        "100",
        "150",
        "500",
        "900",
        "300",
        "400",
        "510",
        "300",
    ]


def test_other_comparisons_stay_in_pytorch(store):
    evidence = gather(RunStore(store), "tiny")
    (platform,) = evidence.platforms
    compared = shown_on(platform, evidence.headlines, {("resnet18_cifar", 32)})
    assert [one.value("resnet18_cifar", 32) for one in compared] == [300, pytest.approx(1e4 / 300)]
    table = next(one for one in walk(speed(evidence).blocks) if isinstance(one, Table))
    rows = dict(zip(column(table, "Setting"), column(table, "Row"), strict=True))
    assert rows["ONNX Runtime 1.22.0, fp32, 32 px, 10 classes"] == "other"
    keys = {setting_key(platform, "speed", row) for row in platform.speed.to_dict("records")}
    assert len(keys) == len(platform.speed) == 12
    assert sum("onnxruntime-1-22-0-fp32" in key for key in keys) == 4
    tables = build_tables(RunStore(store))
    assert tables["speed"]["runtime"].value_counts().to_dict() == {
        "torch": 4, "onnxruntime": 4, "openvino": 4,
    }  # fmt: skip
    exported = tables["speed"][tables["speed"]["runtime"] == "openvino"]
    assert set(exported["runtime_version"]) == {"2025.3"} and not exported["as_trained"].any()


def test_an_unstable_row_of_a_runtime_is_withheld(store, tmp_path):
    shutil.copytree(store, tmp_path / "copy")
    path = tmp_path / "copy/profiles/resnet18-cifar-onnxruntime-fp32-8-speed/record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"unstable": True}))
    tables = blocks(tmp_path / "copy", Table)
    assert column(tables["deployed-cpu-32px"], "Images/s")[4] == "withheld"
    assert column(tables["where-it-will-run"], "Faster")[1] == "not measured"


def test_a_suite_that_asks_for_no_runtime_has_no_such_section(store, tmp_path):
    make_store(tmp_path)
    assert deployed(gather(RunStore(tmp_path), "tiny")) is None


SUITE = """
title = "t"
description = "d"
[models]
vit = { model = "vit_digits" }
resnet = { model = "resnet_digits" }
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["vit", "resnet"]
recipe = "scratch"
shots = [20]
replicates = 3
input_size = 16
contrasts = [["vit", "resnet"]]
conditions = ["int8_onnxruntime"]
set = { "budget.epochs" = 6, "budget.min_steps" = 0, "budget.batch_size" = 16, "optimizer.lr" = 3e-3 }
[[profiles.measured]]
what = ["speed", "memory"]
models = ["vit_digits", "resnet_digits"]
batch_sizes = [1, 4]
input_size = 16
classes = 10
repeats = 3
seconds = 0
limits = false
patience = 1
runtimes = ["torch", "onnxruntime"]
int8 = true
"""


@pytest.mark.slow
def test_from_a_suite_to_its_report(vcbench, tmp_path):
    (tmp_path / "mine.toml").write_text(SUITE)
    status, _, err = vcbench("run", "mine.toml", "--device", "cpu", "--results", "r")
    assert status == 0, err
    assert vcbench("report", "mine.toml", "--results", "r", "--out", "page")[0] == 0
    measured = pd.read_csv(tmp_path / "r/tables/speed.csv")
    assert (measured["outcome"] == "measured").all()
    places = measured.groupby(["runtime", "precision"])["model"].count().to_dict()
    assert places == {("torch", "fp32"): 4, ("onnxruntime", "fp32"): 4, ("onnxruntime", "int8"): 4}
    int8 = measured[measured["precision"] == "int8"]
    assert int8["agreement"].between(0, 1).all() and int8["calibration"].str.contains("16 random").all()
    memory = pd.read_csv(tmp_path / "r/tables/memory.csv")
    assert len(memory) == 12 and (memory["peak_rss_mib"] > 0).all(), memory["reason"].tolist()
    store = RunStore(tmp_path / "r")
    evidence = gather(store, "mine")
    tables = {one.name: one for one in walk(deployed(evidence).blocks) if isinstance(one, Table)}
    for row, key in enumerate(("vit", "resnet")):
        runs = [one.id for one in evidence.suite.trials if one.contestant == key]
        differences = [store.result(run, "int8_onnxruntime").top1 - store.result(run).top1 for run in runs]
        said = tables["int8"].rows[row]
        assert said[-2].text.replace("−", "-") == f"{100 * np.mean(differences):+.1f}".replace("+0.0", "0.0")
        assert said[-1].text == "3" and " to " in said[-2].spread
    page = (tmp_path / "page/index.html").read_text()
    assert "Where it will run" in page and "What int8 costs in accuracy" in page
    # Nothing is left to do, and nothing is measured anew.
    status, out, _ = vcbench("plan", "mine.toml", "--device", "cpu", "--results", "r")
    assert status == 0 and "26 profiles, 26 done" in out
