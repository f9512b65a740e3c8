"""Augmentation against torchvision's functions on one image at a time, and against brute force."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from bench.data.augment import Pipeline, erase, resized_boxes, window
from bench.data.randaugment import operations, randaugment
from bench.spec.recipe import Augment, RandAugment

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int, side: int, seed: int = 0) -> torch.Tensor:
    """Random images with large and small structure: uint8, shape (n, side, side, 3)."""
    coarse = torch.rand(n, 3, 5, 5, generator=seeded(seed)) * 200
    smooth = F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 235)
    noise = torch.rand(smooth.shape, generator=seeded(seed + 1)) * 20
    return (smooth + noise).byte().permute(0, 2, 3, 1).contiguous()


def pipeline(input_size: int, **augment) -> Pipeline:
    return Pipeline(Augment(**augment), input_size=input_size, mean=MEAN, std=STD)


def normalised(image: torch.Tensor) -> torch.Tensor:
    return V.normalize(image.float() / 255, MEAN, STD)


def test_window_is_pad_crop_and_flip():
    images = photos(8, 12).permute(0, 3, 1, 2)
    top, left = torch.arange(8) % 5, (3 * torch.arange(8)) % 7
    flip = torch.arange(8) % 2 == 0
    found = window(images, top, left, flip, 9, pad=2)
    for i, image in enumerate(images):
        expected = V.crop(V.pad(image, [2]), int(top[i]), int(left[i]), 9, 9)
        assert torch.equal(found[i], V.horizontal_flip(expected) if flip[i] else expected)


def test_pad_crop_gives_every_image_its_own_window():
    images = photos(64, 16)
    found = pipeline(16, random_crop="pad", pad=2, crop_pct=1.0).train(images, seeded())
    assert found.shape == (64, 3, 16, 16) and found.dtype == torch.float32
    places = set()
    for image, result in zip(images.permute(0, 3, 1, 2), found, strict=True):
        padded = V.pad(image, [2])
        matches = [
            (y, x, flip)
            for y in range(5)
            for x in range(5)
            for flip in (False, True)
            if torch.allclose(
                normalised((V.horizontal_flip if flip else torch.clone)(V.crop(padded, y, x, 16, 16))),
                result,
                atol=1e-5,
            )
        ]
        assert len(matches) == 1
        places.add(matches[0])
    assert len(places) > 30
    assert {y for y, _, _ in places} == {x for _, x, _ in places} == set(range(5))


@pytest.mark.parametrize("flips", [True, False])
def test_no_random_crop_is_the_centre_crop(flips):
    images = photos(20, 20)
    found = pipeline(15, crop_pct=0.75, flip=flips).train(images, seeded())
    expected = normalised(V.center_crop(images.permute(0, 3, 1, 2), [15, 15]))
    mirrored = expected.flip(3)
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True)]
    other = [torch.allclose(a, b, atol=1e-5) for a, b in zip(found, mirrored, strict=True)]
    assert all(a != b for a, b in zip(same, other, strict=True))
    assert any(other) == flips


def test_resized_boxes_are_distributed_as_torchvisions():
    scale, ratio = (0.35, 1.0), (0.75, 4 / 3)
    boxes = resized_boxes(3000, 256, scale, ratio, seeded()).double().numpy()
    torch.manual_seed(0)
    transform = v2.RandomResizedCrop(256, scale=scale, ratio=ratio)
    made = [transform.make_params([torch.empty(3, 256, 256)]) for _ in range(3000)]
    expected = np.array([[m[key] for key in ("top", "left", "height", "width")] for m in made], float)
    for column in range(4):
        assert stats.ks_2samp(boxes[:, column], expected[:, column]).pvalue > 1e-3
    area = (boxes[:, 2] * boxes[:, 3], expected[:, 2] * expected[:, 3])
    aspect = (boxes[:, 3] / boxes[:, 2], expected[:, 3] / expected[:, 2])
    assert stats.ks_2samp(*area).pvalue > 1e-3
    assert stats.ks_2samp(*aspect).pvalue > 1e-3
    assert (boxes[:, 0] + boxes[:, 2]).max() <= 256 and (boxes[:, 1] + boxes[:, 3]).max() <= 256


@pytest.mark.parametrize("ratio", [(2.0, 3.0), (0.2, 0.5)])
def test_where_no_box_fits_the_largest_allowed_is_taken(ratio):
    boxes = resized_boxes(3, 64, (1.0, 1.0), ratio, seeded())
    transform = v2.RandomResizedCrop(64, scale=(1.0, 1.0), ratio=ratio)
    made = transform.make_params([torch.empty(3, 64, 64)])
    assert boxes.tolist() == [[made[key] for key in ("top", "left", "height", "width")]] * 3


@pytest.mark.parametrize("magnitude", [0, 9, 10, 15, 20, 30])
def test_randaugment_has_torchvisions_operations(magnitude):
    images = photos(3, 33).permute(0, 3, 1, 2).contiguous()
    reference = v2.RandAugment()
    space = reference._AUGMENTATION_SPACE
    ours = operations(magnitude, 33)
    assert len(ours) == len(space)
    for (name, (magnitudes, signed)), pair in zip(space.items(), ours, strict=True):
        scale = magnitudes(31, 33, 33)
        level = 0.0 if scale is None else float(scale[magnitude])
        for sign, operation in zip((1, -1) if signed else (1, 1), pair, strict=True):
            found = images if operation is None else operation(images)
            assert found.dtype == torch.uint8
            for image, result in zip(images, found, strict=True):
                expected = reference._apply_image_or_video_transform(
                    image, name, sign * level, interpolation=v2.InterpolationMode.NEAREST, fill={}
                )
                assert torch.equal(result, expected), name


def test_randaugment_draws_for_every_image():
    images = photos(1, 24).permute(0, 3, 1, 2).repeat(400, 1, 1, 1)
    before = images.clone()
    found = randaugment(images, RandAugment(ops=1), seeded())
    assert torch.equal(images, before)
    outcomes = [
        f(images[:1])[0] if f else images[0] for pair in operations(9, 24) for f in dict.fromkeys(pair)
    ]
    assert len(outcomes) == 14 + 9
    matches = [[torch.equal(result, outcome) for outcome in outcomes] for result in found]
    assert all(any(row) for row in matches)
    assert np.array(matches).any(0).all()
    unsigned = np.array(matches)[:, 0].mean()
    assert 1 / 14 / 2 < unsigned < 2 / 14


def test_two_operations_come_one_after_the_other():
    image = photos(1, 24).permute(0, 3, 1, 2)
    flat = [f for pair in operations(9, 24) for f in dict.fromkeys(pair)]
    done = [f(image) if f else image for f in flat]
    twice = {bytes((g(x) if g else x).numpy().tobytes()) for x in done for g in flat}
    found = randaugment(image.repeat(40, 1, 1, 1), RandAugment(), seeded(3))
    assert all(result.numpy().tobytes() in twice for result in found)


def test_magnitudes_are_spread_and_operations_left_out_as_asked():
    """By the images that were made brighter: how bright they are tells the magnitude."""
    how = RandAugment(ops=1, magnitude=27, std=1.5, prob=0.5)
    image = photos(1, 16).permute(0, 3, 1, 2)
    found = randaugment(image.repeat(20_000, 1, 1, 1), how, seeded(5))
    brighter = {level: operations(level, 16)[6][0] for level in range(1, 31)}  # 0 changes nothing
    outcomes = {make(image).numpy().tobytes(): level for level, make in brighter.items()}
    assert len(outcomes) == 30
    drawn = [outcomes.get(result.numpy().tobytes()) for result in found]
    levels = np.array([level for level in drawn if level is not None])
    # One in 14 operations, with either sign, of which half are done.
    assert len(levels) == pytest.approx(20_000 / 14 / 2 / 2, rel=0.2)
    wanted = stats.norm(27, 1.5)
    shares = np.diff(wanted.cdf(np.arange(-0.5, 31)))
    shares[0], shares[30] = wanted.cdf(0.5), wanted.sf(29.5)
    counts = np.bincount(levels, minlength=31)
    likely = shares > 0.01
    expected = shares[likely] / shares[likely].sum() * counts[likely].sum()
    assert stats.chisquare(counts[likely], expected).pvalue > 1e-3
    unchanged = (found == image).flatten(1).all(1).double().mean()
    assert float(unchanged) == pytest.approx(1 / 2 + 1 / 2 / 14, abs=0.02)


def test_spread_magnitudes_are_done_image_by_image():
    """Each result is one of an operation at one of the magnitudes that are near."""
    image = photos(1, 24).permute(0, 3, 1, 2)
    near = {
        (f(image) if f else image).numpy().tobytes()
        for level in range(31)
        for pair in operations(level, 24)
        for f in pair
    }
    found = randaugment(image.repeat(300, 1, 1, 1), RandAugment(ops=1, magnitude=15, std=5.0), seeded(2))
    assert all(result.numpy().tobytes() in near for result in found)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_erasing_fills_boxes_with_noise(memory_format):
    clean = torch.full((400, 3, 32, 32), 7.0).contiguous(memory_format=memory_format)
    found = erase(clean.clone(), 0.25, seeded())
    changed = (found != 7.0).all(1)
    assert torch.equal(changed, (found != 7.0).any(1))
    touched = changed.flatten(1).any(1)
    assert 0.17 < touched.float().mean() < 0.33
    for mask in changed[touched]:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        height, width = len(rows), len(columns)
        assert mask.sum() == height * width and rows[-1] - rows[0] == height - 1
        # Rounding to whole pixels moves the share and the ratio a little.
        assert 0.01 < height * width / 1024 < 0.36
        assert 0.2 < height / width < 5
    noise = found[found != 7.0]
    assert stats.kstest(noise.numpy(), "norm").pvalue > 1e-3


def test_erasing_does_not_depend_on_the_memory_format():
    clean = torch.zeros(10, 3, 16, 16)
    expected = erase(clean.clone(), 1.0, seeded())
    other = erase(clean.to(memory_format=torch.channels_last, copy=True), 1.0, seeded())
    assert torch.equal(expected, other) and (expected != 0).any((1, 2, 3)).all()


EVERYTHING = {
    "light": {"random_crop": "pad", "crop_pct": 1.0},
    "resized": {"random_crop": "resized"},
    "deit": {"random_crop": "resized", "randaugment": RandAugment(), "erase": 0.5},
    "squash": {"resize": "squash", "interpolation": "bilinear", "erase": 0.5},
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", EVERYTHING)
def test_everything_random_comes_from_the_generator(name, device):
    augment = EVERYTHING[name]
    pipe = pipeline(24, **augment)
    images = photos(8, Augment(**augment).stored_size(24))
    before, state = images.clone(), torch.get_rng_state()
    first = pipe.train(images, seeded(1))
    torch.rand(5)
    again = pipe.train(images.to(device), seeded(1)).cpu()
    torch.testing.assert_close(first, again, atol=0 if device == "cpu" else 0.1, rtol=0)
    assert not torch.equal(first, pipe.train(images, seeded(2)))
    assert torch.equal(images, before)
    torch.set_rng_state(state)
    pipe.train(images, seeded(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (8, 3, 24, 24) and first.dtype == torch.float32 and first.isfinite().all()


def test_equal_images_are_augmented_differently():
    images = photos(1, 32).repeat(6, 1, 1, 1)
    for name, augment in EVERYTHING.items():
        found = pipeline(28, **augment).train(images, seeded())
        assert len(torch.unique(found.flatten(1), dim=0)) > (1 if name == "squash" else 4)


@pytest.mark.parametrize("stored, size", [(40, 35), (37, 30), (32, 32), (257, 224)])
def test_evaluation_is_torchvisions_centre_crop(stored, size):
    images = photos(3, stored)
    pipe = pipeline(size, crop_pct=size / stored)
    expected = normalised(V.center_crop(images.permute(0, 3, 1, 2), [size, size]))
    torch.testing.assert_close(pipe.evaluate(images), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [16, 44])
def test_smaller_native_images_are_scaled_whole(side, interpolation):
    images = photos(3, side)
    pipe = pipeline(40, interpolation=interpolation)
    expected = normalised(
        V.resize(images.permute(0, 3, 1, 2).float(), [40, 40], v2.InterpolationMode(interpolation)).clamp(
            0, 255
        )
    )
    torch.testing.assert_close(pipe.evaluate(images), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        pipeline(40, interpolation=interpolation, flip=False).train(images, seeded()),
        expected,
        atol=1e-4,
        rtol=0,
    )


def test_native_images_can_be_pad_cropped_after_scaling():
    found = pipeline(40, random_crop="pad").train(photos(5, 16), seeded())
    assert found.shape == (5, 3, 40, 40)
    black = torch.tensor([-m / s for m, s in zip(MEAN, STD, strict=True)])
    assert torch.isclose(found, black.view(3, 1, 1), atol=1e-5).all(1).any()


def test_recipes_mean_and_std_win():
    images = photos(2, 16)
    augment = Augment(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), crop_pct=1.0)
    found = Pipeline(augment, input_size=16, mean=MEAN, std=STD).evaluate(images)
    expected = (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
