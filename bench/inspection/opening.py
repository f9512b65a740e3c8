"""From what was asked for to networks and images."""

from dataclasses import dataclass
from pathlib import Path

from bench.data import Dataset
from bench.errors import InputError
from bench.files import from_user
from bench.inspection.examples import EXAMPLES
from bench.inspection.images import Picture, example, from_dataset, from_file, open_images, sample
from bench.inspection.loading import load
from bench.inspection.probes import Probes
from bench.inspection.view import View

LEAST_PROBED = 500


@dataclass(frozen=True)
class Request:
    """What to look into, and at which image.

    Attributes:
        models: one or two names of cards or of timm, or ids of runs.
        image: a path, or the name of an example; None is an image of the dataset, or the first example.
        dataset: where the image, averages and probes come from.
        index, split: which image of the dataset.
        wanted: the class whose evidence is drawn, by name or number; None is the predicted one.
        patch: row and column from 1.
        images: how many images averages take; probes take as many for training and as many for val, and
            LEAST_PROBED at least.
        weights: see `bench.inspection.loading.load`; for all models.
        input_size: side of the images in px, for all models; None is each model's own.
    """

    models: tuple[str, ...]
    image: str | None = None
    dataset: str | None = None
    index: int = 0
    split: str = "val"
    wanted: str | None = None
    patch: tuple[int, int] | None = None
    images: int = 64
    weights: str | None = None
    input_size: int | None = None


def open_views(
    request: Request, *, results: Path, data_dir: Path, weights_dir: Path, device: str
) -> tuple[list[View], Probes | None]:
    """The networks with their image, and what fits probes, where a dataset was named.

    Raises:
        InputError, DataError, WeightsError: something is not there, or does not fit.
    """
    opened = None
    if request.dataset is not None:
        opened = open_images(request.dataset, None, data_dir, results if results.exists() else None)
    picture = picture_of(request, opened)
    averaged = sample(opened, request.split, request.images)
    models = [
        load(
            name,
            weights=request.weights,
            weights_dir=weights_dir,
            results=results,
            data_dir=data_dir,
            shown=opened,
            device=device,
            input_size=request.input_size,
        )
        for name in request.models
    ]
    if request.weights is not None and all(model.run for model in models):
        raise InputError(f"--weights {request.weights}: a run has weights of its own; leave it out")
    views = [View(model, picture, averaged, request.wanted, request.patch) for model in models]
    for view in views:
        view.check()
    if opened is None or not len(opened.splits["val"]):
        return views, None
    return views, Probes(opened, max(request.images, LEAST_PROBED))


def picture_of(request: Request, opened: Dataset | None) -> Picture:
    """The image that was asked for.

    Raises:
        InputError, DataError: it is not there.
    """
    if request.image is not None:
        if request.image in EXAMPLES:
            return example(request.image)
        return from_file(from_user(request.image))
    if opened is not None:
        return from_dataset(opened, request.split, request.index)
    if request.index:
        raise InputError(f"--index {request.index}: needs a dataset (--dataset NAME)")
    return example(next(iter(EXAMPLES)))
