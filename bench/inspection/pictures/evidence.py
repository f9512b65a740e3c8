"""Which parts of the image speak for a class, of one or two networks beside each other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.inspection.attention import by_gradient
from bench.inspection.drawing import SIGNED, enlarge, over, scale, sheet, show, unit
from bench.inspection.evidence import grad_cam, occlusion
from bench.inspection.tokens import NotShown
from bench.inspection.view import View
from bench.report.blocks import Figure


def class_evidence(views: Sequence[View]) -> Figure:
    """Grad-CAM of a CNN, gradient-weighted attention of a ViT."""
    made = [(view, *evidence_of(view)) for view in views]
    drawing, (axes,) = sheet(
        10 + 168 / (len(made) + 1 if len(made) > 1 else 3), len(made) + 1 if len(made) > 1 else 3,
        top=7, bottom=8, wspace=0.05,
    )  # fmt: skip
    show(axes[0], views[0].shown, "image", views[0].picture.label or "")
    for axis in axes[len(made) + 1 :]:
        axis.set_visible(False)
    for axis, (view, values, kind) in zip(axes[1:], made, strict=False):
        show(
            axis,
            over(view.shown, unit(values)),
            view.model.card.title,
            f"{kind} for {view.target_text}",
        )
    frames = [_frame(view, values, "evidence") for view, values, _ in made]
    kinds = "; ".join(f"{view.model.title}: {kind}" for view, _, kind in made)
    return Figure(
        drawing,
        "-".join(["evidence", *(view.model.name for view in views)])[:200],
        f"What speaks for the class, {kinds}. Each map is scaled to its largest value. It shows what the "
        "output depends on at first order, which need not be why it is right.",
        "The image with heat maps over it: "
        + "; ".join(f"{view.model.title} for {view.target_text}" for view, _, _ in made)
        + ".",
        pd.concat(frames, ignore_index=True),
    )


def evidence_of(view: View) -> tuple[np.ndarray, str]:
    """A map (h, w), not negative, and what it is.

    Raises:
        NotShown: the network has neither attention over the image nor a feature map at its end.
    """
    try:
        tokens = view.tokens
        view.attention  # noqa: B018
    except NotShown:
        cam = grad_cam(view.model.network, view.input, view.target)
        return cam.cpu().numpy(), "Grad-CAM"
    relevance = by_gradient(view.reader, view.input, view.target).cpu()
    return tokens.on_grid(tokens.read(relevance)).numpy(), "gradient-weighted attention"


def occluded(views: Sequence[View]) -> Figure:
    """What is lost of a class's probability where a box of the image is covered."""
    made = []
    for view in views:
        size = view.model.size
        box, stride = max(2, size // 7), max(1, size // 14)
        covered, _ = occlusion(view.model.network, view.input, view.target, box, stride)
        made.append((view, covered.cpu().numpy(), box))
    most = max(max(float(np.abs(lost).max()) for _, lost, _ in made), 1e-6)
    wide = len(made) + 1 if len(made) > 1 else 3
    drawing, (axes,) = sheet(10 + 160 / wide, wide, top=7, bottom=8, right=18, wspace=0.05)
    show(axes[0], views[0].shown, "image", views[0].picture.label or "")
    for axis in axes[len(made) + 1 :]:
        axis.set_visible(False)
    for axis, (view, lost, box) in zip(axes[1:], made, strict=False):
        show(axis, _pale(view.shown), view.model.card.title, f"for {view.target_text}")
        axis.imshow(
            _spread(lost, view.model.size, box),
            cmap=SIGNED,
            vmin=-most,
            vmax=most,
            alpha=0.72,
            interpolation="none",
        )
    scale(drawing, axes[len(made)], -most, most, "probability lost", SIGNED)
    frames = [_frame(view, lost, "probability_lost") for view, lost, _ in made]
    return Figure(
        drawing,
        "-".join(["occlusion", *(view.model.name for view in views)])[:200],
        f"What is lost where it is covered: a box of {made[0][2]} px in the mean colour is moved over the "
        "image, and the probability of the class is read each time. Red is where covering takes "
        "probability away, blue where it adds some.",
        "The image with maps of the probability lost by covering each part, from "
        + ", ".join(f"{lost.min():.2f} to {lost.max():.2f} for {view.model.title}" for view, lost, _ in made)
        + ".",
        pd.concat(frames, ignore_index=True),
    )


def _pale(image: np.ndarray) -> np.ndarray:
    """The image in pale grey, to stand behind a map."""
    grey = image.mean(2, keepdims=True) / 255
    pale: np.ndarray = np.repeat(0.55 + 0.4 * grey, 3, axis=2)
    return pale


def _spread(lost: np.ndarray, size: int, box: int) -> np.ndarray:
    """Values of boxes at the places of their middles, in an image of `size` px; NaN at the edge."""
    whole = np.full((size, size), np.nan)
    low, high = float(lost.min()), float(lost.max())
    edge = box // 2 - box // 4
    inner = size - 2 * edge
    span = high - low or 1.0
    whole[edge : edge + inner, edge : edge + inner] = low + span * enlarge((lost - low) / span, inner)
    return whole


def _frame(view: View, values: np.ndarray, name: str) -> pd.DataFrame:
    index = np.indices(values.shape).reshape(2, -1) + 1
    return pd.DataFrame(
        {"model": view.model.title, "class": view.model.classes[view.target], "row": index[0]}
        | {"column": index[1], name: values.ravel().round(6)}
    )
