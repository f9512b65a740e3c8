"""`import vcbench`: the same results as the command line, as DataFrames and figures."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from small_store import write_store

import vcbench
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
    assert isinstance(figure, Figure)
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
    with pytest.raises(InputError, match='none is "mian"; did you mean "main".*say which: main'):
        results.plot("data_efficiency", "mian")
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
        stop.interrupted = interrupted
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
