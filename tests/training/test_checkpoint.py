"""Checkpoints that were damaged or are of others: training begins anew and ends in the same numbers."""

import hashlib
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.numpy import load_file
from torch import nn
from training.conftest import SUITE

from bench.networks.weight_file import read_tensors, tensors_as_bytes
from bench.planning.plan import Resolver, plan, trials_of
from bench.running.engines.in_process import InProcess
from bench.running.queue import Queue
from bench.running.workspace import Workspace
from bench.spec.suite import load_suite
from bench.training import checkpoint, evaluate
from bench.training.checkpoint import Progress
from bench.training.observer import Silent


class StopAtStep(Silent):
    """Asks to stop once so many steps have been trained."""

    def __init__(self, step):
        self.step, self.reached = step, False

    def progress(self, phase, done, total, **numbers):
        self.reached |= phase == "training" and done >= self.step

    def should_stop(self):
        return self.reached


def train_one(folder, results, observer):
    """Runs the ResNet of the tiny suite; gives its folder in the store."""
    (folder / "tiny.toml").write_text(SUITE)
    workspace = Workspace(folder, folder / "weights", folder / results, "cpu")
    (job,) = Resolver(folder, folder, workspace.results).resolve_all(
        trial for trial in trials_of(load_suite(str(folder / "tiny.toml"))) if trial.contestant == "resnet"
    )
    list(InProcess().run(Queue(plan([job], workspace.store)), workspace, lambda _: observer))
    return workspace.results / "runs" / job.id


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The store of a trial that was stopped at its sixth step, and the weights of one that never was."""
    folder = tmp_path_factory.mktemp("made")
    whole = load_file(train_one(folder, "whole", Silent()) / "weights.safetensors")
    train_one(folder, "stopped", StopAtStep(6))
    return folder / "stopped", whole


@pytest.fixture
def stopped(made, tmp_path):
    """Its checkpoint, and a function that goes on and compares the weights with the others."""
    shutil.copytree(made[0], tmp_path / "store")

    def go_on():
        weights = load_file(train_one(tmp_path, "store", Silent()) / "weights.safetensors")
        assert weights.keys() == made[1].keys()
        return all(np.array_equal(weights[name], value) for name, value in made[1].items())

    (path,) = tmp_path.glob("store/runs/*/checkpoint.pt")
    return path, go_on


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def write_other(path, **changes):
    """A whole checkpoint with other content."""
    checkpoint.write(path, checkpoint.read(path) | changes)


def write_bytes(path, content):
    """Bytes with their right checksum."""
    path.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


DAMAGE = {
    "a bit of the checksum": lambda path: flip(path, 3),
    "a bit of the beginning": lambda path: flip(path, 70),
    "a bit in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "a bit of the end": lambda path: flip(path, -1),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "nonsense": lambda path: path.write_bytes(b"nonsense" * 100),
    "nonsense with its checksum": lambda path: write_bytes(path, b"nonsense" * 100),
    "of another version": lambda path: write_other(path, format=2),
    "of another run": lambda path: write_other(path, run="another"),
    "of another network": lambda path: write_other(path, network={"weight": torch.zeros(2)}),
    "a list": lambda path: checkpoint.write(path, [5]),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_and_changes_no_number(stopped, kind, caplog):
    path, go_on = stopped
    DAMAGE[kind](path)
    with caplog.at_level(logging.WARNING, "vcbench"):
        assert go_on()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "vcbench"]
    assert str(path) in line and "begins anew" in line and "\n" not in line


def test_a_whole_checkpoint_is_used_without_a_word(stopped, caplog):
    path, go_on = stopped
    assert checkpoint.read(path)["progress"]["step"] == 6
    assert go_on()
    assert not [record for record in caplog.records if record.name == "vcbench"]


class StopInPhase(Silent):
    """Asks to stop when it has seen so many calls of progress in a phase."""

    def __init__(self, phase, calls):
        self.phase, self.calls = phase, calls

    def progress(self, phase, done, total, **numbers):
        self.calls -= phase == self.phase

    def should_stop(self):
        return self.calls <= 0


def test_stopping_while_images_are_evaluated_changes_no_number_and_loses_none(made, tmp_path, monkeypatch):
    """Of val in the middle of training, and of test; each time it goes on with the next batch of images."""
    monkeypatch.setitem(evaluate.EVALUATION_BATCH, "cpu", 50)
    seen = []

    class Watching(StopInPhase):
        def progress(self, phase, done, total, **numbers):
            if phase.startswith("evaluating"):
                seen.append((phase, done))
            super().progress(phase, done, total, **numbers)

    for phase, calls in (("evaluating val", 2), ("evaluating val", 1), ("evaluating test", 4)):
        folder = train_one(tmp_path, "store", Watching(phase, calls))
        assert (folder / "record.json").exists() == (phase == "evaluating test")
        assert not list(tmp_path.glob("store/evaluations/*/record.json"))
    train_one(tmp_path, "store", Watching("", 1))
    weights = load_file(folder / "weights.safetensors")
    assert all(np.array_equal(weights[name], value) for name, value in made[1].items())
    assert not list(tmp_path.glob("store/*/*/logits-*"))
    # 200 images of val at each of the looks, 600 of test, none of them twice.
    history = pd.read_parquet(folder / "history.parquet")
    looks = int(history["val_top1"].notna().sum())
    val = [done for phase, done in seen if phase == "evaluating val"]
    assert val == [50, 100, 150, 200] * looks
    assert [done for phase, done in seen if phase == "evaluating test"] == list(range(50, 601, 50))
    undisturbed = pd.read_parquet(next(made[0].parent.glob("whole/runs/*/history.parquet")))
    pd.testing.assert_frame_equal(
        history.drop(columns="images_per_s"), undisturbed.drop(columns="images_per_s")
    )


class Network(nn.Module):
    """A network with a shared layer, and two parameters that are parts of one storage."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Linear(4, 4)
        self.second = self.first
        whole = torch.randn(2, 4)
        self.upper, self.lower = nn.Parameter(whole[0]), nn.Parameter(whole[1])

    def forward(self, x):
        return self.second(torch.tanh(self.first(x))) * self.upper + self.lower


def trained(network, steps):
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    for step in range(steps):
        train_step(network, optimizer, step)
    return optimizer


def train_step(network, optimizer, step):
    torch.manual_seed(step)
    optimizer.zero_grad()
    network(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()


def test_shared_parameters_are_tied_again(tmp_path):
    whole, network, resumed = Network(), Network(), Network(seed=1)
    trained(whole, 5)
    optimizer = trained(network, 3)
    checkpoint.save(tmp_path / "checkpoint", network, optimizer, Progress(step=3), network.state_dict())
    again = torch.optim.AdamW(resumed.parameters(), lr=0.1)
    progress, best = checkpoint.load(tmp_path / "checkpoint", resumed, again)
    assert progress.step == 3 and best.keys() == network.state_dict().keys()
    for step in (3, 4):
        train_step(resumed, again, step)
    assert resumed.first.weight is resumed.second.weight
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_run_or_network_is_not_used(tmp_path, caplog):
    network = Network()
    optimizer = trained(network, 1)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    checkpoint.save(tmp_path / "one" / "checkpoint", network, optimizer, Progress(step=1), None)
    (tmp_path / "two" / "checkpoint").write_bytes((tmp_path / "one" / "checkpoint").read_bytes())
    progress, _ = checkpoint.load(tmp_path / "two" / "checkpoint", network, optimizer)
    assert progress == Progress() and "of another run, one" in caplog.text
    other = nn.Linear(4, 4)
    progress, _ = checkpoint.load(
        tmp_path / "one" / "checkpoint", other, torch.optim.AdamW(other.parameters())
    )
    assert progress == Progress() and "of another" in caplog.messages[-1]


class Touch:
    """Pickled, it is a command to make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_nothing_is_run_that_a_checkpoint_says(tmp_path):
    checkpoint.write(tmp_path / "checkpoint", {"format": Touch(tmp_path / "made")})
    with pytest.raises(checkpoint.Unusable, match="cannot be read"):
        checkpoint.read(tmp_path / "checkpoint")
    assert not (tmp_path / "made").exists()


def test_stored_weights_of_a_network_with_shared_parameters_are_read_whole(tmp_path):
    """CoaT uses one position encoding in every block of a stage."""
    network = timm.create_model("coat_lite_tiny", num_classes=2)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(tensors_as_bytes(network.state_dict()))
    read, wanted = read_tensors(path), network.state_dict()
    assert read.keys() == wanted.keys()
    assert all(torch.equal(read[name], value) for name, value in wanted.items())
    assert path.stat().st_size < 1.1 * sum(4 * value.numel() for value in network.parameters())
    assert path.read_bytes() == tensors_as_bytes(network.state_dict())
