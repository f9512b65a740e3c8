"""Image files of any kind as RGB arrays."""

import io
import os
import stat
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from bench.data.metadata import without_metadata
from bench.errors import DataError
from bench.files import cache_dir, remember, remembered, state

# What is decoded: kinds that Pillow reads in this process. Left to itself, Pillow goes by the content of a
# file whatever its name, and hands some kinds to other programs (EPS to Ghostscript).
AVIF = ("AVIF",) if find_spec("PIL.AvifImagePlugin") else ()
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", *AVIF, "JPEG2000")
# How an image is turned upright by its EXIF or XMP orientation; 1 is upright already.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Bits a pixel of cameras, scanners and detectors, which often come in files of 16 or 32 bits.
DEPTHS = (8, 10, 12, 14, 16, 24, 31)
MAX_SAMPLE_VALUE, BITS_PER_SAMPLE, PHOTOMETRIC = 281, 258, 262  # tags of TIFF
WHITE_IS_ZERO = 0  # what PHOTOMETRIC may be; Pillow heeds it for 8 bits alone

# Said by Pillow about metadata that nobody asked for, once an image.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@cache
def extensions() -> tuple[str, ...]:
    """The endings of file names, in lower case and with their dot, that Pillow registers for FORMATS."""
    registered = Image.registered_extensions()
    return tuple(sorted(ending for ending, kind in registered.items() if kind in (*FORMATS, "MPO")))


def read_image(path: Path, known: int | None = None) -> np.ndarray:
    """A file as uint8 (h, w, 3) RGB, upright as its EXIF or XMP orientation says.

    Of several frames the first counts. Other metadata changes nothing, and is passed over where it is broken.
    Palette, CMYK, LAB and YCbCr images are converted as Pillow does; an alpha channel is dropped, whatever
    colour lies under it; for grey of more than 8 bits see `to_rgb`.

    Args:
        known: the `bench.files.state` of the file when its fingerprint was taken; None where none was.

    Raises:
        DataError: the file is missing, no regular file, no image of FORMATS, cut short or damaged, has pixels
            without a defined range, or was changed since. The line names the file.
    """
    try:
        with _regular(path) as file:
            image = _decoded(file)
        now = state(path.stat())
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing") from error
    # Damaged files make decoders raise anything, and whatever it is, the user has to know which file it was.
    except Exception as error:
        raise DataError(
            f"{path}: cannot be decoded ({_reason(error)}); replace or remove the file"
        ) from error
    _refuse_changed(path, known, now)
    return image


def decode_image(content: bytes, where: str) -> np.ndarray:
    """The bytes of a file as uint8 (h, w, 3) RGB: as `read_image`.

    Raises:
        DataError: as `read_image`; the line names `where`.
    """
    try:
        return _decoded(io.BytesIO(content))
    except Exception as error:  # as in read_image
        raise DataError(f"{where}: cannot be decoded ({_reason(error)}); replace or remove it") from error


def largest_sides(
    paths: Sequence[Path | str], fingerprint: str, limit: int, states: Sequence[int]
) -> tuple[int, int] | None:
    """The largest short and the largest long side in px of some image files, by what their headers say.

    None as soon as a short side is over `limit`. The answer is remembered by the fingerprint of the files,
    whose `states` are those of when it was taken.

    Raises:
        DataError: a file is no image of FORMATS, or was changed since.
    """
    memory = cache_dir() / "sizes" / fingerprint
    if (known := remembered(memory)) is not None:
        short, long = map(int, known.split())
        return (short, long) if short <= limit else None
    short = long = 0
    for path, known_state in zip(paths, states, strict=True):
        try:
            with _regular(Path(path)) as file, Image.open(file, formats=FORMATS) as image:
                size, now = image.size, state(os.stat(path))
        except Exception as error:
            raise DataError(
                f"{path}: cannot be decoded ({_reason(error)}); replace or remove the file"
            ) from error
        _refuse_changed(path, known_state, now)
        short, long = max(short, min(size)), max(long, max(size))
        if short > limit:
            return None
    remember(memory, f"{short} {long}")
    return short, long


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB with 8 bits a channel.

    Grey of more than 8 bits is divided by its maximum, so that the maximum is white: the one that the file
    states (the maxval of PGM, the depth of JPEG 2000, MaxSampleValue or fewer than 16 BitsPerSample of
    TIFF), else 2^b - 1 for the fewest b of DEPTHS bits that hold its largest pixel, for 12 bits are often
    written into files of 16 without a word. Of 16 bits the upper 8 are kept. Float pixels count from 0,
    black, to 1, white. A TIFF whose 0 is white is turned around.

    Raises:
        ValueError: pixels below 0, or float pixels above 1, which have no defined range.
    """
    if image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(np.asarray(image).astype(np.int64), image))
    elif image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(
                f"float pixels from {values.min():g} to {values.max():g} have no defined range; "
                "save it with 8 or 16 bits, or from 0 to 1"
            )
        values = 1 - values if _white_is_zero(image) else values
        image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    # Pillow would look for a transparent colour in the new palette, which is not asked for and can fail.
    image.info.pop("transparency", None)
    return image.convert("RGB")


def _decoded(file: BinaryIO) -> np.ndarray:
    """The pixels of a file; where Pillow gives up on it, once more without its metadata."""
    try:
        return _pixels(file)
    except Exception as error:
        file.seek(0)
        bare = without_metadata(file.read())
        if bare is None:
            raise
        try:
            return _pixels(io.BytesIO(bare))
        except Exception:
            raise error from None


def _pixels(file: BinaryIO) -> np.ndarray:
    with Image.open(file, formats=FORMATS) as image:
        image.load()
        turn = UPRIGHT.get(_orientation(image))
        rgb = to_rgb(image)
    return np.asarray(rgb if turn is None else rgb.transpose(turn))


def _orientation(image: Image.Image) -> int:
    """The orientation in the metadata; 1, upright, where there is none that can be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(value)
    except Exception:
        return 1


def _eight_bits(values: np.ndarray, image: Image.Image) -> np.ndarray:
    """Whole numbers from 0 (h, w) as uint8, from black to white.

    Raises:
        ValueError: pixels below 0, or above the maximum that the file states.
    """
    if values.min() < 0:
        raise ValueError(
            f"pixels of {values.min()}, below 0, have no defined range; save it with 8 or 16 bits"
        )
    largest = int(values.max())
    maximum = _stated_maximum(image)
    if maximum is None or maximum < largest:
        maximum = 2 ** next(bits for bits in DEPTHS if largest < 2**bits) - 1
    values = maximum - values if _white_is_zero(image) else values
    return (values * 256 // (maximum + 1)).astype(np.uint8)


def _white_is_zero(image: Image.Image) -> bool:
    return bool(getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO)


def _stated_maximum(image: Image.Image) -> int | None:
    """The value of white, where the file says it."""
    if image.format in ("PPM", "JPEG2000"):
        return 65535  # Pillow has multiplied it up from what the file says
    tags = getattr(image, "tag_v2", {})
    for tag in (MAX_SAMPLE_VALUE, BITS_PER_SAMPLE):
        value = tags.get(tag)
        value = value[0] if isinstance(value, tuple) and value else value
        if isinstance(value, int) and value > 0:
            if tag == MAX_SAMPLE_VALUE:
                return value
            if value < 16:
                return 2**value - 1
    return None


def _refuse_changed(path: Path | str, known: int | None, now: int) -> None:
    """Raises DataError where a file is not as it was known: what is made of it would pass for what it was."""
    if known not in (None, now):
        raise DataError(f"{path}: was changed since its data set was opened; run the same command again")


def _regular(path: Path) -> BinaryIO:
    """The opened file; pipes and devices, which could be read for ever, are not opened.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no regular file, or empty.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("not a regular file")
    if not facts.st_size:
        raise ValueError("the file is empty")
    return path.open("rb")


def _reason(error: Exception) -> str:
    """What an exception says, as part of one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image of a kind that is read: {', '.join(FORMATS)}"
    return " ".join(str(error).split()) or type(error).__name__
