"""Which parts of an image speak for a class: Grad-CAM, and what covering each part takes away."""

from typing import Any

import torch
from torch import Tensor

from bench.inspection.tokens import NotShown


def grad_cam(network: Any, image: Tensor, target: int) -> Tensor:
    """Grad-CAM (Selvaraju et al., 2017) on the last feature map before pooling, (h, w), not negative.

    Args:
        image: (1, 3, size, size).
        target: the class.

    Raises:
        NotShown: there is no feature map at the end.
    """
    with torch.enable_grad():
        features = network.forward_features(image)
        if not isinstance(features, Tensor) or features.ndim != 4:
            raise NotShown("it ends in no feature map")
        logits = network.forward_head(features)
        (gradient,) = torch.autograd.grad(logits[0, target], features)
    if getattr(network, "output_fmt", "NCHW") == "NHWC":
        features, gradient = features.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * features).sum(1)[0].clamp(min=0).detach()


def occlusion(
    network: Any, image: Tensor, target: int, box: int, stride: int, batch: int = 32
) -> tuple[Tensor, float]:
    """How much of a class's probability is lost where a box of the image is covered with the mean colour.

    Args:
        image: (1, 3, size, size), normalised, so that 0 is the mean colour.
        box, stride: side of the box and distance between two of them, in px.

    Returns:
        Probability lost, (rows, columns), negative where it gains; and the probability of the whole image.
    """
    size = image.shape[-1]
    starts = range(0, size - box + 1, stride)
    corners = [(top, left) for top in starts for left in starts]
    lost = []
    with torch.no_grad():
        whole = float(network(image).softmax(1)[0, target])
        for first in range(0, len(corners), batch):
            some = corners[first : first + batch]
            covered = image.repeat(len(some), 1, 1, 1)
            for one, (top, left) in zip(covered, some, strict=True):
                one[:, top : top + box, left : left + box] = 0
            lost.append(whole - network(covered).softmax(1)[:, target])
    return torch.cat(lost).reshape(len(starts), len(starts)).clone(), whole
