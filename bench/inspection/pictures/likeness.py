"""How alike layers are: linear CKA within each network, and across two."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bench.inspection.cka import linear_cka
from bench.inspection.drawing import LIKENESS, bare, scale, sheet
from bench.inspection.images import Sample
from bench.inspection.receptive import feature_maps
from bench.inspection.tokens import NotShown
from bench.inspection.view import View
from bench.report.blocks import Figure

BATCH, FEWEST = 16, 4  # images


def alike(views: Sequence[View]) -> Figure:
    """A matrix of CKA for each pair of the networks, each with itself too."""
    pairs = [(views[0], views[0])]
    if len(views) > 1:
        pairs += [(views[1], views[1]), (views[0], views[1])]
    values = [linear_cka(_features(*pair)).clamp(0, 1).cpu().numpy() for pair in pairs]
    height, right = (66, 16) if len(pairs) > 1 else (84, 70)
    drawing, (axes,) = sheet(height, len(pairs), left=16, right=right, top=8, bottom=12, wspace=0.42)
    frames = []
    for axis, (first, second), matrix in zip(axes, pairs, values, strict=True):
        axis.imshow(
            matrix, vmin=0, vmax=1, cmap=LIKENESS, interpolation="none", aspect="auto", origin="lower"
        )
        bare(axis)
        for names, which in ((first.layer_names, "y"), (second.layer_names, "x")):
            getattr(axis, f"set_{which}ticks")(range(len(names)), [name.split()[-1] for name in names])
        axis.tick_params(length=2, labelsize=6)
        axis.set_ylabel(f"{first.model.card.title}, {first.layer_word}", size=6.5)
        axis.set_xlabel(f"{second.model.card.title}, {second.layer_word}", size=6.5)
        axis.set_title("with itself" if first is second else "one with the other", size=7, pad=3)
        index = np.indices(matrix.shape).reshape(2, -1) + 1
        frames.append(
            pd.DataFrame(
                {"model": first.model.title, "layer": index[0], "other": second.model.title}
                | {"other_layer": index[1], "cka": matrix.ravel().round(4)}
            )
        )
    scale(drawing, axes[-1], 0, 1, "linear CKA", LIKENESS)
    return Figure(
        drawing,
        "-".join(["alike", *(view.model.name for view in views)])[:200],
        f"How alike two layers see the same images: linear CKA, unbiased, in minibatches of {BATCH} (Nguyen "
        f"et al., 2021), over {_sample(views[0]).source}. 1 is alike up to rotation and scale, 0 unrelated. "
        "A network whose layers change little from one to the next is bright in a wide band along the "
        "diagonal.",
        "Heat maps of CKA between layers: " + "; ".join(
            f"{first.model.title} and {second.model.title} from {matrix.min():.2f} to {matrix.max():.2f}"
            for (first, second), matrix in zip(pairs, values, strict=True)
        ) + ".",
        pd.concat(frames, ignore_index=True),
    )  # fmt: skip


def _features(first: View, second: View) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """The feature maps of both networks, batch by batch."""
    images = _sample(first).images
    batch = min(BATCH, len(images))
    if batch < FEWEST:
        raise NotShown(f"it takes {FEWEST} images, and there are {batch}")
    with torch.no_grad():
        for start in range(0, len(images), batch):
            some = images[start : start + batch]
            ours = feature_maps(first.model.network, first.model.inputs(some))
            theirs = (
                ours if first is second else feature_maps(second.model.network, second.model.inputs(some))
            )
            yield ours, theirs


def _sample(view: View) -> Sample:
    """The images that fill whole batches; all where they are fewer than one."""
    count = len(view.sample.images)
    return view.sample.first(max(count - count % BATCH, min(count, BATCH)))
