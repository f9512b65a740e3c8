"""Temperature scaling: one number by which logits are divided, so that probabilities mean what they say.

After Guo et al., 2017 (arXiv 1706.04599). It changes no predicted class.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import Tensor

from bench.data import Dataset
from bench.errors import InputError
from bench.inspection.loading import Loaded

# Temperatures that are looked through.
LOWEST, HIGHEST = 0.05, 20.0
# Images that go through the network at once.
BATCH = 32


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """The temperature with the smallest mean negative log-likelihood; None where that is at an end of those
    that are looked through.

    It is at the lowest where all images are right: the surer, the likelier. It is at the highest where logits
    say next to nothing of the class.

    Args:
        logits: (images, classes).
        labels: (images,).
    """
    logits = logits.astype(np.float64)
    rows = np.arange(len(labels))

    def nll(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    ends = (float(np.log(LOWEST)), float(np.log(HIGHEST)))
    found = minimize_scalar(nll, bounds=ends, method="bounded")
    return None if min(map(nll, ends)) <= found.fun else float(np.exp(found.x))


def logits_of(
    loaded: Loaded, inputs: Iterator[Tensor], progress: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Logits float32 (images, classes), in fp32.

    Args:
        inputs: of an image each, float32 (1, 3, size, size); taken as they are wanted.
        progress: called with how many are done.
    """
    rows: list[Tensor] = []
    with torch.inference_mode():
        while batch := list(islice(inputs, BATCH)):
            rows.append(loaded.network(torch.cat(batch)).float().cpu())
            progress(sum(map(len, rows)))
    return torch.cat(rows).numpy() if rows else np.zeros((0, len(loaded.classes)), np.float32)


def temperature_on_val(
    loaded: Loaded, dataset: Dataset, progress: Callable[[int], None] = lambda done: None
) -> float:
    """The temperature of a run, fitted on the val split of the data that it was trained on.

    Raises:
        InputError: the data are not those of the run, have no val images, or too few or too easy ones to
            tell a temperature.
        DataError: an image is damaged.
    """
    assert loaded.dataset is not None
    name, split_id, fingerprint = loaded.dataset
    if dataset.fingerprint != fingerprint:
        raise InputError(
            f"{name}: the images here are not those that {loaded.title} was trained on; --uncalibrated does "
            "without them"
        )
    positions = dataset.splits["val"]
    if not len(positions):
        raise InputError(f"{name} has no val images to calibrate on; --uncalibrated does without")
    inputs = (loaded.input(dataset.read(int(position))) for position in positions)
    logits, labels = logits_of(loaded, inputs, progress), dataset.labels[positions]
    temperature = fit_temperature(logits, labels)
    if temperature is None:
        right = int((logits.argmax(1) == labels).sum())
        raise InputError(
            f"{name}: its {len(labels)} val images, of which {right} are predicted right, do not tell how "
            f"sure to be: no temperature from {LOWEST} to {HIGHEST:.0f} is best; --uncalibrated does without"
        )
    return temperature
