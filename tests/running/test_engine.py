"""Trials in several processes: the same numbers, no hang when one dies, and an end when it is asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.errors import DataError
from bench.planning.plan import Resolver, plan
from bench.running.engine import InProcess, Processes, choose_engine
from bench.running.workspace import Workspace
from bench.spec.suite import load_suite
from bench.store.run_store import RunStore
from bench.training.observer import Silent

SUITE = """
title = "four"
description = "for tests"
[models]
vit = {{ model = "vit_digits" }}
[[comparison]]
name = "digits"
dataset = "digits"
contestants = ["vit"]
recipe = "scratch"
shots = [2]
replicates = {replicates}
input_size = 16
[comparison.set]
"budget.epochs" = 1
"budget.min_steps" = {steps}
"budget.batch_size" = 8
"augment.flip" = false
"""


@pytest.fixture
def four(tmp_path):
    """Four trials of 3 steps, and where to run them."""
    return ready(tmp_path, replicates=4, steps=3)


def ready(folder: Path, *, replicates: int, steps: int):
    (folder / "four.toml").write_text(SUITE.format(replicates=replicates, steps=steps))
    workspace = Workspace(folder, folder / "weights", folder / "store", "cpu")
    RunStore(workspace.results).prepare()
    trials = plan(load_suite(str(folder / "four.toml")))
    return Resolver(workspace.data_dir, workspace.weights_dir, workspace.results).resolve_all(
        trials
    ), workspace


class Follower(Silent):
    """Does something at the first progress of a trial."""

    def __init__(self, act=lambda: None):
        self.phases, self.act = [], act

    def progress(self, phase, done, total, **numbers):
        self.phases.append(phase)
        self.act()


def test_two_processes_give_the_numbers_of_one(four):
    trials, workspace = four
    followers = {}

    def follow(resolved):
        return followers.setdefault(resolved.id, Follower())

    ended = {o.resolved.id: o for o in Processes(2, 1).run(trials[:3], workspace, follow)}
    assert {o.status for o in ended.values()} == {"finished"} and set(ended) == {t.id for t in trials[:3]}
    assert all("training" in follower.phases for follower in followers.values())
    store = RunStore(workspace.results)
    assert store.names("runs") == sorted(ended)
    assert all(store.record(run).threads == 1 for run in ended)
    alone = Workspace(workspace.data_dir, workspace.weights_dir, workspace.results.with_name("alone"), "cpu")
    RunStore(alone.results).prepare()
    (single,) = InProcess().run(trials[:1], alone, lambda _: Silent())
    assert single.record.metrics == ended[trials[0].id].record.metrics
    assert [o.status for o in Processes(2, 1).run(trials[:1], workspace, follow)] == ["elsewhere"]


def test_a_process_that_is_killed_costs_one_trial(four):
    trials, workspace = four
    seen = []

    def follow(resolved):
        return Follower(kill if resolved.id == trials[0].id else lambda: None)

    def kill():
        if not seen:
            seen.append(True)
            for child in children():
                if "resource_tracker" not in child.read_text():
                    os.kill(int(child.parent.name), signal.SIGKILL)

    ended = list(Processes(1, 1).run(trials[:2], workspace, follow))
    assert [o.status for o in ended] == ["errored", "finished"]
    assert "SIGKILL" in ended[0].message and "--jobs 1" in ended[0].message
    assert "SIGKILL" in RunStore(workspace.results).error(trials[0].id).message


def children() -> list[Path]:
    """The command lines of this process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(stat.parent / "cmdline")
        except OSError:
            continue
    return found


def test_what_would_end_a_run_in_one_process_ends_it_in_several(four):
    trials, workspace = four
    (workspace.results / "runs").rmdir()
    (workspace.results / "runs").write_text("a file")
    with pytest.raises(Exception, match="runs") as raised:
        list(Processes(2, 1).run(trials, workspace, lambda _: Silent()))
    assert not isinstance(raised.value, EOFError)


def test_errors_of_a_kind_are_of_that_kind_again():
    from bench.running.engine import _portable

    error = _portable(DataError("digits: damaged"))
    assert isinstance(error, DataError) and str(error) == "digits: damaged"


def test_a_wish_to_stop_reaches_every_process_and_keeps_what_there_is(tmp_path):
    trials, workspace = ready(tmp_path, replicates=3, steps=5_000)
    begun = []

    class Stopping(Silent):
        def progress(self, phase, done, total, **numbers):
            begun.append(phase)

        def should_stop(self):
            return begun.count("training") > 2

    ended = list(Processes(2, 1).run(trials, workspace, lambda _: Stopping()))
    assert {o.status for o in ended} == {"stopped"} and len(ended) == 2
    store = RunStore(workspace.results)
    assert any(store.is_begun(trial.id) for trial in trials)


def test_ctrl_c_to_all_of_them_ends_the_command_cleanly(tmp_path):
    (tmp_path / "four.toml").write_text(SUITE.format(replicates=3, steps=5_000))
    command = [sys.executable, "-m", "bench", "run", "four.toml", "--jobs", "2", "--device", "cpu"]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and not list(tmp_path.glob("results/runs/*/[!.]*")):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
            if len(list(tmp_path.glob("results/.locks/*.lock"))) >= 2:
                break
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=1800)
    assert process.returncode == 130, err
    assert "Interrupted: what is done is kept" in out and "Traceback" not in err
    assert "2 processes, " in err


def test_how_many_processes(monkeypatch, tmp_path):
    trials = plan(load_suite("quick"))
    monkeypatch.setattr("bench.running.engine.machine_facts", lambda: {"cores": 4})
    assert choose_engine(trials, "cpu", None).words == "4 processes, 1 thread each"
    assert choose_engine(trials, "cpu", 2).words == "2 processes, 2 threads each"
    assert isinstance(choose_engine(trials[:3], "cpu", None), InProcess)
    assert isinstance(choose_engine(trials, "cuda", None), InProcess)
    assert isinstance(choose_engine(plan(load_suite("cpu")), "cpu", None), InProcess)
    with pytest.raises(Exception, match="--jobs 2: trials share no GPU"):
        choose_engine(trials, "cuda", 2)
    assert json.dumps(choose_engine(trials, "cpu", None).threads) == "1"
