"""One network trained by two processes, on a CPU, against one process."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from bench.errors import InputError
from bench.planning.plan import Resolver, trials_of
from bench.running.attempt import open_inputs
from bench.running.engines.in_process import InProcess
from bench.running.queue import Queue
from bench.running.workspace import Workspace
from bench.spec.suite import load_suite
from bench.training import train_network
from bench.training.group import Group
from bench.training.observer import Silent, Stopped

SUITE = """
title = "t"
description = "d"
[models]
net = {{ model = "{model}" }}
[[comparison]]
name = "c"
dataset = "digits"
contestants = ["net"]
recipe = "scratch"
shots = [{shots}]
replicates = 1
input_size = 16
set = {{ "budget.epochs" = 1, "budget.min_steps" = 20, "budget.batch_size" = 25{more} }}
"""


def trained(folder, processes, model="vit_digits", shots=20, more="", follow=Silent):
    """The weights and the record of a trial."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.toml").write_text(SUITE.format(model=model, shots=shots, more=more))
    workspace = Workspace(folder, folder, folder / "results", "cpu", processes)
    workspace.store.prepare()
    (job,) = Resolver(folder, folder, None).resolve_all(trials_of(load_suite(str(folder / "mine.toml"))))
    (outcome,) = InProcess().run(Queue([job]), workspace, lambda _: follow())
    path = workspace.store.files_of(job).weights
    return load_file(path) if path.exists() else None, outcome


@pytest.mark.parametrize(
    "more", ["", ', "augment.mixup" = 0.8, "augment.randaugment" = { ops = 1, magnitude = 9 }']
)
def test_twenty_steps_by_two_processes_give_the_weights_of_one(tmp_path, more):
    """Batches of 25 images: 12 and 13 of them."""
    alone, one = trained(tmp_path / "one", 1, more=more)
    together, two = trained(tmp_path / "two", 2, more=more)
    assert one.record.id == two.record.id and two.record.details["processes"] == 2
    assert one.record.train_images_per_s and two.record.train_images_per_s is None
    assert alone.keys() == together.keys()
    assert max(float((alone[name] - together[name]).abs().max()) for name in alone) < 1e-4
    moved = trained(tmp_path / "less", 1, more=more.replace("0.8", "0.7") + ', "optimizer.lr" = 1e-5')[0]
    assert max(float((alone[name] - moved[name]).abs().max()) for name in alone) > 1e-3
    curves = [
        np.array([row["loss"] for row in Workspace(tmp_path, tmp_path, tmp_path / name / "results", "cpu")
                  .store.history(one.record.id).to_dict("records")])
        for name in ("one", "two")
    ]  # fmt: skip
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    assert one.record.metrics.val_top1 == pytest.approx(two.record.metrics.val_top1, abs=0.01)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_batch_in_parts_gives_the_weights_of_a_whole_one(tmp_path, processes):
    """Parts of 5, which divide neither 25 images nor the shares of 12 and 13 of two processes."""
    whole, one = trained(tmp_path / "one", 1)
    parts, other = trained(tmp_path / "other", processes, more=', "budget.micro_batch" = 5')
    assert one.record.id != other.record.id  # the recipe says so
    assert max(float((whole[name] - parts[name]).abs().max()) for name in whole) < 1e-4


def test_a_stop_is_a_checkpoint_from_which_one_or_two_go_on(tmp_path):
    class Once(Silent):
        steps = 0

        def should_stop(self):
            Once.steps += 1
            return Once.steps == 12

    _, outcome = trained(tmp_path / "two", 2, follow=Once)
    assert outcome.status == "stopped"
    continued, outcome = trained(tmp_path / "two", 2)
    alone, _ = trained(tmp_path / "one", 1)
    assert outcome.status == "finished"
    assert max(float((alone[name] - continued[name]).abs().max()) for name in alone) < 1e-4


def signal_peers(*numbers):
    """Send signals to the other processes; whether there are any."""
    peers = multiprocessing.active_children()
    for peer in peers:
        for number in numbers:
            os.kill(peer.pid, number)
    return bool(peers)


def at_step(number, act):
    """An observer that does something once, then."""

    class Acting(Silent):
        done = False

        def progress(self, phase, done, total, **numbers):
            if "train" in phase and done >= number and not self.done:
                self.done = True
                act()

    return Acting


@pytest.mark.parametrize("when", ["at start", "in training"])
def test_a_peer_that_dies_is_an_error_of_the_trial(tmp_path, when):
    def kill_early():
        while not signal_peers(signal.SIGKILL):
            time.sleep(0.01)

    follow = Silent
    if when == "at start":
        threading.Thread(target=kill_early, daemon=True).start()
    else:
        follow = at_step(5, lambda: signal_peers(signal.SIGKILL))
    _, outcome = trained(tmp_path, 2, follow=follow)
    assert outcome.status == "errored" and not multiprocessing.active_children()
    assert outcome.message == "one of the 2 processes that train it ended with signal SIGKILL"


def test_a_request_to_end_is_for_the_first_alone(tmp_path):
    """Ctrl-C in a terminal, and the warning of Slurm, reach all processes."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    _, outcome = trained(tmp_path, 2, follow=at_step(5, lambda: signal_peers(*signals)))
    assert outcome.status == "finished"


WAITING = """
import multiprocessing, sys, time
from pathlib import Path
from bench.planning.plan import Resolver, trials_of
from bench.running import together
from bench.running.workspace import Workspace
from bench.spec.suite import load_suite

def wait(*_):
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    time.sleep(120)

if __name__ == "__main__":
    together.GOODBYE_SECONDS = 1.0
    here = Path.cwd()
    workspace = Workspace(here, here, here / "results", "cpu", 2)
    workspace.store.prepare()
    (job,) = Resolver(here, here, None).resolve_all(trials_of(load_suite("mine.toml")))
    with together.together(job, workspace, wait):
        wait()
"""


@pytest.mark.parametrize("killed", ["peer", "first"])
def test_no_process_waits_for_one_that_was_killed(tmp_path, killed):
    """Neither takes part in anything that would fail: they wait, as NCCL does."""
    (tmp_path / "mine.toml").write_text(SUITE.format(model="vit_digits", shots=20, more=""))
    (tmp_path / "waiting.py").write_text(WAITING)
    with subprocess.Popen(
        [sys.executable, "waiting.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        lines = [first.stdout.readline(), first.stdout.readline()]  # the other has no children
        peer = psutil.Process(int("".join(lines)))
        (peer if killed == "peer" else first).kill()
        _, err = first.communicate(timeout=60)
        peer.wait(60)
    if killed == "peer":
        (line,) = err.strip().splitlines()
        assert first.returncode == 2 and line.startswith("vcbench: error: run ")
        assert "one of the 2 processes that train it ended with signal SIGKILL; what is done is kept" in line
        (error,) = (tmp_path / "results").rglob("error.json")
        assert "signal SIGKILL" in error.read_text()


def test_the_others_leave_what_is_told_to_the_first(tmp_path, monkeypatch):
    """Stopped at its last look at val, which only the first goes on with: no step is left to the others."""

    def stopped(*_):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(train_network, "score", stopped)
        _, outcome = trained(tmp_path, 1, more=', "val_times" = 1')
    assert outcome.status == "stopped"
    workspace = Workspace(tmp_path, tmp_path, tmp_path / "results", "cpu")
    train_network.take_part(open_inputs(outcome.job, workspace, Silent()), Group(1, 1))
    _, outcome = trained(tmp_path, 1, more=', "val_times" = 1')
    assert outcome.status == "finished" and outcome.record.metrics.val_top1 is not None


def test_what_cannot_be_shared_is_one_line(tmp_path):
    _, outcome = trained(tmp_path / "two", 2, model="resnet_digits")
    assert outcome.status == "errored" and "batch normalisation need GPUs" in outcome.message


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--jobs", "2"), "one trial at a time then"),
        (("--engine", "processes"), "one trial at a time then"),
    ],
)
def test_bad_input_is_one_line(vcbench, tmp_path, arguments, error):
    (tmp_path / "mine.toml").write_text(SUITE.format(model="vit_digits", shots=20, more=""))
    status, _, err = vcbench("run", "mine.toml", "--gpus-per-trial", "2", "--device", "cpu", *arguments)
    assert status == 2 and error in err and err.count("\n") == 1


def test_more_gpus_than_there_are_is_one_line(monkeypatch):
    from bench.cli.running import refuse_gpus

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="--gpus-per-trial 2: PyTorch finds 1 here"):
        refuse_gpus(2, "cuda", None, None)


def test_where_several_ran_out_of_memory_none_is_asked_to_try_again():
    """A step would wait for the others."""
    trainer = SimpleNamespace(group=Group(0, 2), batch_size=8, step=lambda *_: pytest.fail("took a step"))
    assert train_network._advice(trainer, 16) == "out of memory at batch size 8 on 2 GPUs; try more of them"


def test_shares_are_all_of_a_batch_once():
    for size in (1, 2, 3, 8):
        for count in range(size, 40):
            parts = [list(range(count))[Group(rank, size).share(count)] for rank in range(size)]
            assert sum(parts, []) == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_statistics_of_shares_become_those_of_the_batch():
    """timm's normalisation with its activation keeps that, and names and values."""
    from timm.layers import BatchNormAct2d, convert_sync_batchnorm

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), BatchNormAct2d(4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    convert_sync_batchnorm(network)
    assert isinstance(network[1], torch.nn.SyncBatchNorm) and isinstance(network[1].act, torch.nn.ReLU)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
