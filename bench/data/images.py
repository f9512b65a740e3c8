"""Image files of any kind as RGB arrays."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bench.errors import DataError

# What Pillow raises for a file that is no image, is cut short or is damaged.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def read_image(path: Path) -> np.ndarray:
    """A file as uint8 (h, w, 3) RGB, upright as its EXIF orientation says.

    Grey, palette and CMYK images are converted as Pillow does; an alpha channel is dropped; 16-bit grey
    keeps its upper 8 bits.

    Raises:
        DataError: the file is missing, no image, cut short, or has pixels without a defined range.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(to_rgb(ImageOps.exif_transpose(image)))
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing") from error
    except UNREADABLE as error:
        reason = (
            "not an image"
            if isinstance(error, Image.UnidentifiedImageError)
            else " ".join(str(error).split())
        )
        raise DataError(f"{path}: cannot be decoded ({reason}); replace or remove the file") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB with 8 bits a channel.

    Raises:
        ValueError: 32-bit pixels, which have no defined range.
    """
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which turns nearly everything white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no defined range; save it with 8 or 16 bits")
    return image.convert("RGB")
