"""Images drawn here, which may be shown and passed on anywhere; each is there to make something visible."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SIDE = 448
DRAWN = 2 * SIDE  # edges are smooth once it is scaled down


def flower() -> np.ndarray:
    """A daisy in a meadow: one thing in the middle, on a background without detail. uint8 (SIDE, SIDE, 3)."""
    image, draw = _canvas((136, 186, 230))
    for row in range(DRAWN // 2, DRAWN):
        share = (row - DRAWN / 2) / (DRAWN / 2)
        green = tuple(int(a + (b - a) * share) for a, b in zip((122, 176, 92), (52, 104, 44), strict=True))
        draw.line((0, row, DRAWN, row), fill=green)
    x, y = int(0.5 * DRAWN), int(0.4 * DRAWN)
    draw.line((x, y, x - 40, DRAWN), fill=(58, 118, 50), width=26)
    _petal(image, (x - 118, int(0.78 * DRAWN)), 150, 55, 28, (70, 134, 58))
    for k in range(18):
        angle = 20 * k
        turn = math.radians(angle)
        centre = (x + int(170 * math.cos(turn)), y + int(170 * math.sin(turn)))
        shade = 255 if k % 2 else 236
        _petal(image, centre, 118, 42, -angle, (shade, shade, shade))
    draw = ImageDraw.Draw(image)
    _disc(draw, x, y, 88, (236, 178, 20))
    generator = np.random.default_rng(0)
    for _ in range(220):
        far, turn = 80 * math.sqrt(generator.random()), 2 * math.pi * generator.random()
        _disc(draw, x + far * math.cos(turn), y + far * math.sin(turn), 5, (196, 132, 8))
    return _finished(image)


def apart() -> np.ndarray:
    """A clock and a ball in opposite corners: to see both at once, one has to look across the image."""
    image, draw = _canvas((214, 206, 192))
    draw.rectangle((0, int(0.7 * DRAWN), DRAWN, DRAWN), fill=(148, 112, 80))
    x = y = int(0.27 * DRAWN)
    for radius, colour in ((200, (52, 46, 44)), (178, (248, 246, 240))):
        _disc(draw, x, y, radius, colour)
    for hour in range(12):
        turn = math.radians(30 * hour)
        inner = 128 if hour % 3 == 0 else 148
        ends = [(x + far * math.sin(turn), y - far * math.cos(turn)) for far in (inner, 164)]
        draw.line(ends, fill=(30, 30, 30), width=14 if hour % 3 == 0 else 8)
    for turn, far, width in ((305, 92, 18), (60, 136, 11)):
        end = x + far * math.sin(math.radians(turn)), y - far * math.cos(math.radians(turn))
        draw.line((x, y, *end), fill=(20, 20, 20), width=width)
    _disc(draw, x, y, 14, (178, 30, 30))
    x = y = int(0.77 * DRAWN)
    draw.ellipse((x - 140, y + 120, x + 170, y + 172), fill=(116, 84, 58))
    for k, colour in enumerate(((214, 48, 44), (248, 244, 236)) * 3):
        draw.pieslice((x - 150, y - 150, x + 150, y + 150), 60 * k - 20, 60 * k + 40, fill=colour)
    _disc(draw, x, y, 34, (44, 92, 178))
    return _finished(image)


def texture() -> np.ndarray:
    """A disc that differs from its background by the direction of stripes alone, not by its mean colour."""
    rows, columns = np.indices((DRAWN, DRAWN))
    stripes = [np.sin(2 * math.pi * along / 56) > 0 for along in (rows + columns, rows - columns)]
    inside = np.hypot(rows - 0.56 * DRAWN, columns - 0.44 * DRAWN) < 0.27 * DRAWN
    dark = np.where(inside, stripes[0], stripes[1])
    colours = np.array([(238, 228, 206), (70, 62, 96)], dtype=np.uint8)
    return _finished(Image.fromarray(colours[dark.astype(int)]))


EXAMPLES: dict[str, Callable[[], np.ndarray]] = {"flower": flower, "apart": apart, "texture": texture}


def random_scene(generator: np.random.Generator) -> np.ndarray:
    """Shapes, stripes and noise at random: uint8 (SIDE, SIDE, 3)."""
    image, draw = _canvas(_colour(generator))
    for _ in range(int(generator.integers(4, 14))):
        x, y = (int(value) for value in generator.integers(0, DRAWN, 2))
        size, turn = int(generator.integers(40, 320)), int(generator.integers(0, 360))
        kind = int(generator.integers(0, 3))
        if kind == 0:
            _disc(draw, x, y, size // 2, _colour(generator))
        elif kind == 1:
            draw.regular_polygon((x, y, size // 2), int(generator.integers(3, 7)), turn, _colour(generator))
        else:
            far = (math.cos(math.radians(turn)), math.sin(math.radians(turn)))
            for k in range(-6, 7):
                at = x - 30 * k * far[1], y + 30 * k * far[0]
                ends = [(at[0] + way * size * far[0], at[1] + way * size * far[1]) for way in (-1, 1)]
                draw.line(ends, fill=_colour(generator), width=10)
    noise = generator.normal(0, 10, (SIDE, SIDE, 3))
    return np.clip(_finished(image) + noise, 0, 255).astype(np.uint8)


def _canvas(colour: tuple[int, ...]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (DRAWN, DRAWN), colour)
    return image, ImageDraw.Draw(image)


def _finished(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _petal(
    image: Image.Image,
    centre: tuple[int, int],
    length: int,
    width: int,
    degrees: float,
    colour: tuple[int, ...],
) -> None:
    """An ellipse with half axes `length` and `width`, turned against the clock."""
    mask = Image.new("L", (2 * length, 2 * length))
    ImageDraw.Draw(mask).ellipse((0, length - width, 2 * length, length + width), fill=255)
    mask = mask.rotate(degrees, Image.Resampling.BICUBIC)
    image.paste(colour, (centre[0] - length, centre[1] - length), mask)


def _colour(generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(value) for value in generator.integers(0, 256, 3))
