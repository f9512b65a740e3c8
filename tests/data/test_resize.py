"""Scaling against Pillow itself, one image and one box at a time."""

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.augment import Pipeline, resized_boxes
from bench.data.resize import resize
from bench.spec.recipe import Augment

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIDE = 41
# Whole, inner, at all edges, one pixel, one row, one column, tall, wide.
BOXES = [
    (0, 0, 41, 41),
    (7, 11, 19, 23),
    (0, 0, 12, 30),
    (29, 3, 12, 38),
    (40, 40, 1, 1),
    (13, 0, 1, 41),
    (0, 17, 41, 1),
    (2, 30, 37, 9),
    (20, 1, 8, 35),
]


def noise(n: int, low: int = 0, high: int = 256, side: int = SIDE) -> torch.Tensor:
    """The hardest of images for a resampler: uint8, shape (n, side, side, 3)."""
    generator = torch.Generator().manual_seed(n)
    return torch.randint(low, high, (n, side, side, 3), generator=generator, dtype=torch.uint8)


def pillow(image: torch.Tensor, box: tuple, size: int, interpolation: str, flip: bool) -> torch.Tensor:
    """The box of a uint8 (h, w, 3) image as Pillow scales it with 8 bits: float32 (3, size, size)."""
    top, left, height, width = box
    place = (left, top, left + width, top + height)
    made = Image.fromarray(image.numpy()).resize((size, size), FILTERS[interpolation], box=place)
    made = made.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else made
    return torch.from_numpy(np.array(made)).permute(2, 0, 1).float()


def pillow_float(image: torch.Tensor, box: tuple, size: int, interpolation: str, flip: bool) -> torch.Tensor:
    """The same by Pillow's floating-point images, a channel at a time."""
    top, left, height, width = box
    place = (left, top, left + width, top + height)
    planes = []
    for channel in image.unbind(2):
        made = Image.fromarray(channel.numpy().astype(np.float32))
        made = made.resize((size, size), FILTERS[interpolation], box=place)
        planes.append(torch.from_numpy(np.array(made)))
    made = torch.stack(planes)
    return made.flip(2) if flip else made


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [5, 24, 41, 97])
def test_every_box_is_scaled_as_by_pillow(size, interpolation):
    boxes, flip = torch.tensor(BOXES), torch.arange(len(BOXES)) % 2 == 1
    images = noise(len(BOXES))
    made = resize(images.permute(0, 3, 1, 2), size, interpolation, boxes, flip)
    assert made.min() >= 0 and made.max() <= 255
    assert made.shape == (len(BOXES), 3, size, size) and made.dtype == torch.float32
    for image, box, mirrored, result in zip(images, BOXES, flip.tolist(), made, strict=True):
        exact = pillow_float(image, box, size, interpolation, mirrored)
        torch.testing.assert_close(result, exact.clamp(0, 255), atol=1e-3, rtol=0)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [5, 24, 41, 97])
def test_with_8_bits_pillow_gives_the_same_rounded(size, interpolation):
    boxes, flip = torch.tensor(BOXES), torch.arange(len(BOXES)) % 2 == 1
    # Levels from which no kernel overshoots 0 or 255, which Pillow cuts off after either direction.
    images = noise(len(BOXES), 80, 176)
    made = resize(images.permute(0, 3, 1, 2), size, interpolation, boxes, flip)
    for image, box, mirrored, result in zip(images, BOXES, flip.tolist(), made, strict=True):
        # Pillow rounds twice, after either direction.
        rounded = pillow(image, box, size, interpolation, mirrored)
        assert (result - rounded).abs().max() < 1.5 and (result - rounded).abs().mean() < 0.5


@pytest.mark.parametrize("interpolation", FILTERS)
def test_random_boxes_are_scaled_as_by_pillow(interpolation):
    boxes = resized_boxes(40, SIDE, (0.05, 1.0), (0.4, 2.5), torch.Generator().manual_seed(0))
    images = noise(40)
    for size in (16, 64):
        made = resize(images.permute(0, 3, 1, 2), size, interpolation, boxes)
        for image, box, result in zip(images, boxes.tolist(), made, strict=True):
            exact = pillow_float(image, box, size, interpolation, False)
            torch.testing.assert_close(result, exact.clamp(0, 255), atol=1e-3, rtol=0)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("stored, size", [(32, 224), (37, 32), (65, 24)])
def test_training_and_evaluation_scale_alike(stored, size, interpolation):
    """An image whose box is all of it comes out as evaluation makes it, and as Pillow does."""
    whole = {"interpolation": interpolation, "scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": False}
    levels = {"input_size": size, "mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}
    images = noise(3, 80, 176, side=stored)
    assert stored not in (size, Augment(crop_pct=0.5).stored_size(size))  # nothing is cut off in evaluation
    trained, evaluated = (
        Pipeline(Augment(**whole, random_crop=crop, crop_pct=0.5), **levels) for crop in ("resized", "none")
    )
    inputs = trained.train(images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(inputs, evaluated.evaluate(images), atol=1e-3, rtol=0)
    for image, result in zip(images, inputs, strict=True):
        expected = pillow(image, (0, 0, stored, stored), size, interpolation, False)
        assert (result - expected).abs().max() < 1.5


def test_neither_autocast_nor_the_rest_of_the_batch_change_a_pixel():
    boxes, images = torch.tensor(BOXES), noise(len(BOXES)).permute(0, 3, 1, 2)
    plain = resize(images, 24, "bicubic", boxes)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resize(images, 24, "bicubic", boxes), plain)
    for i in range(len(BOXES)):
        alone = resize(images[i : i + 1], 24, "bicubic", boxes[i : i + 1])
        torch.testing.assert_close(alone[0], plain[i], atol=1e-3, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("tf32", [False, True])
def test_a_gpu_gives_the_same_to_rounding(tf32, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", tf32)
    boxes, images = torch.tensor(BOXES), noise(len(BOXES)).permute(0, 3, 1, 2)
    made = resize(images.cuda(), 24, "bicubic", boxes)
    torch.testing.assert_close(made.cpu(), resize(images, 24, "bicubic", boxes), atol=1e-3, rtol=0)
    assert torch.backends.cuda.matmul.allow_tf32 == tf32
