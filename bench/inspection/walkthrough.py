"""`vcbench explain`: one image through one or two networks, step by step, on a page of its own."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from timm.layers import PatchEmbed

from bench.files import write_text
from bench.inspection import encoding
from bench.inspection.drawing import enlarge, mosaic, unit
from bench.inspection.embeddings import (
    cuts_the_image,
    first_convolution,
    position_similarity,
    principal_filters,
)
from bench.inspection.field_maps import MAP_SIDE, field_maps
from bench.inspection.gallery import PAGES
from bench.inspection.images import Picture
from bench.inspection.pictures.evidence import evidence_of
from bench.inspection.pictures.layers import as_colours
from bench.inspection.tokens import NotShown
from bench.inspection.view import View, spread_over

ATTENTION = 5_600_000  # values of attention that a page holds, over all images
LARGEST_GRID = 16  # rows of patches; larger grids are drawn in squares of patches
CHANNELS, FILTERS = 6, 28
TOP = 5


def explain(views: Sequence[View], pictures: Sequence[Picture], page: Path) -> Path:
    """Write the page; returns it.

    Args:
        views: one network or two, each with the first picture.
        pictures: images that the page lets one choose from, as many as there is room for.

    Raises:
        StoreError: the page cannot be written.
    """
    write_text(page, to_html(views, pictures))
    return page


def to_html(views: Sequence[View], pictures: Sequence[Picture]) -> str:
    """The page: style, script, images and numbers in one file that needs no network."""
    room = [_images_that_fit(view, len(pictures)) for view in views]
    shown = pictures[: min(room)]
    data = {
        "heat": encoding.heat_colours(),
        "images": [{"name": picture.source.rpartition(": ")[2]} for picture in shown],
        "models": [_model(view, shown) for view in views],
    }
    return PAGES.get_template("walkthrough.html").render(
        views=views,
        models=data["models"],
        pictures=shown,
        left_out=len(pictures) - len(shown),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    )


def _model(view: View, pictures: Sequence[Picture]) -> dict[str, Any]:
    """What the page knows of a network: what is the same for all images, and what each gives."""
    steps, missing = view.steps, ""
    try:
        layers, fields = _layers(view), field_maps(view)
    except NotShown as reason:
        layers, fields, missing = [], None, str(reason)
    whole = {"params": sum(step.params for step in steps), "flops": sum(step.flops for step in steps)}
    return {
        "title": view.model.title,
        "size": view.model.size,
        "steps": [asdict(step) for step in steps],
        **whole,
        "filters": _filters(view),
        "tokens": _tokens(view),
        "is_cnn": _is_cnn(view),
        "windows": _windows(view),
        "fields": fields,
        "layers": layers,
        "layers_missing": missing,
        "images": [_image(replace(view, picture=picture)) for picture in pictures],
    }


def _layers(view: View) -> list[dict[str, Any]]:
    """The layers whose maps are drawn: their names, and what lies between the one before and each."""
    layers, done = [], 0
    for name, end in zip(view.layer_names, view.ends, strict=False):
        some = [] if end is None else view.steps[done : end + 1]
        done = done if end is None else max(done, end + 1)
        layers.append(
            {
                "name": name,
                "input": some[0].input if some else None,
                "output": some[-1].output if some else None,
                "params": sum(step.params for step in some),
                "flops": sum(step.flops for step in some),
            }
        )
    return layers


def _image(view: View) -> dict[str, Any]:
    """What one image gives."""
    best = np.argsort(-view.probabilities)[:TOP]
    evidence: dict[str, str]
    try:
        values, kind = evidence_of(view)
        evidence = {"kind": kind, "map": encoding.levels(enlarge(unit(values), MAP_SIDE))}
    except NotShown as reason:
        evidence = {"missing": str(reason)}
    try:
        maps = view.maps
    except NotShown:
        maps = []
    return {
        "shown": encoding.jpeg(view.shown),
        "top": [[view.model.classes[k], round(float(view.probabilities[k]), 4)] for k in best],
        "evidence": evidence,
        "attention": _attention(view),
        "maps": [_channels(one[0].float().cpu().numpy()) for one in maps],
    }


def _tokens(view: View) -> dict[str, Any] | None:
    """The sequence of a network whose attention can be read."""
    try:
        tokens, heads = view.tokens, view.attention.shape[1]
    except NotShown:
        return None
    factor = _factor(view)
    blocks = _blocks(view)
    try:
        similar = position_similarity(view.model.network, tokens)
        flat = ((similar + 1) / 2).reshape(tokens.patches, tokens.patches).cpu().numpy()
        positions = encoding.levels(flat) if factor == 1 else None
    except NotShown:
        positions = None
    return {
        "names": tokens.names,
        "deciding": tokens.deciding,
        "reader": tokens.reader,
        "stem": not cuts_the_image(view.model.network),
        "cut": tokens.grid,
        "patch": tokens.patch,
        "grid": _squares(view),
        "factor": factor,
        "heads": heads,
        "blocks": [k + 1 for k in blocks],
        "positions": positions,
    }


def _is_cnn(view: View) -> bool:
    """Whether no layer attends or reads patches."""
    modules = view.model.network.modules()
    return not any(hasattr(one, "num_heads") or isinstance(one, PatchEmbed) for one in modules)


def _windows(view: View) -> dict[str, Any] | None:
    """How the image is cut and which tokens attend to each other first, of a network with windows."""
    if not view.windows:
        return None
    first = view.windows[0]
    return {"cut": first.grid, "patch": first.patch, "window": first.window}


def _attention(view: View) -> list[dict[str, str]] | None:
    """A picture a block: heads one below the other, a row a token that attends; and the peaks of the rows."""
    try:
        tokens, attention = view.tokens, view.attention
    except NotShown:
        return None
    every = [encoding.pooled(attention[k], tokens.prefix, tokens.grid, _factor(view)) for k in _blocks(view)]
    to_patches = [one[..., tokens.prefix :] for one in every]
    return [{"rows": encoding.rows_of_attention(one), "peaks": encoding.peaks(one)} for one in to_patches]


def _factor(view: View) -> int:
    return -(-max(view.tokens.grid) // LARGEST_GRID)


def _squares(view: View) -> list[int]:
    """Rows and columns of squares of patches; the last ones may be smaller."""
    return [-(-side // _factor(view)) for side in view.tokens.grid]


def _values_a_block(view: View) -> int:
    patches = math.prod(_squares(view))
    return view.attention.shape[1] * patches * (patches + view.tokens.prefix)


def _blocks(view: View) -> Sequence[int]:
    """Those whose attention the page holds."""
    return spread_over(len(view.attention), max(1, ATTENTION // _values_a_block(view)))


def _images_that_fit(view: View, most: int) -> int:
    try:
        return int(np.clip(ATTENTION // (_values_a_block(view) * len(_blocks(view))), 1, most))
    except NotShown:
        return most


def _filters(view: View) -> dict[str, Any] | None:
    """The filters of the first layer, of a patch embedding their principal components."""
    try:
        weight = first_convolution(view.model.network).weight.detach().cpu()
    except NotShown:
        return None
    components = cuts_the_image(view.model.network)
    filters = principal_filters(weight, FILTERS)[0] if components else weight.double()[: 2 * FILTERS]
    columns = 14 if components else 16
    rows = -(-len(filters) // columns)
    tiles = np.full((rows * columns, *filters.shape[2:], 3), np.nan)
    tiles[: len(filters)] = np.stack([as_colours(one) for one in filters])
    picture = mosaic(tiles.reshape(rows, columns, *tiles.shape[1:]), gap=0.15)
    return {
        "picture": encoding.coloured(picture),
        "count": len(filters),
        "of": weight.shape[0],
        "side": weight.shape[2],
        "components": components,
    }


def _channels(maps: np.ndarray) -> dict[str, Any]:
    """The channels (channels, h, w) that vary most, one below the other, each from its least value."""
    order = np.argsort(-maps.std((1, 2)))[:CHANNELS]
    chosen = [unit(maps[k] - maps[k].min()) for k in order]
    side = min(MAP_SIDE, max(maps.shape[1:]))
    small = [one if max(one.shape) <= side else enlarge(one, side) for one in chosen]
    return {
        "picture": encoding.levels(np.concatenate(small)),
        "channels": [int(k) + 1 for k in order],
        "of": len(maps),
        "shape": list(maps.shape[1:]),
    }
