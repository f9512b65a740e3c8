"""Networks of configs that are `deployed`: exported once, then opened in each process that measures them.

The folder of an export has the network's file, images, and the logits that PyTorch gives for these in fp32.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.networks.exportable import Exportable
from bench.profiling.config import NetworkConfig
from bench.profiling.network import TOLERANCE, BadOutput, make_images, make_network
from bench.runtimes import find_runtime

# Images that outputs are checked on, and that int8 is calibrated on; a larger batch repeats them.
IMAGES = 16
CALIBRATION = f"{IMAGES} random images, those that are timed"


Facts = dict[str, Any]


def export(config: NetworkConfig, folder: str) -> Facts:
    """Write the network of a config, with weights from seed 0, for the runtime of the config to a folder.

    int8 is calibrated on the very images that are passed when it is measured, as the weights are random.
    """
    runtime, target = find_runtime(config.runtime), Path(folder)
    network, images = make_network(config), make_images(replace(config, batch_size=IMAGES))
    with torch.inference_mode():
        logits = network(images).float().numpy()
    np.save(target / "images.npy", images.numpy())
    np.save(target / "logits.npy", logits)
    if config.precision != "int8":
        runtime.write(Exportable(network), images[:2], target / runtime.file, ("logits",))
        return {}
    with tempfile.TemporaryDirectory() as plain:
        path = Path(plain) / runtime.file
        runtime.write(Exportable(network), images[:2], path, ("logits",))
        runtime.quantise(path, images.numpy(), target / runtime.file)
    return {}


def open_exported(config: NetworkConfig, folder: str) -> tuple[Callable[[], object], Facts]:
    """A step of the network that `export` has written, on images of the config's batch, and facts for the
    record: error, the distance of its logits from PyTorch's in fp32 over the length of the latter; agreement,
    the share of images whose largest logit is the same; calibration, of int8.

    Raises:
        BadOutput: its logits are not finite, of the wrong shape, or far from PyTorch's.
    """
    runtime, source = find_runtime(config.runtime), Path(folder)
    images, expected = (np.load(source / f"{name}.npy") for name in ("images", "logits"))
    run = runtime.open(source / runtime.file, threads=config.threads, batch_size=config.batch_size)
    # All images are checked, whatever the batch: on a single one agreement would be yes or no.
    count = -(-IMAGES // config.batch_size)
    batches = np.arange(count * config.batch_size).reshape(count, -1) % IMAGES
    logits = np.concatenate([run(images[batch]) for batch in batches])
    error, agreement = check(logits, expected[batches.ravel()], config, runtime.title)
    calibration = CALIBRATION if config.precision == "int8" else None
    timed = images[batches[0]]
    return lambda: run(timed), {"error": error, "agreement": agreement, "calibration": calibration}


def check(logits: np.ndarray, expected: np.ndarray, config: NetworkConfig, title: str) -> tuple[float, float]:
    """The error and the agreement of logits.

    Raises:
        BadOutput: see `open_exported`.
    """
    what = f"logits of {title} in {config.precision}"
    if logits.shape != expected.shape:
        raise BadOutput(f"{what} have shape {logits.shape} in place of {expected.shape}")
    if not np.isfinite(logits).all():
        raise BadOutput(f"{what} are not all finite")
    length = max(float(np.linalg.norm(expected)), float(np.finfo(np.float32).tiny))
    error = float(np.linalg.norm(logits - expected)) / length
    if error > TOLERANCE[config.precision]:
        raise BadOutput(
            f"{what} are {error:.2g} away from PyTorch's in fp32, relative to their length; at most "
            f"{TOLERANCE[config.precision]:g} would do"
        )
    return error, float((logits.argmax(1) == expected.argmax(1)).mean())
