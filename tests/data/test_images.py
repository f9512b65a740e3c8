"""Image files of every kind become RGB."""

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets.folder import default_loader

from bench.data.images import read_image
from bench.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def saved(tmp_path, mode, suffix, **options):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(RGB).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", ".png"), ("L", ".png"), ("P", ".png"), ("RGBA", ".png"), ("LA", ".png"), ("1", ".png"),
     ("CMYK", ".jpg"), ("L", ".jpg"), ("RGB", ".webp"), ("CMYK", ".tif"), ("RGB", ".bmp"), ("L", ".pgm")],
)  # fmt: skip
def test_as_torchvision_reads_it(tmp_path, mode, suffix):
    path = saved(tmp_path, mode, suffix)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (12, 20, 3)
    np.testing.assert_array_equal(image, np.asarray(default_loader(path)))


def test_grey_becomes_three_equal_channels(tmp_path):
    image = read_image(saved(tmp_path, "L", ".png"))
    assert (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()


def test_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image = read_image(saved(tmp_path, "RGB", ".png", exif=exif))
    np.testing.assert_array_equal(image, np.rot90(RGB, -1))


def test_sixteen_bits_keep_their_upper_eight(tmp_path):
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[..., 0], np.arange(256).reshape(16, 16))


def test_damaged_files_are_named(tmp_path):
    whole = saved(tmp_path, "RGB", ".jpg", quality=95).read_bytes()
    kinds = {"cut.jpg": whole[: len(whole) // 2], "empty.jpg": b"", "text.jpg": b"<html>not found</html>"}
    kinds["cut.png"] = saved(tmp_path, "RGB", ".png").read_bytes()[:200]
    for name, content in kinds.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"absent.jpg: is missing"):
        read_image(tmp_path / "absent.jpg")


def test_pixels_without_a_range_are_refused(tmp_path):
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match="float.tif: cannot be decoded .*no defined range"):
        read_image(tmp_path / "float.tif")
