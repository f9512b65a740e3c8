"""One training step beside plain torch, and the time that a loop of them says it takes."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.data.augment import Pipeline
from bench.networks import find_card, make_model, resolve_weights
from bench.spec.recipe import Augment, Budget, Optimizer, Recipe
from bench.training import checkpoint, loop
from bench.training.images import Images
from bench.training.loop import Trainer
from bench.training.loss import CrossEntropy
from bench.training.observer import Silent
from bench.training.step import ThinConv, TrainingStep, trained_form


@pytest.mark.parametrize("micro_batch", [None, 1, 4, 6])
@pytest.mark.parametrize("clip_grad", [None, 0.1])
@pytest.mark.parametrize("precision, tolerance", [("fp32", 1e-6), ("bf16", 2e-2), ("fp16", 2e-3)])
def test_a_step_is_that_of_plain_torch(precision, tolerance, clip_grad, micro_batch):
    """In half precision to its rounding: the scale of fp16's loss is not in the gradient that is clipped.

    Even parts of a batch come to the whole.
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 5))
    plain = copy.deepcopy(network)
    images, labels = torch.randn(6, 3, 2, 2), torch.arange(6) % 5
    targets = F.one_hot(labels, 5).float() * 0.9 + 0.02
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    seen = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    step = TrainingStep(
        network,
        optimizer,
        CrossEntropy(),
        precision=precision,
        clip_grad=clip_grad,
        micro_batch=micro_batch,
    )
    loss = step(images, targets)
    assert seen == {None: [6], 1: [1] * 6, 4: [3, 3], 6: [6]}[micro_batch]

    expected = -(targets * F.log_softmax(plain(images), 1)).sum(1).mean()
    gradients = torch.autograd.grad(expected, list(plain.parameters()))
    length = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
    shrink = 1.0 if clip_grad is None else min(1.0, clip_grad / (float(length) + 1e-6))
    assert float(loss) == pytest.approx(float(expected.detach()), rel=tolerance) and not loss.requires_grad
    for ours, before, gradient in zip(network.parameters(), plain.parameters(), gradients, strict=True):
        torch.testing.assert_close(ours, before - shrink * gradient, atol=tolerance, rtol=0)


def test_a_checkpoint_changes_no_rate(tmp_path, monkeypatch):
    """On a clock that stands still but for steps, of 1 s each, and for writing a checkpoint."""
    clock, saves = [0.0], []

    def advance(seconds):
        clock[0] += seconds

    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 2.0)
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda *args: (save(*args), saves.append(args[3].step), advance(0.5))
    )
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    network.register_forward_pre_hook(lambda *_: advance(1.0))
    recipe = Recipe(
        name="test",
        title="Test",
        expected="",
        augment=Augment(resize="squash"),
        budget=Budget(epochs=100, batch_size=4),
        optimizer=Optimizer(lr=1e-3),
    )
    images = Images(np.zeros((8, 8, 8, 3), np.uint8), np.arange(8), "cpu")
    trained = Trainer(
        network,
        images,
        np.arange(8) % 2,
        recipe,
        Pipeline(recipe.augment, input_size=8, mean=(0.5,) * 3, std=(0.5,) * 3),
        outputs=2,
        seed=0,
        precision="fp32",
        saved=tmp_path / "run" / "checkpoint.pt",
        validate=None,
        observer=Silent(),
    ).run()
    assert trained.steps == 200 and len(trained.history) == 100
    assert saves[0] == 3  # within the second part of two steps
    assert {row["images_per_s"] for row in trained.history} == {4.0}
    assert trained.seconds == 200


def network_of(name, tmp_path):
    card = find_card(name)
    return make_model(
        card, resolve_weights(card, "none", tmp_path, download=False), classes=10, input_size=16
    )


def test_thin_strided_convolutions_in_channels_last_give_the_gradients_of_contiguous_ones(tmp_path):
    """By themselves they damage memory on a CPU, which then ends a process or gives wrong numbers."""
    plain = network_of("resnet_digits_small", tmp_path)
    trained = trained_form(copy.deepcopy(plain), "channels_last")
    assert sum(isinstance(module, ThinConv) for module in trained.modules()) == 1
    assert trained.state_dict().keys() == plain.state_dict().keys()
    for _ in range(10):
        images, labels = torch.randn(16, 3, 16, 16), torch.arange(16) % 10
        gradients = []
        for network in (plain, trained):
            loss = F.cross_entropy(network(images), labels)
            gradients.append(torch.autograd.grad(loss, list(network.parameters())))
        for ours, expected in zip(*reversed(gradients), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("capability, channels", [("AVX2", 8), ("AVX512", 16), ("DEFAULT", 8)])
def test_only_convolutions_with_less_than_a_register_of_channels_are_changed(
    monkeypatch, capability, channels
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    few = channels - 1
    assert ThinConv.fits(nn.Conv2d(few, 8, 1, stride=2))
    for other in (
        nn.Conv2d(channels, 8, 1, stride=2),
        nn.Conv2d(few, 8, 1),
        nn.Conv2d(few, 8, 3, stride=2),
        nn.Conv2d(few, 8, 1, stride=2, padding=1),
        nn.Conv2d(few, few, 1, stride=2, groups=few),
        nn.Linear(few, 8),
    ):
        assert not ThinConv.fits(other)
    shortcut = nn.Conv2d(few, 8, 1, stride=(2, 3))
    images = torch.randn(2, few, 7, 9)
    changed = trained_form(copy.deepcopy(shortcut), "channels_last")
    assert type(changed) is ThinConv and type(trained_form(shortcut, "contiguous")) is nn.Conv2d
    torch.testing.assert_close(changed(images), shortcut(images))
