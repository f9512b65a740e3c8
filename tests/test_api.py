"""`import vcbench`: the same results as the command line, as DataFrames and figures."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from markupsafe import escape
from matplotlib.figure import Figure
from scipy.stats import ttest_1samp
from sklearn.neighbors import NearestCentroid
from small_store import write_store

import vcbench
from bench.cli.progress import Ended, Stop
from bench.data import open_dataset
from bench.errors import InputError, StoreError

ROOT = Path(__file__).parent.parent
SUITE = {
    "name": "tiny",
    "title": "A tiny suite",
    "description": "One network on a few digits.",
    "models": {"net": {"model": "resnet_digits"}},
    "comparison": [
        {
            "name": "digits",
            "dataset": "digits",
            "contestants": ["net"],
            "recipe": "scratch",
            "shots": [2],
            "replicates": 1,
            "input_size": 16,
            "set": {"budget.epochs": 1, "budget.min_steps": 2},
        }
    ],
}


def python(code: str, cwd: Path) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=cwd, env=env, **pipes)


@pytest.fixture
def store(tmp_path) -> Path:
    """Known answers: one model is right on half of 40 test images, the other on three quarters."""
    half, more = np.arange(40) % 2 == 0, np.arange(40) % 4 > 0
    right = {("vit", shots): np.stack([half] * 3) for shots in (1, 5)}
    right |= {("resnet", shots): np.stack([more] * 3) for shots in (1, 5)}
    return write_store(tmp_path / "small", right)


def test_importing_imports_no_torch_and_no_pandas(tmp_path):
    code = "import bench, vcbench, sys; print({'torch', 'timm', 'pandas', 'matplotlib'} & set(sys.modules))"
    out, err = python(code, tmp_path).communicate()
    assert (out, err) == ("set()\n", "")


def test_open_gives_the_tables_that_the_command_line_writes(store, vcbench_tables):
    results = vcbench.open(store)
    assert results.suites == ["small"] and results.suite == "small" and str(store) in repr(results)
    top1 = results.accuracy.groupby("contestant")["top1"].unique()
    assert top1.map(list).to_dict() == {"resnet": [0.75], "vit": [0.5]}
    assert set(results.contrasts["difference"].abs()) == {0.25}
    names = {"accuracy", "baselines", "contrasts", "cost", "history", "speed", "memory", "scaling"}
    names |= {"end_to_end", "loading"}
    for name in names:
        pd.testing.assert_frame_equal(getattr(results, name), vcbench_tables(store, name))
    assert names <= set(results.tables)


@pytest.fixture
def vcbench_tables(vcbench):
    """A table as the command line writes it."""

    def read(store: Path, name: str) -> pd.DataFrame:
        path = store / "tables" / f"{name}.parquet"
        if not path.exists():
            assert vcbench("tables", "--results", str(store))[0] == 0
        return pd.read_parquet(path)

    return read


def test_a_plot_shows_the_numbers_of_the_store(store):
    figure = vcbench.open(store).plot("data_efficiency")
    assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")
    (axes,) = figure.axes
    drawn = {tuple(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 2}
    assert {(50.0, 50.0), (75.0, 75.0)} <= drawn
    assert {text.get_text().replace("\n", " ") for text in figure.texts} >= {"ViT-Ti/4", "ResNet-18"}
    assert vcbench.open(store).plot("contrasts", "main").axes


def test_a_wrong_plot_store_or_suite_is_told(store, tmp_path):
    results = vcbench.open(store)
    with pytest.raises(
        InputError, match='no plot "data_eficiency"; did you mean "data_efficiency".*contrasts'
    ):
        results.plot("data_eficiency")
    with pytest.raises(InputError, match='none is "main"; say which: digits'):
        results.plot("data_efficiency", "main")
    with pytest.raises(InputError, match="nothing of it was measured"):
        results.plot("throughput")
    with pytest.raises(InputError, match='suite "smal".*"small"'):
        vcbench.open(store, "smal")
    with pytest.raises(StoreError, match="no such folder"):
        vcbench.open(tmp_path / "nowhere")
    other = json.loads((store / "suites/small.json").read_text()) | {"suite": "other"}
    (store / "suites/other.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"name the suite.*it has other, small"):
        vcbench.open(store).plot("data_efficiency")
    assert vcbench.open(store, "small").plot("data_efficiency").axes


def test_a_suite_is_loaded_with_settings():
    suite = vcbench.load_suite("quick", {"recipe.budget.epochs": 2, "title": "Ü"})
    assert suite.name.startswith("quick+") and suite.title == "Ü"
    assert suite.recipe_of(suite.comparison[0], suite.comparison[0].contestants[0]).budget.epochs == 2
    assert vcbench.load_suite(suite) is suite and vcbench.load_suite(SUITE).name == "tiny"
    with pytest.raises(InputError, match="is loaded already"):
        vcbench.load_suite(suite, {"title": "t"})


def test_run_is_quiet_and_does_what_is_missing_once(tmp_path, capfd):
    results = vcbench.run(SUITE, tmp_path / "r", device="cpu")
    assert results.suite == "tiny" and len(results.accuracy) == 1 and len(results.cost) == 1
    assert (tmp_path / "r/tables/accuracy.parquet").is_file()
    again = vcbench.run(SUITE, tmp_path / "r", device="cpu")
    pd.testing.assert_frame_equal(again.accuracy, results.accuracy)
    assert capfd.readouterr() == ("", "")
    two = vcbench.run(SUITE, tmp_path / "r", device="cpu", replicates=2, progress=True)
    assert list(two.accuracy["replicate"]) == [0, 1]
    assert "1 of 2 trials to do" in capfd.readouterr().err


@pytest.mark.parametrize(("interrupted", "error"), [(False, InputError), (True, KeyboardInterrupt)])
def test_an_end_before_the_first_trial_is_told(monkeypatch, tmp_path, interrupted, error):
    from bench.cli import progress, running

    def ended(*_, stop, **__):
        stop.signal = signal.SIGINT if interrupted else None
        raise progress.Ended

    monkeypatch.setattr(running, "run_and_tabulate", ended)
    with pytest.raises(error):
        vcbench.run(SUITE, tmp_path, budget="1m")


MANY_STEPS = {"set": {"budget.epochs": 1, "budget.min_steps": 100_000}}
LONG = SUITE | {"comparison": [SUITE["comparison"][0] | MANY_STEPS]}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="sends a real SIGINT")
def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_call_goes_on(tmp_path):
    """In a script without `if __name__ == "__main__"`, as a notebook has none."""
    code = "import vcbench, bench.training.loop; bench.training.loop.CHECKPOINT_SECONDS = 1;"
    process = python(f"{code} vcbench.run({LONG!r}, 'r', device='cpu')", tmp_path)
    try:
        while process.poll() is None and not list(tmp_path.glob("r/runs/*/checkpoint*")):
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in err and out == ""
    assert list(tmp_path.glob("r/runs/*/checkpoint*")) and not list(tmp_path.glob("r/runs/*/record.json"))


THREE = SUITE | {"comparison": [SUITE["comparison"][0] | {"replicates": 3, "set": {"budget.min_steps": 800}}]}
TWICE = """
import vcbench
try:
    vcbench.run({suite!r}, "r", device="cpu")
except KeyboardInterrupt:
    print("interrupted")
print(len(vcbench.run({suite!r}, "r", device="cpu").accuracy))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="sends a real SIGINT")
def test_an_interrupted_run_goes_on_in_the_same_process(tmp_path):
    process = python(TWICE.format(suite=THREE), tmp_path)
    try:
        while process.poll() is None and not list(tmp_path.glob("r/evaluations/*/record.json")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("r/evaluations/*/record.json")}
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert out.split() == ["interrupted", "3"], err
    assert len(first) == 1 and all(path.stat().st_mtime_ns == written for path, written in first.items())


def test_the_tables_of_what_was_not_done_are_empty(store):
    results = vcbench.open(store)
    assert len(results.search) == len(results.robustness) == 0
    assert {"contestant", "chosen"} <= set(results.search) and "top1" in results.robustness


def test_a_notebook_shows_the_answer_and_writes_the_report(store, tmp_path):
    results = vcbench.open(store)
    html = results._repr_html_()
    for row in re.findall("<tr>(.*?)</tr>", html, re.DOTALL)[1:]:
        fields = re.findall("<td>(.*?)</td>", row)
        (model,) = {"50.0", "75.0"} & {field.split()[0] for field in fields if field}
        assert fields[1] == {"50.0": "ViT-Ti/4", "75.0": "ResNet-18"}[model]
    assert "ResNet-18" in results.answer and 'src="data:image/svg+xml;base64,' in html
    assert all(str(escape(paragraph[-40:])) in html for paragraph in results.answer.split("\n\n"))
    assert not re.search(r"<script|(?:src|href)=.(?!data:)", html)
    page = results.report(tmp_path / "report", for_paper=True)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html")
    assert (tmp_path / "report/numbers.tex").is_file()


def pixels(split: str) -> tuple[np.ndarray, np.ndarray]:
    digits = open_dataset("digits", None, "data")
    where = digits.splits[split]
    return np.stack([digits.read(int(i)).transpose(2, 0, 1).ravel() for i in where]) / 255, digits.labels[
        where
    ]


@pytest.fixture
def centroids():
    """A network that classifies by the nearest class mean, and the same by scikit-learn."""
    images, labels = pixels("train")
    reference = NearestCentroid().fit(images, labels)
    network = torch.nn.Flatten()
    means = torch.tensor(reference.centroids_, dtype=torch.float32)
    return lambda batch: -torch.cdist(network(batch), means), reference


def test_an_own_network_is_compared_image_by_image(tmp_path, centroids):
    results = vcbench.run(SUITE, tmp_path / "r", device="cpu")
    network, reference = centroids
    score = vcbench.evaluate(network, dataset="digits", name="means", results=results)
    images, labels = pixels("test")
    right = reference.predict(images) == labels
    assert score.top1 == pytest.approx(right.mean()) and "means reaches" in score.text
    (row,) = score.against.to_dict("records")
    assert row["top1"] == pytest.approx(results.accuracy["top1"][0]) and row["runs"] == 1
    (predictions,) = (tmp_path / "r").glob("evaluations/*/predictions.parquet")
    theirs = pd.read_parquet(predictions)["predicted"].to_numpy() == labels
    low, high = ttest_1samp(right.astype(float) - theirs, 0).confidence_interval(0.95)
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(
        (right.mean() - theirs.mean(), low, high)
    )
    assert list(vcbench.open(tmp_path / "r").tables["brought"]["name"]) == ["means"]
    assert "<table" in score._repr_html_()
    again = vcbench.evaluate(network, dataset="digits", name="means", results=tmp_path / "r")
    assert again.top1 == score.top1
    with pytest.raises(InputError, match="holds other predictions"):
        vcbench.evaluate(
            lambda batch: -network(batch)[:, :10], dataset="digits", name="means", results=results
        )


def test_a_module_predicts_in_eval_mode_and_is_left_as_it_was(tmp_path):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(192), torch.nn.Linear(192, 10))
    net[1].eval()
    score = vcbench.evaluate(net, dataset="digits", results=tmp_path / "r")
    assert net.training and net[2].training and not net[1].training
    assert int(net[1].num_batches_tracked) == 0 and len(score.against) == 0


@pytest.mark.parametrize(
    ("model", "transform", "told"),
    [
        (lambda batch: batch.flatten(1)[:, :7], None, r"gives \(64, 7\) .* logits \(64, 10\)"),
        (lambda batch: batch.flatten(1)[:, :10] / 0, None, "not finite, first for test image 0"),
        (lambda batch: None, None, "gives NoneType"),
        (None, np.asarray, "transform gives ndarray"),
        (None, lambda image: torch.zeros(3, 8, 8 + image.getpixel((4, 4))[0] % 2), "make.* them equal"),
    ],
)
def test_a_wrong_model_or_transform_is_told(tmp_path, model, transform, told):
    with pytest.raises(InputError, match=told):
        vcbench.evaluate(model, transform, dataset="digits", results=tmp_path / "r")
    assert not (tmp_path / "r/brought").exists()


def test_a_budget_that_ends_while_modules_are_imported_leaves_a_process_that_works(tmp_path):
    """PyTorch can be imported once in a process: breaking that off would be for good."""
    code = """
import vcbench
for budget in ("1s", "1s", "2s"):
    try:
        vcbench.run("quick", "results", budget=budget, device="cpu")
    except Exception as error:
        print(type(error).__name__)
import torch, timm
print(torch.ones(2).sum().item())
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.stdout.split()[-1] == "2.0", ended.stderr
    assert set(ended.stdout.split()[:-1]) <= {"InputError"}


def test_a_stop_during_an_import_is_noted_and_ends_the_run_after_it():
    stop, done = Stop(None), []
    with pytest.raises(Ended), stop.on_signals(), stop.later():
        signal.raise_signal(signal.SIGINT)
        done.append("imported")
    assert done == ["imported"] and stop.interrupted


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"recipe.budget.epochs": "x"}, 'key "budget.epochs": input should be a valid integer'),
        ({"recipe.optimizer.lr": float("inf")}, "lr"),
        (["recipe.budget.epochs=2"], "settings: should be a mapping such as"),
        ({"recipe.budget.epochs": object()}, "settings: recipe.budget.epochs = <object"),
    ],
)
def test_settings_that_do_not_fit_are_told_when_a_suite_is_loaded(settings, line):
    with pytest.raises(InputError, match=re.escape(line)) as error:
        vcbench.load_suite("quick", settings)
    assert "Infinity" not in str(error.value)


def test_settings_may_be_numbers_of_numpy():
    loaded = vcbench.load_suite("quick", {"recipe.budget.epochs": np.int64(2), "delta": np.float64(0.02)})
    assert loaded.recipe_of(loaded.comparison[0], "vit-short").budget.epochs == 2 and loaded.delta == 0.02


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"budget": 60}, "budget 60: should be a duration"),
        ({"jobs": "many"}, "jobs = 'many': should be a number, or auto"),
        ({"only": "nothing"}, "--only nothing"),
        ({"gpus_per_trial": 0}, "gpus_per_trial = 0: should be 1 or more"),
        ({"replicates": 0}, "replicates = 0: should be 1 or more"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(tmp_path, options, line):
    with pytest.raises(InputError, match=re.escape(line)):
        vcbench.run(SUITE, tmp_path / "results", device="cpu", **options)


def test_what_cannot_be_kept_is_refused_before_a_network_is_asked(tmp_path):
    def never(images):
        raise AssertionError("asked")

    stranger = tmp_path / "letters"
    stranger.mkdir()
    (stranger / "to-mother.txt").write_text("Dear")
    for options, line in (
        ({"name": "a/b"}, '--name "a/b"'),
        ({"results": stranger}, "holds something else"),
        ({"batch_size": 0}, "batch_size = 0: should be 1 or more"),
    ):
        with pytest.raises((InputError, StoreError), match=re.escape(line)):
            vcbench.evaluate(never, dataset="digits", **({"results": tmp_path / "results"} | options))


def test_a_page_of_somebody_else_stays(tmp_path):
    own = tmp_path / "site" / "index.html"
    own.parent.mkdir()
    own.write_text("mine")
    store = vcbench.Results(write_store(tmp_path / "store", {("vit", 5): np.ones((3, 20), bool)}), "small")
    with pytest.raises(InputError, match="is no page of a report; choose another folder"):
        store.report(own.parent)
    assert own.read_text() == "mine" and [*own.parent.iterdir()] == [own]
