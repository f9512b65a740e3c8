"""A trained network in int8, as a runtime of exported networks runs it on the CPU."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.networks.exportable import Exportable
from bench.runtimes import Run, Runtime, find_runtime
from bench.training.inputs import Inputs
from bench.training.observer import Stopped

# Training images on which the ranges of activations are taken; all of them where there are fewer.
CALIBRATION_IMAGES = 128
BATCH = 32


@dataclass(frozen=True)
class QuantisedModel:
    """See `bench.training.model.Model`; `calibration` are positions of training images, int64 (n,).

    A stopped evaluation begins anew, with the same result: quantisation draws nothing at random.
    """

    network: nn.Module
    inputs: Inputs
    runtime: Runtime
    calibration: np.ndarray
    run: Run
    folder: TemporaryDirectory[str]

    def logits(self, split: str) -> np.ndarray:
        """See `bench.training.model.Model`."""
        images = self.inputs.images(split)
        rows = []
        for start in range(0, len(images), BATCH):
            if self.inputs.observer.should_stop():
                raise Stopped
            indices = np.arange(start, min(start + BATCH, len(images)))
            rows.append(self.run(self.inputs.pipeline.evaluate(images.batch(indices)).numpy()))
            phase = f"evaluating {split}, {self.inputs.condition}"
            self.inputs.observer.progress(phase, int(indices[-1]) + 1, len(images))
        return np.concatenate(rows)

    def by_head(self, split: str) -> dict[str, np.ndarray]:
        """See `bench.training.model.Model`; heads are not told apart."""
        return {"all": self.logits(split)}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `bench.training.model.Model`: the weights before they were quantised."""
        return self.network.state_dict()

    def details(self) -> dict[str, Any]:
        """See `bench.training.model.Model`."""
        return {
            "runtime": self.runtime.name,
            "device": "cpu",
            "runtime_versions": self.runtime.versions(),
            "calibration": f"{len(self.calibration)} training images",
        }


def quantise(network: nn.Module, inputs: Inputs, runtime: str) -> QuantisedModel:
    """Export a network, quantise it and open it.

    It is calibrated on images of the trial's own training subset, evenly spaced in it, without their labels.

    Args:
        network: with its trained weights.
        inputs: that open the training split, beside the one to predict.
    """
    inputs = replace(inputs, device="cpu", _images={})
    library = find_runtime(runtime)
    exportable = Exportable(network.cpu().float().to(memory_format=torch.contiguous_format))
    positions = inputs.positions_of("train")
    count = min(CALIBRATION_IMAGES, len(positions))
    chosen = positions[np.linspace(0, len(positions) - 1, count).round().astype(int)]
    images = inputs.pipeline.evaluate(inputs.images_at("train", chosen).batch(np.arange(count)))
    folder = TemporaryDirectory()
    plain, int8 = (Path(folder.name) / name / library.file for name in ("fp32", "int8"))
    for path in (plain, int8):
        path.parent.mkdir()
    library.write(exportable, images[[0, -1]], plain, ("logits",))
    library.quantise(plain, images.numpy(), int8)
    run = library.open(int8, threads=torch.get_num_threads())
    return QuantisedModel(network, inputs, library, chosen, run, folder)
