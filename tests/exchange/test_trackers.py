"""What trackers are given, read again with their own libraries."""

import json
import os
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from console import told, vcbench
from small_store import run_id, write_store

from bench.cli.progress import TrialBar
from bench.exchange.trackers import Run, open_tracker, tracker_names
from vcbench import run

ROOT = Path(__file__).parent.parent.parent
LOSSES = [2.0, 1.5, 1.25]
NAMES = [f"main-{model}-5-r{replicate}" for model in ("vit", "resnet") for replicate in (0, 1)]


@pytest.fixture
def store(tmp_path):
    """Two models with two replicates; the first run has a learning curve without val at its first step."""
    half, most = np.arange(40) % 2 == 0, np.arange(40) % 4 > 0
    root = write_store(
        tmp_path / "store", {("vit", 5): np.stack([half] * 2), ("resnet", 5): np.stack([most] * 2)}
    )
    columns = {"step": [10, 20, 30], "epoch": [1.0, 2.0, 3.0], "loss": LOSSES, "lr": [0.1] * 3}
    val = {"images_per_s": [100.0] * 3, "val_top1": [None, 0.4, 0.5], "val_nll": [None, 1.5, 1.4]}
    pd.DataFrame(columns | val).to_parquet(root / "runs" / run_id("vit", 5, 0) / "history.parquet")
    return root


def require(form: str) -> None:
    """Skip the test without the library; trackio must not be imported before it is given its folder."""
    if find_spec(form) is None:
        pytest.skip(f"no {form} here")


def exported(form: str, store: Path, tmp_path: Path) -> Path:
    """The folder that a tracker reads, written in a process of its own, and nothing new the second time."""
    require(form)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "bench", "export", "--format", form, "--out", str(out)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command += ["--results", str(store)]
    first = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert first.stdout.split() == [f"small/{name}" for name in NAMES], first.stderr
    again = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert again.returncode == 2 and "nothing new" in again.stderr
    return out


def test_tensorboard(store, tmp_path):
    out = exported("tensorboard", store, tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folders = sorted(path.relative_to(out).as_posix() for path in out.glob("small/main-*/*"))
    assert folders == sorted(f"small/{name[:-3]}/{name}" for name in NAMES)
    events = EventAccumulator(str(out / "small/main-vit-5/main-vit-5-r0")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("history/loss")] == [(10, 2.0), (20, 1.5), (30, 1.25)]
    assert [e.step for e in events.Scalars("history/val_top1")] == [20, 30]
    assert [e.value for e in events.Scalars("final/top1")] == [0.5]
    plugin = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"recipe.augment.interpolation" in plugin and b"bicubic" in plugin and b"contestant" in plugin
    assert (out / "small/report/index.html").is_file()
    assert EventAccumulator(str(out / "small/report")).Reload().Tags()["tensors"] == ["report/text_summary"]


def test_mlflow(store, tmp_path):
    out = exported("mlflow", store, tmp_path)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert set(runs) == {*NAMES, "report"}
    own = runs["main-vit-5-r0"]
    logged = [(m.step, m.value) for m in client.get_metric_history(own.info.run_id, "loss")]
    assert logged == [(10, 2.0), (20, 1.5), (30, 1.25)] and own.info.status == "FINISHED"
    assert own.data.metrics["final/top1"] == 0.5 and own.data.tags["group"] == "main-vit-5"
    assert own.data.params["recipe.augment.interpolation"] == "bicubic"
    files = client.list_artifacts(runs["report"].info.run_id, "report")
    assert "report/index.html" in {file.path for file in files}


def leveldb_log(data: bytes, offset: int) -> Iterator[bytes]:
    """The records of a log in LevelDB's format that begins at an offset of its first block of 32 KiB: each
    fragment has a checksum (4 bytes), a length (2) and a type (1: whole, 2: first, 3: middle, 4: last)."""
    position, record = 0, b""
    while position + 7 <= len(data):
        if (left := 32768 - (position + offset) % 32768) < 7:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def wandb_records(out: Path, name: str) -> list:
    """The records of a run, as wandb's own format describes them."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = out.glob(f"wandb/offline-run-*-{name}/*.wandb")
    return [Record.FromString(data) for data in leveldb_log(file.read_bytes()[7:], 7)]


def wandb_rows(records: list) -> list[dict]:
    return [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]


def test_wandb(store, tmp_path):
    out = exported("wandb", store, tmp_path)
    records = wandb_records(out, "main-vit-5-r0")
    (begun,) = (record.run for record in records if record.HasField("run"))
    assert (begun.project, begun.run_group, begun.display_name) == ("small", "main-vit-5", "main-vit-5-r0")
    assert "model:vit_digits" in begun.tags
    assert [(row["_step"], row["loss"], row.get("val_top1")) for row in wandb_rows(records)] == [
        (10, 2.0, None), (20, 1.5, 0.4), (30, 1.25, 0.5),
    ]  # fmt: skip
    assert len(list(out.glob("wandb/offline-run-*"))) == len(NAMES) + 1


def trackio_rows(connection, name: str) -> list[tuple[int, str]]:
    query = f"select step, metrics from metrics where run_name = '{name}'"
    return connection.execute(query).fetchall()


def test_trackio(store, tmp_path):
    out = exported("trackio", store, tmp_path)
    (database,) = out.glob("small*.db")
    with sqlite3.connect(database) as connection:
        own = "where run_name = 'main-vit-5-r0'"
        rows = trackio_rows(connection, "main-vit-5-r0")
        (config,) = connection.execute(f"select config from configs {own}").fetchone()
    losses = [(step, json.loads(text)["loss"]) for step, text in rows if "loss" in json.loads(text)]
    assert sorted(losses) == [(10, 2.0), (20, 1.5), (30, 1.25)]
    assert {"final/top1": 0.5}.items() <= json.loads(rows[-1][1]).items()
    assert json.loads(config)["recipe.augment.interpolation"] == "bicubic"


def read_losses(form: str, out: Path, name: str) -> list[tuple[int, float]]:
    """Steps and losses of a run of the project "p", by the tracker's own library or in its own format."""
    if form == "tensorboard":
        return read_scalars(out / "p/g" / name)["history/loss"]
    if form == "mlflow":
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{out / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("p").experiment_id
        (own,) = client.search_runs([experiment], f"attributes.run_name = '{name}'")
        return [(m.step, m.value) for m in client.get_metric_history(own.info.run_id, "loss")]
    if form == "wandb":
        return [(row["_step"], row["loss"]) for row in wandb_rows(wandb_records(out, name))]
    with sqlite3.connect(out / "p.db") as connection:
        rows = [(step, json.loads(text)) for step, text in trackio_rows(connection, name)]
    return [(step, row["loss"]) for step, row in rows if "loss" in row]


@pytest.mark.parametrize("form", tracker_names())
def test_two_runs_are_open_at_once_and_one_is_begun_again(form, tmp_path):
    require(form)
    tracker = open_tracker(form, tmp_path / "out")
    one, two = (Run(f"{k}" * 16, "p", "g", f"g-r{k}", {"a": "b"}, {"lr": 0.1}) for k in (0, 1))
    logs = [tracker.begin(run) for run in (one, two)]
    for step in (1, 2):
        for log in logs:
            log.row(step, {"loss": 1 / step})
    logs[0].finish({"top1": 0.5}, "finished")
    logs[1].close()
    assert tracker.has(one) and tracker.has(two)
    tracker.remove(two)
    assert tracker.has(one) and not tracker.has(two)
    time.sleep(1.1)  # wandb calls a folder by the second
    again = tracker.begin(two)
    again.row(1, {"loss": 2.0})
    again.finish({"top1": 0.25}, "finished")
    assert sorted(read_losses(form, tmp_path / "out", "g-r0")) == [(1, 1.0), (2, 0.5)]
    assert read_losses(form, tmp_path / "out", "g-r1") == [(1, 2.0)]


def tiny(steps: int) -> dict:
    """A suite of one network on two images a class."""
    comparison = {
        "name": "digits", "dataset": "digits", "contestants": ["net"], "recipe": "scratch", "shots": [2],
        "input_size": 16, "set": {"budget.epochs": 1, "budget.min_steps": steps, "val_times": 2},
    }  # fmt: skip
    suite = {"name": "tiny", "title": "Tiny", "description": "One network.", "comparison": [comparison]}
    return suite | {"models": {"net": {"model": "resnet_digits"}}}


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's own reader finds in the folder of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_rows_arrive_while_a_trial_trains_each_once(tmp_path, monkeypatch, jobs):
    pytest.importorskip("tensorboard")
    root, seen = tmp_path / "r", {}
    cell = root / "trackers/tensorboard/tiny/digits-net-2"

    def stop_once_there_are_rows(bar):
        for folder in cell.glob("*"):
            rows = read_scalars(folder).get("history/loss", [])
            if len(rows) >= 3:
                seen[folder.name] = rows
        return bool(seen)

    with monkeypatch.context() as patched:
        patched.setattr(TrialBar, "should_stop", stop_once_there_are_rows)
        assert run(tiny(100), root, device="cpu", replicates=2, jobs=jobs, track="tensorboard").accuracy.empty
    assert all(3 <= len(rows) < 100 for rows in seen.values())
    table = run(tiny(100), root, device="cpu", replicates=2, jobs=jobs, track="tensorboard").accuracy
    for replicate, trial in table.set_index("replicate").iterrows():
        history = pd.read_parquet(root / "runs" / trial["run"] / "history.parquet")
        scalars = read_scalars(cell / f"digits-net-2-r{replicate}")
        for name, part in (("loss", history), ("val_top1", history.dropna(subset="val_top1"))):
            steps, values = zip(*scalars[f"history/{name}"], strict=True)
            assert list(steps) == part["step"].tolist() and values == pytest.approx(part[name].tolist())
        early = seen.get(f"digits-net-2-r{replicate}", [])
        assert early == scalars["history/loss"][: len(early)]
        assert scalars["final/top1"] == [(0, pytest.approx(trial["top1"]))]


def test_a_run_is_tracked_from_its_first_trial_on(tmp_path):
    pytest.importorskip("tensorboard")
    root = tmp_path / "r"
    run(tiny(2), root, device="cpu", replicates=1)
    table = run(tiny(2), root, device="cpu", replicates=3, track="tensorboard").accuracy
    cell = root / "trackers/tensorboard/tiny/digits-net-2"
    tracked = {folder.name[-1]: read_scalars(folder)["final/top1"][0][1] for folder in cell.iterdir()}
    assert tracked == pytest.approx(table.set_index(table["replicate"].astype(str))["top1"].to_dict())


def test_a_tracker_that_is_not_installed_is_told(store, tmp_path, monkeypatch):
    for name in tracker_names():
        for module in [one for one in sys.modules if name in one.split(".")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        ran = vcbench("export", "--format", name, "--results", store, "--out", tmp_path / "out")
        told(ran, f"{name}: is not installed", f"pip install 'vcbench[{name}]'")
    told(vcbench("run", "quick", "--results", tmp_path / "r", "--track", "tensorbord"), '"tensorboard"')
    assert not (tmp_path / "r").exists()


def test_every_tracker_is_a_module_and_an_extra():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(tracker_names()) <= set(extras) and find_spec("bench.exchange.trackers") is not None
