"""Image files of every kind become RGB."""

import io
import os
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo
from torchvision.datasets.folder import default_loader

from bench.data.images import read_image
from bench.errors import DataError

# Pillow's warnings about what these tests damage.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")

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


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm", "int.tif", "big-endian.tif"])
def test_grey_of_any_depth_looks_like_the_same_picture_of_eight_bits(tmp_path, bits, suffix):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    deep = ramp << (bits - 8) | ramp >> max(0, 16 - bits)  # white is 2^bits - 1
    path = tmp_path / f"grey{suffix}"
    if suffix == ".pgm":
        raw = deep.astype(">u2" if bits > 8 else "u1").tobytes()
        path.write_bytes(b"P5 16 16 %d\n" % (2**bits - 1) + raw)
    else:
        kind = {"int.tif": np.int32, "big-endian.tif": ">u2"}.get(suffix, np.uint16)
        Image.fromarray(deep.astype(kind)).save(path)
    image = read_image(path)[..., 0].astype(int)
    assert image.min() == 0 and image.max() == 255
    assert abs(image - ramp).max() <= 1


def test_a_power_of_two_is_one_more_than_its_bits_hold(tmp_path):
    Image.fromarray(np.array([[0, 256]], dtype=np.uint16)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png")[0, :, 0].tolist() == [0, 256 * 256 // 1024]


def test_the_maximum_that_a_file_states_counts(tmp_path):
    dark = np.arange(256, dtype=np.uint16).reshape(16, 16) * 4  # at most 1020, of 4095
    (tmp_path / "dark.pgm").write_bytes(b"P5 16 16 4095\n" + dark.astype(">u2").tobytes())
    Image.fromarray(dark).save(tmp_path / "dark.tif", tiffinfo={281: 4095})
    for name in ("dark.pgm", "dark.tif"):
        expected = np.floor(dark / 4096 * 256)
        assert abs(read_image(tmp_path / name)[..., 0] - expected).max() <= 1


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_a_file_whose_zero_is_white_is_turned_around(tmp_path, kind):
    ramp = np.arange(256).reshape(16, 16)
    pixels = (ramp * 257).astype(kind) if kind == "uint16" else (ramp / 255).astype(kind)
    Image.fromarray(pixels).save(tmp_path / "film.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_image(tmp_path / "film.tif")[..., 0], 255 - ramp)


def test_float_pixels_count_from_zero_to_one(tmp_path):
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "unit.tif")
    image = read_image(tmp_path / "unit.tif")
    np.testing.assert_array_equal(image[..., 2], np.rint(255 * values.astype(np.float64)))
    for name, wrong in (("range", values * 300), ("negative", values - 0.5), ("gap", values / values)):
        Image.fromarray(wrong).save(tmp_path / f"{name}.tif")
        with pytest.raises(DataError, match=f"{name}.tif: cannot be decoded .*no defined range"):
            read_image(tmp_path / f"{name}.tif")
    Image.fromarray(np.full((4, 4), -7, dtype=np.int32)).save(tmp_path / "signed.tif")
    with pytest.raises(DataError, match="signed.tif: cannot be decoded .*-7, below 0, have no defined range"):
        read_image(tmp_path / "signed.tif")


def test_what_is_transparent_shows_the_colour_under_it(tmp_path):
    clear = np.dstack([RGB, np.zeros((12, 20), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    np.testing.assert_array_equal(read_image(tmp_path / "clear.png"), RGB)
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(tmp_path / "one.png", transparency=3)
    palette.save(tmp_path / "each.png", transparency=bytes(range(16)))
    for name in ("one.png", "each.png"):
        np.testing.assert_array_equal(read_image(tmp_path / name), np.asarray(palette.convert("RGB")))
    Image.fromarray(RGB[..., :2]).save(tmp_path / "grey.png")  # LA
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), RGB[..., :1].repeat(3, -1))


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif", ".mpo"])
def test_of_several_frames_the_first_counts(tmp_path, suffix):
    frames = [Image.fromarray(np.full((12, 20, 3), level, np.uint8)) for level in (40, 200)]
    path = tmp_path / f"moving{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert abs(read_image(path).astype(int) - 40).max() <= 2


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


# Bytes that are metadata and nothing else: what stands between the two markers put into it.
MARK = b"<<metadata>>"


def described(kind: str) -> bytes:
    """A file of RGB, turned by its EXIF orientation 6, with text, a colour profile and resolutions in it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = MARK.decode() + 40 * "m"
    exif[0x011A] = 72.0
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngInfo()
    text.add_text("Comment", 60 * "t")
    text.add_text("Long", 600 * "t", zip=True)
    options = {
        "jpg": {"format": "JPEG", "quality": 100, "subsampling": 0, "comment": 60 * b"c", "dpi": (72, 72)},
        "png": {"format": "PNG", "pnginfo": text, "dpi": (72, 72)},
        "webp": {"format": "WEBP", "lossless": True},
        "tif": {"format": "TIFF", "dpi": (72, 72)},
    }
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, exif=exif, icc_profile=profile, **options[kind])
    return file.getvalue()


def spans_of_metadata(kind: str, content: bytes) -> list[tuple[int, int]]:
    """Where a file has bytes that say nothing of its pixels; written without the code under test."""
    spans, at = [], {"jpg": 2, "png": 8, "webp": 12, "tif": 0}[kind]
    if kind == "tif":
        (at,) = struct.unpack_from("<I", content, 4)
        (count,) = struct.unpack_from("<H", content, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, _, offset = struct.unpack_from("<HHII", content, entry)
            if tag in (0x010F, 0x011A, 0x011B, 0x0128, 34675):
                spans += [(entry + 2, entry + 12)]
            if tag == 0x010F:
                spans += [(offset, offset + 50)]
        return spans
    while at + 8 <= len(content):
        if kind == "jpg":
            if content[at + 1] == 0xDA:
                break
            length, known = (
                struct.unpack_from(">H", content, at + 2)[0] + 2,
                content[at + 1] in (0xE1, 0xE2, 0xFE),
            )
            body = (at + 4, at + length)
        elif kind == "png":
            length, known = struct.unpack_from(">I", content, at)[0] + 12, content[at + 4 : at + 5].islower()
            body = (at + 8, at + length)
        else:
            length = struct.unpack_from("<I", content, at + 4)[0] + 8
            length, known = length + length % 2, content[at : at + 4] in (b"EXIF", b"ICCP")
            body = (at + 8, at + length)
        spans += [body] if known else []
        at += length
    return spans


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_broken_metadata_leaves_good_pixels(tmp_path, kind):
    whole = described(kind)
    path = tmp_path / f"image.{kind}"
    path.write_bytes(whole)
    upright = read_image(path)
    assert upright.shape == (20, 12, 3)
    spans = spans_of_metadata(kind, whole)
    assert sum(end - start for start, end in spans) >= 100
    random = np.random.default_rng(0)
    for trial in range(150):
        content = bytearray(whole)
        start, end = spans[trial % len(spans)]
        for position in random.integers(start, end, random.choice([1, 3, 20])):
            content[position] = random.choice([0, 255, 128, random.integers(256)])
        path.write_bytes(content)
        image = read_image(path)
        # Where the damage hit the orientation, it may be any.
        sides = [np.rot90(side, turns) for side in (image, image[:, ::-1]) for turns in range(4)]
        assert any(np.array_equal(side, upright) for side in sides)


def test_metadata_of_unexpected_types_is_passed_over_and_orientation_kept(tmp_path):
    # Make is a number, Model has a type of its own, and the pointer to the next block leads nowhere.
    entries = [(0x010F, 3, 1, 7), (0x0110, 12, 1, 8), (0x0112, 3, 1, 6), (0x8769, 2, 4, 99)]
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    block += b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 60000)
    raw = saved(tmp_path, "RGB", ".jpg", quality=100).read_bytes()
    plain = read_image(tmp_path / "image.jpg")
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    (tmp_path / "odd.jpg").write_bytes(raw[:2] + segment + raw[2:])
    np.testing.assert_array_equal(read_image(tmp_path / "odd.jpg"), np.rot90(plain, -1))


def test_turned_upright_by_xmp(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    image = read_image(saved(tmp_path, "RGB", ".webp", lossless=True, xmp=xmp))
    np.testing.assert_array_equal(image, np.rot90(RGB, -1))


def test_text_in_png_may_be_of_any_length(tmp_path):
    raw = saved(tmp_path, "RGB", ".png").read_bytes()
    for kind in (b"zTXt", b"iCCP"):
        data = b"name\0\0" + zlib.compress(bytes(3 << 20))
        chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        (tmp_path / "long.png").write_bytes(raw[:33] + chunk + raw[33:])
        np.testing.assert_array_equal(read_image(tmp_path / "long.png"), RGB)


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF", "tiff_lzw"]
)
def test_whatever_is_damaged_is_told_with_the_name_of_the_file(tmp_path, kind):
    if not features.check("avif") and kind == "AVIF":
        pytest.skip("Pillow was built without AVIF")
    file = io.BytesIO()
    options = {"format": "TIFF", "compression": kind} if kind == "tiff_lzw" else {"format": kind}
    Image.fromarray(RGB).save(file, **options)
    whole, random = file.getvalue(), np.random.default_rng(1)
    path = tmp_path / "damaged.img"
    refused = 0
    for trial in range(150):
        content = bytearray(whole)
        for position in random.integers(0, min(len(whole), (40, 200, 4000)[trial % 3]), 1 + trial % 4):
            content[position] = random.choice([0, 255, 128, content[position] ^ 1, random.integers(256)])
        path.write_bytes(content)
        try:
            image = read_image(path)
        except DataError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert refused


def test_images_never_reach_another_program(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)  # how Pillow starts Ghostscript
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    for name in ("drawing.eps", "drawing.png"):
        (tmp_path / name).write_bytes(drawing)
        with pytest.raises(DataError, match=f"{name}: .*not an image of a kind that is read: JPEG, PNG"):
            read_image(tmp_path / name)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "zero.png", "folder.png"):
        with pytest.raises(DataError, match=f"{name}: .*not a regular file"):
            read_image(tmp_path / name)
