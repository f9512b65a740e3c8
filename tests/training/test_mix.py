"""Mixup and CutMix against timm's, which is given the same draws."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from timm.data import Mixup
from timm.data.mixup import rand_bbox

from bench.spec.recipe import Augment, Budget, Optimizer, Recipe
from bench.training.mix import cutmix_box, mix_batch, smooth

CLASSES = 9


def recipe(label_smoothing: float = 0.1, **augment) -> Recipe:
    return Recipe(
        name="test",
        title="Test",
        expected="",
        augment=Augment(**augment),
        budget=Budget(epochs=1, batch_size=8),
        optimizer=Optimizer(lr=0.1),
        label_smoothing=label_smoothing,
    )


def batch(n: int = 8, side: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    # First and last have different classes, so that the weight can be read from the targets.
    return torch.randn(n, 3, side, side, generator=generator), torch.arange(n) % CLASSES


def mixed(seed: int, chosen: Recipe, images: torch.Tensor, labels: torch.Tensor):
    return mix_batch(images, labels, CLASSES, chosen, torch.Generator().manual_seed(seed))


def timm_mixup(chosen: Recipe, weight: float, cutmix: bool) -> Mixup:
    reference = Mixup(
        chosen.augment.mixup,
        chosen.augment.cutmix,
        label_smoothing=chosen.label_smoothing,
        num_classes=CLASSES,
    )
    reference._params_per_batch = lambda: (weight, cutmix)
    return reference


def weight_of(targets: torch.Tensor, labels: torch.Tensor, smoothing: float) -> float:
    """What a batch's own images weigh in it, from the first row of its targets."""
    assert labels[0] != labels[-1]
    return float((targets[0, labels[0]] - smoothing / CLASSES) / (1 - smoothing))


@pytest.mark.parametrize("seed", range(5))
def test_mixup_is_timms(seed):
    chosen, (images, labels) = recipe(mixup=0.8), batch()
    found, targets = mixed(seed, chosen, images, labels)
    weight = weight_of(targets, labels, 0.1)
    expected = timm_mixup(chosen, weight, False)(images.clone(), labels)
    torch.testing.assert_close(found, expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(targets, expected[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_weight_is_the_area_that_is_left(seed):
    chosen, (images, labels) = recipe(cutmix=1.0), batch()
    found, targets = mixed(seed, chosen, images, labels)
    swapped = (found != images).all(1)
    assert (swapped == swapped[0]).all()
    rows, columns = swapped[0].any(1), swapped[0].any(0)
    assert torch.equal(swapped[0], rows[:, None] & columns)
    for run in (rows.nonzero()[:, 0], columns.nonzero()[:, 0]):
        assert (run.diff() == 1).all()
    assert torch.equal(found, torch.where(swapped[:, None], images.flip(0), images))
    weight = 1 - float(swapped[0].float().mean())
    expected = smooth(labels, CLASSES, 0.1) * weight + smooth(labels.flip(0), CLASSES, 0.1) * (1 - weight)
    torch.testing.assert_close(targets, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("weight", [0.01, 0.3, 0.77, 0.999])
def test_cutmix_boxes_are_timms(weight):
    for centre in ((0, 0), (11, 8), (5, 3), (11, 0)):

        class Fixed:
            draws = list(centre)

            def integers(self, high):
                return self.draws.pop(0)

        with pytest.MonkeyPatch.context() as patch:
            remaining = list(centre)
            patch.setattr(np.random, "randint", lambda *args, left=remaining, **kwargs: left.pop(0))
            expected = rand_bbox((3, 12, 9), weight)
        assert cutmix_box(12, 9, weight, Fixed()) == tuple(int(edge) for edge in expected)


def test_weights_are_beta_distributed():
    images, labels = batch(2, 2)
    chosen = recipe(mixup=0.8)
    weights = [weight_of(mixed(seed, chosen, images, labels)[1], labels, 0.1) for seed in range(400)]
    assert stats.kstest(weights, stats.beta(0.8, 0.8).cdf).pvalue > 1e-3


def test_either_kind_comes_as_often_and_only_with_mix_prob():
    images, labels = batch(4, 16)
    chosen = recipe(mixup=5.0, cutmix=5.0, mix_prob=0.6)
    kinds = []
    for seed in range(400):
        found, targets = mixed(seed, chosen, images, labels)
        same = (found == images).float().mean()
        kinds.append("none" if same == 1 else "cutmix" if same > 0 else "mixup")
        if same == 1:
            torch.testing.assert_close(targets, smooth(labels, CLASSES, 0.1))
    counts = [kinds.count(kind) for kind in ("none", "mixup", "cutmix")]
    assert stats.chisquare(counts, [160, 120, 120]).pvalue > 1e-3


def test_without_mixing_targets_are_smoothed_labels_and_nothing_is_drawn():
    images, labels = batch()
    generator = torch.Generator().manual_seed(1)
    state = generator.get_state()
    found, targets = mix_batch(images, labels, CLASSES, recipe(0.2), generator)
    assert found is images and torch.equal(generator.get_state(), state)
    logits = torch.randn(8, CLASSES)
    expected = F.cross_entropy(logits, labels, label_smoothing=0.2)
    torch.testing.assert_close(F.cross_entropy(logits, targets), expected)
    assert torch.equal(
        mix_batch(images, labels, CLASSES, recipe(0.0), generator)[1], F.one_hot(labels, CLASSES).float()
    )


def test_same_generator_same_batch_and_inputs_are_untouched():
    images, labels = batch(7)
    before = images.clone()
    for chosen in (recipe(mixup=0.8, cutmix=1.0), recipe(mixup=1e-3), recipe(cutmix=1e-3)):
        for seed in range(20):
            first, again = mixed(seed, chosen, images, labels), mixed(seed, chosen, images, labels)
            assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
            assert first[0].isfinite().all()
            torch.testing.assert_close(first[1].sum(1), torch.ones(7))
    assert torch.equal(images, before)
