"""Each condition does to an image what it says, always alike."""

import colorsys
import math
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bench.data.conditions import Condition, families, find_condition
from bench.data.conditions.defocus_blur import disk
from bench.data.conditions.motion_blur import trace
from bench.errors import InputError

CORRUPTIONS = [name for name in families() if find_condition(name).is_corruption]


def images(side: int, count: int = 1) -> np.ndarray:
    """Smooth random colours with some black and some white."""
    rng = np.random.default_rng(side)
    small = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    scaled = [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in small]
    pixels = np.stack([np.asarray(one) for one in scaled]).copy()
    pixels[:, :2, :2], pixels[:, -2:, -2:] = 0, 255
    return pixels


def changed(name: str, pixels: np.ndarray, positions=None) -> np.ndarray:
    return find_condition(name).apply(pixels, np.arange(len(pixels)) if positions is None else positions)


def test_there_are_the_corruptions_of_which_mce_is_the_mean():
    assert CORRUPTIONS == [
        "brightness", "contrast", "defocus_blur", "gaussian_noise", "impulse_noise", "jpeg", "motion_blur",
        "pixelate", "shot_noise",
    ]  # fmt: skip


@pytest.mark.parametrize("family", [name for name in families() if find_condition(name).changes_images])
def test_an_image_is_changed_alike_whatever_batch_it_is_in(family):
    pixels = images(32, 5)
    before, positions = pixels.copy(), np.array([7, 0, 2**20, 3, 12])
    for level in {find_condition(family).allowed[0], find_condition(family).allowed[-1]} & {2, 5, 1, 75}:
        name = Condition(family, level).name
        whole = changed(name, pixels, positions)
        assert whole.dtype == np.uint8 and whole.shape == pixels.shape
        assert (pixels == before).all() and (whole != pixels).any()
        for order in ([2], [4, 1], [3, 0, 2, 1, 4]):
            assert (changed(name, pixels[order], positions[order]) == whole[order]).all()
    # Twice the same image at two positions: what is random differs, what is not does not.
    pair = changed(name, pixels[[0, 0]], np.array([1, 2]))
    fixed = {"brightness", "contrast", "defocus_blur", "jpeg", "pixelate"}
    assert (pair[0] == pair[1]).all() == (family in fixed)


@pytest.mark.parametrize(
    ("side", "noise", "photons", "share"),
    [(32, 0.10, 50, 0.07), (64, 0.10, 50, 0.07), (65, 0.38, 3, 0.27), (224, 0.38, 3, 0.27)],
)
def test_noise_has_the_strength_of_its_size(side, noise, photons, share):
    grey = np.full((400 if side < 100 else 4, side, side, 3), 128, np.uint8)
    level = 128 / 255
    values = changed("gaussian_noise-5", grey) / 255
    cut = np.clip(np.random.default_rng(0).normal(level, noise, 10**6), 0, 1)
    assert values.std() == pytest.approx(cut.std(), rel=0.01) and values.mean() == pytest.approx(
        level, rel=0.01
    )
    cut = np.minimum(np.random.default_rng(0).poisson(level * photons, 10**6) / photons, 1)
    values = changed("shot_noise-5", grey) / 255
    assert values.std() == pytest.approx(cut.std(), rel=0.02)
    values = changed("impulse_noise-5", grey)
    for extreme in (0, 255):
        assert (values == extreme).mean() == pytest.approx(share / 2, rel=0.03)
    assert ((values == 0) | (values == 255) | (values == 128)).all()


@pytest.mark.parametrize(("side", "added"), [(32, 0.3), (80, 0.5)])
def test_brightness_is_colorsys_pixel_by_pixel(side, added):
    (image,) = images(side)
    (bright,) = changed("brightness-5", image[None])
    for pixel, got in zip(image.reshape(-1, 3), bright.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
        wanted = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
        assert np.abs(got - 255 * np.array(wanted)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("side", "left"), [(32, 0.15), (80, 0.05)])
def test_contrast_shrinks_around_the_mean(side, left):
    (image,) = images(side)
    (flat,) = changed("contrast-5", image[None])
    for channel in range(3):
        mean = image[..., channel].sum() / side**2
        wanted = mean + left * (image[..., channel].astype(float) - mean)
        assert np.abs(flat[..., channel] - wanted).max() <= 0.5 + 1e-9


def mirrored(at: int, side: int) -> int:
    """Where an index outside an image lies in it, mirrored at the middle of the pixel at its edge."""
    at = abs(at)
    return 2 * (side - 1) - at if at >= side else at


@pytest.mark.parametrize(("side", "level", "radius", "sigma"), [(32, 5, 1.5, 0.1), (66, 1, 3, 0.1)])
def test_defocus_is_the_mean_over_a_disk(side, level, radius, sigma):
    """By loops; the smoothing of the rim is so weak here that a disk of equal weights is what is left."""
    (image,) = images(side)
    (blurred,) = changed(f"defocus_blur-{level}", image[None])
    reach = range(-math.floor(radius), math.floor(radius) + 1)
    inside = [(down, across) for down in reach for across in reach if math.hypot(down, across) <= radius]
    for row in (0, 1, side // 2, side - 1):
        for column in range(side):
            values = [image[mirrored(row + y, side), mirrored(column + x, side)] for y, x in inside]
            assert np.abs(blurred[row, column] - np.mean(values, axis=0)).max() <= 0.51
    smooth = disk(radius, 0.6)
    assert smooth.sum() == pytest.approx(1) and smooth.max() < 1 / len(inside) + 1e-9


@pytest.mark.parametrize(("radius", "sigma", "degrees"), [(6, 2.0, 0.0), (9, 2.5, 31.0), (10, 3.0, -45.0)])
def test_motion_blur_is_a_weighted_mean_along_a_line(radius, sigma, degrees):
    (image,) = images(32)
    blurred = trace(image, radius, sigma, degrees)
    weights = [math.exp(-(step**2) / (2 * sigma**2)) for step in range(2 * radius + 1)]
    slope = math.radians(degrees)
    for row, column in [(0, 0), (5, 17), (31, 31), (16, 30)]:
        total = np.zeros(3)
        for step, weight in enumerate(weights):
            y = row + math.ceil(step * math.sin(slope) - 0.5)
            x = column + math.ceil(step * math.cos(slope) - 0.5)
            total += weight * image[min(max(y, 0), 31), min(max(x, 0), 31)]
        assert np.abs(blurred[row, column] - total / sum(weights)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("side", "quality"), [(32, 40), (224, 7)])
def test_jpeg_is_what_pillow_writes(side, quality):
    (image,) = images(side)
    file = BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=quality)
    assert (changed("jpeg-5", image[None])[0] == np.asarray(Image.open(file))).all()


def test_pixels_of_half_the_size_are_means_of_four():
    (image,) = images(224)
    (coarse,) = changed("pixelate-2", image[None])
    means = image.reshape(112, 2, 112, 2, 3).mean((1, 3))
    assert np.abs(coarse - means.repeat(2, 0).repeat(2, 1)).max() <= 1
    # 0.65 of 32 px are 20.
    assert len(np.unique(changed("pixelate-5", images(32))[0][:, :, 0], axis=0)) == 20


@pytest.mark.parametrize(("side", "patch"), [(32, 4), (224, 16)])
def test_occlusion_hides_so_many_patches_and_more_of_them_at_the_next_level(side, patch):
    """On a grid of its own, which is the same for all levels of an image, and goes on at the other edge."""
    many = images(side).repeat(6, 0)
    across, offsets = side // patch, set()
    for number, image in enumerate(many):
        mean, hidden_before, grids = np.rint(image.mean((0, 1))), np.zeros((side, side), dtype=bool), []
        for level in (15, 30, 75):
            (shown,) = changed(f"occlusion-{level}", image[None], np.array([number]))
            hidden = (shown == mean).all(-1)
            assert (shown[~hidden] == image[~hidden]).all()
            assert hidden.sum() == round(level / 100 * across**2) * patch**2
            assert (hidden | ~hidden_before).all()
            hidden_before = hidden
            whole = {
                (y, x)
                for y in range(patch)
                for x in range(patch)
                if np.isin(
                    np.roll(hidden, (-y, -x), (0, 1)).reshape(across, patch, across, patch).sum((1, 3)),
                    (0, patch**2),
                ).all()
            }
            grids.append(whole)
        assert len(set.intersection(*grids)) == 1
        offsets |= set.intersection(*grids)
    assert len(offsets) > 1


@pytest.mark.parametrize(("side", "grid"), [(32, 2), (32, 8), (224, 14)])
def test_shuffled_patches_are_the_same_patches(side, grid):
    (image,) = images(side)
    (shuffled,) = changed(f"patch_shuffle-{grid}", image[None], np.array([3]))

    def patches(pixels):
        size = side // grid
        corners = [(y, x) for y in range(0, side, size) for x in range(0, side, size)]
        return [pixels[y : y + size, x : x + size].tobytes() for y, x in corners]

    assert sorted(patches(shuffled)) == sorted(patches(image)) and patches(shuffled) != patches(image)


def test_translation_moves_by_so_many_pixels_in_each_of_eight_directions():
    (image,) = images(32)
    seen = set()
    for position in range(60):
        (moved,) = changed("translation-3", image[None], np.array([position]))
        fits = [
            (y, x)
            for y in (-3, 0, 3)
            for x in (-3, 0, 3)
            if (moved[3:-3, 3:-3] == image[3 - y : 29 - y, 3 - x : 29 - x]).all()
        ]
        seen.update(fits)
        assert len(fits) == 1
    assert len(seen) == 8 and (0, 0) not in seen


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gausian_noise-3", 'no condition "gausian_noise-3"; did you mean "gaussian_noise"?'),
        ("gaussian_noise-6", '"gaussian_noise-6": severity should be a whole number from 1 to 5'),
        ("gaussian_noise-0", "from 1 to 5"),
        ("gaussian_noise-03", "from 1 to 5"),
        ("gaussian_noise-", "from 1 to 5"),
        ("gaussian_noise-strong", "from 1 to 5"),
        ("occlusion-80", r'"occlusion-80": patches hidden \(%\) should be a whole number from 1 to 75'),
        ("clean-1", '"clean" has no levels'),
        ("", 'no condition ""'),
    ],
)
def test_a_name_that_is_none_is_told_in_one_line(name, message):
    with pytest.raises(InputError, match=message) as raised:
        find_condition(name)
    assert "\n" not in str(raised.value)
