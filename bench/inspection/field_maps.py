"""What units see, as maps that a page can draw at any place of an image."""

from typing import Any

import numpy as np
from torch import Tensor

from bench.inspection import encoding
from bench.inspection.drawing import enlarge
from bench.inspection.receptive import AVERAGED, fields_at, middle_of, receptive_fields, side_of
from bench.inspection.tokens import NotShown
from bench.inspection.view import View

MAP_SIDE, FIELD_SIDE = 56, 75
# The share of the image from which on a receptive field counts as wide, and at how many places it is drawn.
WIDE, CELLS = 0.2, 7


def field_maps(view: View) -> list[dict[str, Any]] | None:
    """The receptive field of a unit, around its middle, for each stage of a network without attention."""
    try:
        view.attention  # noqa: B018
        return None
    except NotShown:
        stages = range(len(view.maps))
        images = view.model.inputs(view.sample.first(AVERAGED).images)
        each = receptive_fields(view.model.network, images, stages)
        return [_field(view, images, k, one) for k, one in zip(stages, each, strict=True)]


def _field(view: View, images: Tensor, stage: int, field: Tensor) -> dict[str, Any]:
    """A field that can be moved over the image; a wide one is measured at CELLS x CELLS places instead."""
    size, positions = view.model.size, view.maps[stage].shape[-1]
    row, column = middle_of(field, positions)
    half = side_of(field, (row, column), 0.5)
    known = {"half_within": half, "positions": positions, "middle": [row, column]}
    if half > WIDE * size:
        shares = (np.arange(CELLS) + 0.5) / CELLS
        places = [(stage, down, right) for down in shares for right in shares]
        some = [_bright(one) for one in fields_at(view.model.network, images[:4], places)]
        return known | {"map": encoding.levels(np.concatenate(some)), "cells": CELLS}
    whole = np.zeros((2 * size, 2 * size), dtype=np.float32)
    top, left = round(size - row), round(size - column)
    whole[top : top + size, left : left + size] = _bright(field, size)
    return known | {"map": encoding.levels(enlarge(whole, 2 * FIELD_SIDE)), "cells": 0}


def _bright(field: Tensor, side: int = MAP_SIDE) -> np.ndarray:
    """The root of a field, cut off at its brightest pixels, 0..1, (side, side)."""
    values = field.numpy()
    bright = float(np.percentile(values, 99.8)) or 1.0
    return enlarge(np.sqrt(np.clip(values / bright, 0, 1)), side)
