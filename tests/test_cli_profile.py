"""vcbench profile as a user meets it; its workers run in this process, but for one test."""

import json
import sys

import pandas as pd
import pytest

from bench import profiling
from bench.cli import main
from bench.measure import bandwidth, processes, rounds, subject, worker

SMALL = ("--input-size", "16", "--classes", "10", "--device", "cpu", "--seconds", "0", "--repeats", "2")


@pytest.fixture
def vcbench(tmp_path, monkeypatch, capsys):
    """Runs the command line in this process, in an empty folder; gives status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["vcbench", *arguments])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def here(monkeypatch):
    """Workers without processes."""
    from bench.measure import matmul

    monkeypatch.setitem(bandwidth.ARRAY_BYTES, "cpu", 2**12)
    monkeypatch.setitem(matmul.SHAPES, "cpu", ((32, 32, 32), (64, 64, 64)))
    for module in (processes, rounds, profiling):
        monkeypatch.setattr(module, "ask", lambda job: worker.take(job | {"memory_limit": None}))


def tables(tmp_path, name):
    return pd.read_csv(tmp_path / "results/tables" / f"{name}.csv")


def test_cost_speed_and_memory_fill_store_and_tables(vcbench, here, tmp_path):
    arguments = ("profile", "vit_digits", "resnet_digits", *SMALL, "--batch-size", "1,2")
    status, out, err = vcbench(*arguments, "--precision", "fp32,bf16", "--json")
    assert status == 0, err
    records = json.loads(out)
    assert {r["what"] for r in records} == {"cost", "speed", "memory"} and len(records) == 2 + 8 + 8
    speed = tables(tmp_path, "speed")
    assert set(speed["outcome"]) == {"measured"} and set(speed["processes"]) == {3}
    assert set(zip(speed["model"], speed["precision"], speed["batch_size"], strict=True)) == {
        (m, p, b) for m in ("vit_digits", "resnet_digits") for p in ("fp32", "bf16") for b in (1, 2)
    }
    cost = tables(tmp_path, "cost").set_index("model")
    assert set(cost.index) == {"vit_digits", "resnet_digits"}
    for row in speed.itertuples():
        samples = pd.read_parquet(tmp_path / "results/profiles" / row.profile / "samples.parquet")
        assert len(samples) == row.samples and samples["process"].nunique() == 3
        assert samples["ms"].median() == pytest.approx(row.latency_ms_median)
        assert row.images_per_s == pytest.approx(1000 * row.batch_size / row.latency_ms_median)
        achieved = row.images_per_s * cost["flops"][row.model]
        assert row.fraction_of_matmul_peak == pytest.approx(achieved / row.matmul_peak_flops_per_s)
    assert len(tables(tmp_path, "memory")) == 8


def test_measured_anew_it_replaces_the_record(vcbench, here, tmp_path):
    arguments = ("profile", "vit_digits", *SMALL, "--batch-size", "1", "--what", "speed")
    assert vcbench(*arguments)[0] == 0
    (first,) = (tmp_path / "results/profiles").glob("*/record.json")
    before = json.loads(first.read_text())["process_medians_ms"]
    status, out, _ = vcbench(*arguments)
    assert status == 0 and "IMAGES/S" in out and "vit_digits" in out
    (second,) = (tmp_path / "results/profiles").glob("*/record.json")
    assert first == second and json.loads(second.read_text())["process_medians_ms"] != before
    assert vcbench(*arguments, "--threads", "2")[0] == 0
    assert len(list((tmp_path / "results/profiles").glob("*/record.json"))) == 2


def test_outputs_that_are_nan_in_bf16_are_a_failed_row(vcbench, here, tmp_path, monkeypatch):
    import torch

    made = subject.make_network

    def broken(setting):
        network = made(setting)
        network.register_forward_hook(
            lambda module, inputs, out: out * torch.nan if out.dtype == torch.bfloat16 else out
        )
        return network

    monkeypatch.setattr(subject, "make_network", broken)
    arguments = ("profile", "vit_digits", *SMALL, "--batch-size", "1", "--what", "speed")
    status, out, _ = vcbench(*arguments, "--precision", "fp32,bf16")
    assert status == 0 and "not all finite" in out
    rows = tables(tmp_path, "speed").set_index("precision")
    assert rows["outcome"]["fp32"] == "measured" and rows["outcome"]["bf16"] == "failed"
    assert "bf16" in rows["reason"]["bf16"] and pd.isna(rows["images_per_s"]["bf16"])


def test_the_best_setting_is_measured_again(vcbench, tmp_path, monkeypatch):
    """Batch 4 is the fastest at first, and slower when it is measured again: that is what stands."""
    jobs = []

    def answer(job):
        if job["task"] == "matmul":
            return {"outcome": "measured", "flops_per_s": 1e9, "shape": [1, 1, 1]}
        if job["task"] == "bandwidth":
            return {"outcome": "measured", "bytes_per_s": 1e9}
        jobs.append(job["setting"])
        again = jobs.count(job["setting"]) > 5
        facts = {"clock": "", "tolerance": 1, "casting": "", "optimizer": None, "gpu": None, "error": 0.0}
        load = {"busy": False, "other_cores": 0.0, "load_before": 0.0, "load_after": 0.0}
        return {
            "outcome": "measured",
            "seconds": [0.004 if again else 0.001],
            "steady": True,
            "warm_up_steps": 6,
            **facts,
            **load,
        }

    monkeypatch.setattr(rounds, "ask", answer)
    arguments = ("profile", "vit_digits", *SMALL, "--what", "speed", "--full", "--mode", "infer")
    arguments += ("--batch-size", "1,2,4", "--precision", "fp32", "--memory-format", "contiguous")
    assert vcbench(*arguments)[0] == 0
    rows = tables(tmp_path, "speed")
    assert len(rows) == 6 and set(rows["compiled"]) == {True, False} and set(rows["processes"]) == {5}
    (best,) = rows[rows["best"]].to_dict("records")
    assert best["batch_size"] == 4 and best["latency_ms_median"] == 4.0


def test_scaling_of_cost(vcbench, tmp_path):
    assert vcbench("profile", "resnet_digits", *SMALL, "--what", "scaling")[0] == 0
    table = tables(tmp_path, "scaling")
    assert list(table["input_size"]) == [96, 128, 160, 192, 224, 256, 320, 384, 448, 512]
    assert table["flops"].is_monotonic_increasing and tables(tmp_path, "speed").empty


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vit_digit"], ['"vit_digits"']),
        (["vit_digits", "--what", "cost,sped"], ["--what cost,sped", '"speed"']),
        (["vit_digits", "--mode", "inference"], ["--mode inference", '"infer"']),
        (["vit_digits", "--precision", "fp8"], ["--precision fp8", "bf16"]),
        (["vit_digits", "--precision", "fp16", "--device", "cpu"], ["fp16", "CUDA"]),
        (["vit_digits", "--batch-size", "1,x"], ["--batch-size 1,x", "1,32"]),
        (["vit_digits", "--batch-size", "0"], ["--batch-size 0"]),
        (["vit_digits", "--device", "gpu"], ["--device gpu"]),
        (["vit_base_patch16_224", "--input-size", "225"], ["225", "224"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(vcbench, tmp_path, arguments, words):
    status, _, err = vcbench("profile", *arguments)
    (line,) = [line for line in err.splitlines() if "error:" in line]
    assert status == 2 and all(word in line for word in words), err
    assert not list(tmp_path.iterdir())


def test_help_has_an_example():
    from typer.testing import CliRunner

    from bench.cli import app

    shown = CliRunner().invoke(app, ["profile", "--help"])
    assert shown.exit_code == 0 and "Example: vcbench profile " in shown.output


@pytest.mark.slow
def test_real_workers_and_a_batch_that_does_not_fit(vcbench, tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "available_memory", lambda: 2**30)
    arguments = ("profile", "vit_digits", *SMALL, "--batch-size", "1,262144", "--what", "speed")
    status, out, err = vcbench(*arguments)
    assert status == 0 and "the largest batch that fits is" in out, err
    rows = tables(tmp_path, "speed").set_index("batch_size")
    assert rows["outcome"][1] == "measured" and rows["processes"][1] == 3
    assert rows["outcome"][262144] == "out_of_memory" and 1 <= rows["largest_batch"][262144] < 262144
