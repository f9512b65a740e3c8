"""Trials in several processes: the same numbers, no hang when one dies, and an end when it is asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.errors import DataError, InputError
from bench.planning.plan import Resolver, plan, trials_of
from bench.running.attempt import Outcome
from bench.running.engines import choose_engine
from bench.running.engines.in_process import InProcess
from bench.running.engines.processes import Processes
from bench.running.queue import Queue
from bench.running.workspace import Workspace
from bench.spec.job import evaluations
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
    trials = trials_of(load_suite(str(folder / "four.toml")))
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

    def follow(job):
        return followers.setdefault(job.id, Follower())

    def run(engine, trials, workspace):
        """By the ids of the trials, how training and evaluating them ended."""
        ended: dict = {}
        for outcome in engine.run(Queue(plan(trials, workspace.store)), workspace, follow):
            ended.setdefault(outcome.job.training.id, []).append(outcome)
        return ended

    ended = run(Processes(2, 1), trials[:3], workspace)
    assert set(ended) == {trial.id for trial in trials[:3]}
    assert all([o.job.kind for o in outcomes] == ["train", "evaluate"] for outcomes in ended.values())
    assert {o.status for outcomes in ended.values() for o in outcomes} == {"finished"}
    assert all("training" in followers[trial].phases for trial in ended)
    store = RunStore(workspace.results)
    assert store.names("runs") == sorted(ended)
    assert all(store.result(trial).threads == 1 for trial in ended)
    alone = Workspace(workspace.data_dir, workspace.weights_dir, workspace.results.with_name("alone"), "cpu")
    RunStore(alone.results).prepare()
    first = trials[0].id
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        single = run(InProcess(), trials[:1], alone)[first]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert single[-1].record.metrics == ended[first][-1].record.metrics
    hashes = {one.store.trial(first).weights_sha256 for one in (alone, workspace)}
    assert len(hashes) == 1 and None not in hashes and alone.store.trial(first).threads == 1
    again = run(Processes(2, 1), trials[:1], workspace)[first]
    assert [outcome.status for outcome in again] == ["elsewhere", "elsewhere"]


def test_a_process_that_is_killed_costs_one_trial(four):
    trials, workspace = four
    seen = []

    def follow(job):
        return Follower(kill if job.id == trials[0].id else lambda: None)

    def kill():
        if not seen:
            seen.append(True)
            for child in children():
                if "resource_tracker" not in child.read_text():
                    os.kill(int(child.parent.name), signal.SIGKILL)

    ended = list(Processes(1, 1).run(Queue(trials[:2]), workspace, follow))
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
        list(Processes(2, 1).run(Queue(trials), workspace, lambda _: Silent()))
    assert not isinstance(raised.value, EOFError)


def test_errors_of_a_kind_are_of_that_kind_again():
    from bench.running.engines.processes import _portable

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

    ended = list(Processes(2, 1).run(Queue(trials), workspace, lambda _: Stopping()))
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
    trials = trials_of(load_suite("quick"))
    monkeypatch.setattr("bench.running.engines.machine_facts", lambda: {"cores": 4})
    assert choose_engine(trials, "cpu", None).description == "4 processes, 1 thread each"
    assert choose_engine(trials, "cpu", 2).description == "2 processes, 2 threads each"
    assert isinstance(choose_engine(trials[:3], "cpu", None), InProcess)
    assert isinstance(choose_engine(trials, "cuda", None), InProcess)
    assert isinstance(choose_engine(trials_of(load_suite("cpu")), "cpu", None), InProcess)
    assert isinstance(choose_engine(trials[:1], "cpu", None, "processes"), Processes)
    assert choose_engine(trials[:1], "cpu", 2, "processes").description == "2 processes, 2 threads each"
    assert isinstance(choose_engine(trials, "cpu", None, "in_process"), InProcess)
    with pytest.raises(InputError, match="--jobs 2: the engine in_process does one at a time"):
        choose_engine(trials, "cpu", 2, "in_process")
    assert choose_engine(trials, "cuda", None, "processes").jobs == 1
    with pytest.raises(InputError, match='no engine "procesess"; did you mean "processes"'):
        choose_engine(trials, "cpu", None, "procesess")
    assert choose_engine(trials, "cuda", 2).description == "2 processes, 2 threads each"
    with pytest.raises(InputError, match="--jobs 2: trials do not share mps"):
        choose_engine(trials, "mps", 2)
    with pytest.raises(InputError, match="--jobs 0: should be 1 or more, or auto"):
        choose_engine(trials, "cpu", 0)
    assert choose_engine(trials, "cpu", "auto").description == "4 processes, 1 thread each"
    assert choose_engine(trials[:3], "cpu", "auto").jobs == 3
    assert isinstance(choose_engine(trials, "mps", "auto"), InProcess)
    assert json.dumps(choose_engine(trials, "cpu", None).threads) == "1"


def test_jobs_are_handed_out_once_what_they_need_is_done(four):
    trials, workspace = four
    jobs = plan(trials[:2], workspace.store)
    assert [job.kind for job in jobs] == ["train", "evaluate"] * 2
    assert all(evaluate.needs == (train.id,) for train, evaluate in zip(jobs[::2], jobs[1::2], strict=True))
    queue = Queue(jobs)
    first, second = queue.take(), queue.take()
    assert [first, second] == jobs[::2] and queue.take() is None
    queue.ended(Outcome(second, "finished"))
    assert queue.take() == jobs[3] and queue.take() is None
    queue.ended(Outcome(first, "errored"))
    assert queue.take() is None and len(queue) == 1
    assert Queue(jobs[1:2], {first.id}).take() == jobs[1]


def test_the_longest_training_of_a_replicate_comes_first_and_an_evaluation_before_all(four):
    trials, _ = four

    def training(number, replicate, images):
        trial = replace(trials[number].trial, replicate=replicate)
        return replace(trials[number], identity={"number": number}, trial=trial, train_images=images)

    later, short, long, done = training(0, 1, 900), training(1, 0, 8), training(2, 0, 800), trials[3]
    evaluation = evaluations(done)[0]
    queue = Queue([later, short, long, evaluation])
    queue.longest_first()
    assert queue.take() == long
    queue.ended(Outcome(done, "finished"))
    assert [queue.take() for _ in range(4)] == [evaluation, short, later, None]
    queue = Queue([later, short, long, evaluation], {done.id})
    queue.longest_first()
    assert queue.take() == evaluation


def test_a_search_job_has_no_evaluation(four):
    trials, _ = four
    with pytest.raises(ValueError, match="never sees the test split"):
        evaluations(replace(trials[0], purpose="search"))


def test_a_trial_of_two_comparisons_is_evaluated_under_the_conditions_of_both(four):
    trials, workspace = four
    first = trials[0]
    other = replace(first, trial=replace(first.trial, comparison="other", conditions=("clean", "fog")))
    jobs = plan([first, other], workspace.store)
    assert [(job.kind, job.training.id) for job in jobs] == [
        ("train", first.id), ("evaluate", first.id), ("evaluate", first.id),
    ]  # fmt: skip
    assert [job.condition for job in jobs[1:]] == ["clean", "fog"]
    assert {job.training.trial.conditions for job in jobs} == {("clean", "fog")}
