"""A network of one's own on a test split: predicted, kept in the store, and compared with its runs."""

import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from bench.analysis.external import by_model, sentence
from bench.analysis.names import dataset_names
from bench.errors import InputError
from bench.exchange.external import check_external, keep_external, opened_test_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.data import Dataset
    from bench.store.run_store import RunStore

Transform = Callable[[Image.Image], torch.Tensor]
Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Score:
    """What a network gave on a test split.

    Attributes:
        name: under which the store keeps its predictions.
        metrics: top1, top5, mean_per_class and ece in 0..1, nll in nats, by name.
        text: a sentence that can be cited.
        against: one row a stored model, recipe and size on the same test images, the best first: `title`,
            `recipe`, `shots`, `runs` (how many), `top1` (their mean), `difference` (this network minus
            them), and its 95 % interval over test images, `low` to `high`.
    """

    name: str
    metrics: dict[str, float | None]
    text: str
    against: pd.DataFrame

    @property
    def top1(self) -> float:
        """Accuracy, in 0..1."""
        top1 = self.metrics["top1"]
        assert top1 is not None
        return top1

    def __repr__(self) -> str:
        table = self.against.to_string(index=False) if len(self.against) else "No stored run to compare with."
        return f"{self.text}\n\n{table}"

    def _repr_html_(self) -> str:
        from markupsafe import escape

        return f"<p>{escape(self.text)}</p>{self.against.to_html(index=False, float_format='{:.4f}'.format)}"


def evaluate(
    model: Network,
    transform: Transform | None,
    dataset: "Dataset",
    store: "RunStore",
    name: str,
    batch_size: int = 64,
) -> Score:
    """Predict the test split, keep the predictions in the store, and compare them with its runs.

    Raises:
        InputError: images or outputs do not have the shape that they should have; the name is taken.
        StoreError: the store cannot be written.
    """
    check_external(store, name, dataset.split_id)
    probabilities = predict(model, transform, dataset, batch_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outputs.parquet"
        rows = {"image": np.arange(len(probabilities)), "probabilities": list(probabilities)}
        pd.DataFrame(rows).to_parquet(path)
        record = keep_external(store, path, name, opened_test_set(dataset))
    names = dataset_names([*store.results(), *store.externals()])
    columns = ["title", "recipe", "shots", "runs", "top1", "difference", "low", "high"]
    rows_against = [row | {"runs": len(row["runs"])} for row in by_model(store, record)]
    against = pd.DataFrame(rows_against, columns=columns).astype({"shots": "Int64"})
    return Score(record.id, record.metrics.content(), sentence(record, names), against)


def predict(
    model: Network, transform: Transform | None, dataset: "Dataset", batch_size: int = 64
) -> np.ndarray:
    """Probabilities float64 (test images, classes), in the order of the test split.

    Args:
        model: float (batch, channels, h, w) to logits (batch, classes). A module is in eval mode while it
            predicts and gets its batches where its parameters are; anything else gets them on the CPU.
        transform: a PIL image to (channels, h, w); None gives RGB in 0..1 in the size of the image.

    Raises:
        InputError: images of a batch differ in size, the outputs are no finite (batch, classes), or the batch
            has no image.
        DataError: an image is damaged.
    """
    if batch_size < 1:
        raise InputError(f"batch_size = {batch_size}: should be 1 or more")
    positions, classes = dataset.splits["test"], len(dataset.class_names)
    logits = []
    with _evaluating(model) as device, torch.inference_mode():
        for start in range(0, len(positions), batch_size):
            batch = [_image(dataset, int(i), transform) for i in positions[start : start + batch_size]]
            if len(shapes := {tuple(image.shape) for image in batch}) > 1:
                raise InputError(
                    f"test images of {dataset.name} have the sizes {sorted(shapes)[:3]}; give a transform "
                    "that makes them equal"
                )
            outputs = model(torch.stack(batch).to(device))
            shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
            if shape != (len(batch), classes):
                raise InputError(
                    f"the model gives {shape} for a batch of {len(batch)} images of {dataset.name}; should "
                    f"be logits {(len(batch), classes)}"
                )
            if not outputs.isfinite().all():
                wrong = start + int((~outputs.isfinite().all(1)).nonzero()[0])
                raise InputError(f"the model gives outputs that are not finite, first for test image {wrong}")
            logits.append(outputs.double().cpu())
    return torch.cat(logits).softmax(1).numpy()


def _image(dataset: "Dataset", i: int, transform: Transform | None) -> torch.Tensor:
    pixels = dataset.read(i)
    if transform is None:
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    image: Any = transform(Image.fromarray(pixels))
    if not isinstance(image, torch.Tensor):
        raise InputError(f"the transform gives {type(image).__name__}; should be a tensor (channels, h, w)")
    return image


@contextmanager
def _evaluating(model: Network) -> "Iterator[torch.device]":
    """Eval mode for a module, and then its own mode again; gives the device of its batches."""
    if not isinstance(model, torch.nn.Module):
        yield torch.device("cpu")
        return
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield next((p.device for p in model.parameters()), torch.device("cpu"))
    finally:
        for part in training:
            part.training = True
