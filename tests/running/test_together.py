"""One network trained by two processes, on a CPU, against one process."""

from types import SimpleNamespace

import numpy as np
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
