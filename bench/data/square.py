"""Images of any shape as squares of one size, by Pillow."""

from typing import Literal

from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Of an image much longer than wide, only so many times its short side is looked at for the centre square.
LONGEST = 64

Resize = Literal["squash", "crop"]
Interpolation = Literal["bilinear", "bicubic"]


def fit(image: Image.Image, size: int, resize: Resize, interpolation: Interpolation) -> Image.Image:
    """An image at size x size px, by the same arithmetic as torchvision's Resize and CenterCrop.

    Of an image more than LONGEST times as long as wide, what is far from the centre is cut off before.
    """
    if resize == "squash":
        return image.resize((size, size), FILTERS[interpolation])
    image = _without_ends(image)
    width, height = image.size
    short = min(width, height)
    width, height = (size if side == short else int(size * side / short) for side in (width, height))
    image = image.resize((width, height), FILTERS[interpolation])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _without_ends(image: Image.Image) -> Image.Image:
    """The image around its centre, at most LONGEST times (and a pixel) as long as wide."""
    width, height = image.size
    longest = LONGEST * min(width, height)
    across, down = (max(0, side - longest) // 2 for side in (width, height))
    return image.crop((across, down, width - across, height - down)) if across or down else image
