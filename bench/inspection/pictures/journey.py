"""The class token's journey: what the classifier would say after each block, and what a probe reads."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from bench.inspection.drawing import sheet
from bench.inspection.probes import Probes
from bench.inspection.tokens import NotShown, after_blocks
from bench.inspection.view import View
from bench.report.blocks import Figure
from bench.report.style import INK, MARKERS, SERIES

CLASSES = 5


def early_logits(view: View) -> Figure:
    """Logits read off early: the network's own last norm and classifier after each block."""
    network = view.model.network
    if not hasattr(network, "norm") or not view.tokens.count:
        raise NotShown("its last norm cannot be put after an earlier block")
    with torch.no_grad():
        every = [network.forward_head(network.norm(one)) for one in after_blocks(network, view.input)]
    probabilities = torch.stack([one.softmax(1)[0] for one in every]).cpu().numpy()
    best = np.argsort(-probabilities[-1])[:CLASSES]
    drawing, ((axes,),) = sheet(66, 1, left=13, right=48, top=4, bottom=11)
    blocks = np.arange(1, len(probabilities) + 1)
    for k, one in enumerate(best):
        axes.plot(
            blocks,
            probabilities[:, one],
            color=SERIES[k][0],
            marker="o",
            label=_brief(view.model.classes[one]),
        )
    axes.set_xticks(blocks)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("block after which it is read off")
    axes.set_ylabel("probability")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=6.5)
    leading = [view.model.classes[k] for k in probabilities.argmax(1)]
    others = [name for name in dict.fromkeys(leading) if name != leading[-1]]
    data = pd.DataFrame(
        {"block": np.repeat(blocks, len(best)), "class": [view.model.classes[k] for k in best] * len(blocks)}
        | {"probability": probabilities[:, best].ravel().round(6)}
        | {"leading_class": np.repeat(leading, len(best))}
    )
    return Figure(
        drawing,
        f"{view.model.name}-journey",
        f"{view.model.title}: what the {view.tokens.reader} says after each block, read off by the "
        f"network's own last norm and classifier, for the {len(best)} classes that win in the end. Before, "
        f"others lead: {', '.join(others) or 'none'}.",
        f"Probabilities of {len(best)} classes by block; after the last, {leading[-1]} leads.",
        data,
    )


def probed(views: Sequence[View], probes: Probes) -> Figure:
    """Accuracy of linear probes by depth, of one or two networks."""
    drawing, ((axes,),) = sheet(66, 1, left=13, right=52, top=4, bottom=11)
    frames, texts = [], []
    for k, view in enumerate(views):
        accuracy = probes.accuracy(view)
        layers = np.arange(1, len(accuracy) + 1)
        depth = layers if len(views) == 1 else layers / len(layers)
        name = _brief(view.model.card.title)
        axes.plot(depth, 100 * accuracy, color=SERIES[k][0], marker=MARKERS[k], label=name)
        frames.append(
            pd.DataFrame({"model": view.model.title, "layer": layers, "val_top1": accuracy.round(4)})
        )
        texts.append(
            f"{view.model.title}, the {probes.what(view)} after each {view.layer_word}: from "
            f"{100 * accuracy[0]:.0f} % to {100 * accuracy[-1]:.0f} %"
        )
    axes.axhline(100 * probes.chance, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="guessing")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(views[0].layer_word if len(views) == 1 else "depth, as a share of its blocks or stages")
    axes.set_ylabel("probe accuracy on val, %")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=6.5)
    return Figure(
        drawing,
        "-".join(["probes", *(view.model.name for view in views)])[:200],
        f"Where in depth the classes of {probes.dataset} become linearly separable: top-1 accuracy on "
        f"{probes.val_images} val images of a linear probe fitted to {probes.train_images} train images with "
        f"one fixed strength. {'; '.join(texts)}. The test split is not used.",
        f"Probe accuracy by depth. {'; '.join(texts)}.",
        pd.concat(frames, ignore_index=True),
    )


def _brief(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"
