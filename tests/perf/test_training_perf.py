"""What a trial is made of: forward pass, training step, data path, augmentation, building the cache."""

import numpy as np
import pytest
import torch

from bench.data.augment import Pipeline
from bench.data.base import Dataset
from bench.data.cache import decoded
from bench.networks import find_card, make_model, resolve_weights
from bench.spec.recipe import Augment, Optimizer, RandAugment
from bench.training.images import Images
from bench.training.optimizer import make_optimizer
from bench.training.seeds import epoch_order

BATCH = 32
LIGHT = Augment(random_crop="resized")
HEAVY = Augment(random_crop="resized", randaugment=RandAugment(), erase=0.25)


@pytest.fixture(params=["vit_tiny_patch4_32", "resnet18_cifar"])
def network(request, tmp_path):
    card = find_card(request.param)
    weights = resolve_weights(card, "none", tmp_path, download=False)
    made = make_model(card, weights, classes=100, input_size=32)
    return made.to(memory_format=torch.channels_last) if card.kind == "cnn" else made


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2048, 32, 32, 3), dtype=np.uint8)


def pipeline(augment, input_size=32):
    return Pipeline(augment, input_size=input_size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_forward(benchmark, network):
    network.eval()
    images = torch.randn(BATCH, 3, 32, 32)
    with torch.inference_mode():
        assert benchmark(network, images).shape == (BATCH, 100)


def test_training_step(benchmark, network):
    optimizer = make_optimizer(network, Optimizer(lr=1e-4))
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    assert torch.isfinite(benchmark(step))


def test_data_path(benchmark, pixels):
    """An epoch of batches, from the order of the images to normalised input."""
    images, prepare = Images(pixels, np.arange(len(pixels)), "cpu"), pipeline(LIGHT)
    generator = torch.Generator().manual_seed(0)

    def epoch():
        order = epoch_order(0, 0, len(images))
        for start in range(0, len(images), BATCH):
            batch = prepare.train(images.batch(order[start : start + BATCH]), generator)
        return batch

    assert benchmark(epoch).shape == (BATCH, 3, 32, 32)


@pytest.mark.parametrize("augment", [LIGHT, HEAVY], ids=["light", "heavy"])
def test_augmentation(benchmark, augment):
    images = torch.randint(0, 256, (BATCH, 256, 256, 3), dtype=torch.uint8)
    prepare, generator = pipeline(augment, 224), torch.Generator().manual_seed(0)
    assert benchmark(prepare.train, images, generator).shape == (BATCH, 3, 224, 224)


def test_cache_build(benchmark, tmp_path, monkeypatch):
    """512 images of 300 x 400 px, resized to 256 px; reading the files is left out."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    dataset = Dataset(
        name="made",
        split_id="made",
        class_names=["a"],
        labels=np.zeros(512, np.int64),
        splits={"train": np.arange(512)},
        fingerprint="0" * 64,
        copy="own data",
        read=lambda index: pixels,
        source=str,
    )
    rounds = iter(range(100))

    def build():
        monkeypatch.setenv("VCBENCH_CACHE", str(tmp_path / str(next(rounds))))
        return decoded(dataset, "train", size=256, resize="crop", interpolation="bicubic")

    assert benchmark.pedantic(build, rounds=3).shape == (512, 256, 256, 3)
