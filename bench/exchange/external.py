"""Somebody else's predictions on a test split: checked, measured, and kept in the store.

    import pandas as pd, torch, torchvision
    test = torchvision.datasets.Flowers102("data", split="test", transform=my_transform)
    rows = []
    for position, (pixels, label) in enumerate(test):
        with torch.inference_mode():
            probabilities = my_model(pixels[None]).softmax(1)[0]
        rows.append({"image": position, "probabilities": probabilities.tolist(), "label": label})
    pd.DataFrame(rows).to_parquet("mine.parquet")
    # vcbench score mine.parquet --dataset flowers102 --split-id official

Columns: `image`, the place in the test split from 0, or `filename`, the file as `vcbench data list DATASET`
names it (its last part will do where that is unambiguous), each once, in any order, as a column or as the
index; `predicted`, the class from 0 or its name, or `probabilities`, a list of one number a class (of equal
ones the first counts), or both; `label`, the true class or its name, is optional and checked.
Which image is which place, and which class which number: `vcbench data list DATASET --split test`. Classes of
a folder come in the order of their names as text: 1, 10, 2. Any framework can write such a file.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from bench import __version__
from bench.analysis.statistics import share_interval
from bench.errors import InputError, StoreError, did_you_mean, shortened
from bench.files import sha256_file
from bench.metrics import added_metrics
from bench.metrics.accuracy import compact, deduplicated_top1, score
from bench.spec.kfold import read_kfold
from bench.store.lookup import known_ids
from bench.store.parquet import MOST_VALUES, read_parquet
from bench.store.predictions import save_predictions
from bench.store.records.base import FORMAT, Data
from bench.store.records.external import NAME, ExternalRecord
from bench.store.run_store import RunStore

if TYPE_CHECKING:
    from bench.data import Dataset

DATA = ("dataset", "split_id", "fingerprint", "copy", "classes", "test_images")
METRICS = ("top1", "top5", "mean_per_class", "nll", "ece", "top1_deduplicated")
COLUMNS = ("image", "filename", "predicted", "probabilities", "label")
# Probabilities in 16 bits, rounded one by one, add up to 1 within this.
SUM_TOLERANCE = 0.01
# As many digits as people give of the id of a run.
ID_DIGITS = 6


@dataclass(frozen=True)
class TestSet:
    """The test split that predictions are scored on.

    Attributes:
        data: as in the record of a trial.
        labels: int64 (n,), in the order of the split.
        duplicates: positions to leave out of a deduplicated score, or None where nobody has looked.
        class_names: in the order of the labels, or None where they are not known.
        groups: which images belong together, int (n,); None where each stands for itself.
        files: the file of each image, as `vcbench data list` names it; None where the data was not opened.
    """

    __test__ = False  # no test case, whatever its name

    data: Data
    labels: np.ndarray
    duplicates: np.ndarray | None
    class_names: list[str] | None = None
    groups: np.ndarray | None = None
    files: list[str] | None = None


@dataclass(frozen=True)
class GivenPredictions:
    """Checked predictions in the order of the split: classes (n,) and probabilities (n, classes) or None."""

    predicted: np.ndarray
    probabilities: np.ndarray | None


def stored_test_set(store: RunStore, dataset: str, split_id: str) -> TestSet | None:
    """The test split as the store's runs have it; None where it has none, or of more than one copy."""
    records = [r for r in store.results() if (r.data.dataset, r.data.split_id) == (dataset, split_id)]
    if len({record.data.fingerprint for record in records}) != 1:
        return None
    data = next((record.data for record in records if record.outcome == "finished"), None)
    if data is None:
        return None
    frame = store.labels(data)
    duplicates = np.flatnonzero(frame["duplicate"]) if "duplicate" in frame else None
    labels = frame["label"].to_numpy().astype(np.int64)
    own = {name: value for name, value in data.content().items() if name in DATA}
    groups = frame["group"].to_numpy() if "group" in frame else None
    return TestSet(Data(**own), labels, duplicates, store.class_names(data), groups)


def opened_test_set(dataset: "Dataset") -> TestSet:
    """The test split of an opened dataset."""
    labels = dataset.split_labels("test")
    data = Data(
        dataset=dataset.name,
        split_id=dataset.split_id,
        fingerprint=dataset.fingerprint,
        copy=dataset.copy,
        classes=len(dataset.class_names),
        test_images=len(labels),
    )
    positions = dataset.splits["test"].tolist()
    files = [unicodedata.normalize("NFC", dataset.file(image)) for image in positions]
    groups = None if dataset.groups is None else dataset.groups[dataset.splits["test"]]
    return TestSet(data, labels, dataset.duplicates, dataset.class_names, groups, files)


def names_files(path: Path) -> bool:
    """Whether a file of predictions names images by their files, so that the data has to be opened for it."""
    try:
        return "filename" in pa.parquet.read_schema(path).names
    except (pa.ArrowInvalid, OSError):
        return False  # `read_predictions` says so


def read_predictions(path: Path, test: TestSet) -> GivenPredictions:
    """The predictions of a file, checked and put into the order of the split.

    Raises:
        InputError: the file cannot be read, or is not of the form described above.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; its form is shown by: vcbench score --help")
    count, classes = len(test.labels), test.data.classes
    try:
        most = max(MOST_VALUES, 2 * count * (classes + len(COLUMNS)))
        frame = read_parquet(path, path.read_bytes(), most=most).to_pandas()
    except StoreError as error:
        raise InputError(f"{error}; should be a Parquet file: vcbench score --help") from error
    # Damaged metadata of pandas within the file gives all of these.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error})") from error
    if frame.index.name in ("image", "filename") and frame.index.name not in frame:
        frame = frame.reset_index()
    for name in frame.columns:
        if name not in COLUMNS:
            raise InputError(f'{path}: unknown column "{name}"; should be among {", ".join(COLUMNS)}')
    if not {"image", "filename"} & set(frame.columns) or not {"predicted", "probabilities"} & set(
        frame.columns
    ):
        have = ", ".join(map(str, frame.columns)) or "none"
        raise InputError(
            f'{path}: should have a column "image" or "filename" and one of "predicted" and "probabilities"; '
            f"it has: {have}"
        )
    if "image" in frame:
        images = _whole(frame["image"], path, "image", count)
    else:
        images = _positions(frame["filename"], path, test)
    _each_once(images, path, count)
    frame = frame.iloc[np.argsort(images)]
    if "label" in frame:
        _right_labels(_classes(frame["label"], path, "label", test, None), path, test)
    probabilities = None
    if "probabilities" in frame:
        probabilities = _probabilities(frame["probabilities"], path, classes)
        likeliest = probabilities.argmax(1)
    if "predicted" not in frame:
        return GivenPredictions(likeliest, probabilities)
    predicted = _classes(frame["predicted"], path, "predicted", test, classes)
    if probabilities is None:
        return GivenPredictions(predicted, None)
    own = np.take_along_axis(probabilities, predicted[:, None], 1)[:, 0]
    if (wrong := np.flatnonzero(own < probabilities.max(1))).size:
        raise InputError(
            f'{path}: "predicted" is not the most probable class for {wrong.size} images, '
            f"first image {wrong[0]}: {predicted[wrong[0]]}, not {likeliest[wrong[0]]}"
        )
    return GivenPredictions(likeliest, probabilities)


def measure(given: GivenPredictions, test: TestSet) -> dict[str, float | None]:
    """The metrics of `bench.metrics.accuracy`; those that need probabilities are None without them."""
    logits = _logits(given, test.data.classes)
    metrics: dict[str, float | None] = dict.fromkeys(METRICS) | score(logits, test.labels)
    metrics["top1_deduplicated"] = deduplicated_top1(logits, test.labels, test.duplicates)
    if given.probabilities is None:
        metrics |= dict.fromkeys(("top5", "nll", "ece", *added_metrics()))
    return metrics


def check_external(store: RunStore, name: str, split_id: str) -> None:
    """Refuse what cannot be kept whatever the predictions are, before they are made.

    Raises:
        InputError: the name cannot be a folder's, or is that of a run; the split is one of folds.
        StoreError: the folder of the store holds something else.
    """
    store.refuse_strangers()
    if not re.fullmatch(NAME, name):
        raise InputError(
            f'--name "{shortened(name)}": should be of at most 100 letters, digits, ".", "_" and "-"'
        )
    ids = known_ids(store)
    if len(name) >= ID_DIGITS and (taken := [run for run in ids if run.startswith(name.lower())]):
        raise InputError(
            f'--name "{name}": is how the id of a run begins ({min(taken)}); choose another name'
        )
    if read_kfold(split_id) is not None:
        raise InputError(
            f"split id {split_id}: in folds every image is trained on and tested; predictions that "
            "were made elsewhere need a test split of their own"
        )


def keep_external(store: RunStore, path: Path, name: str, test: TestSet) -> ExternalRecord:
    """Check and measure a file of predictions and keep it under this name; returns its record.

    Raises:
        InputError: as `read_predictions`; the name cannot be a folder's, or other predictions have it.
        StoreError: the store cannot be written.
    """
    check_external(store, name, test.data.split_id)
    given = read_predictions(path, test)
    folder = store.folder_of("brought", name)
    content = sha256_file(path)
    if store.record_of("brought", name).exists():
        old = store.external(name)
        if old is None or old.sha256 != content or old.data != test.data:
            raise InputError(f"--name {name}: {folder} holds other predictions; choose another name")
        return old
    metrics = measure(given, test)
    top1 = metrics["top1"]
    assert top1 is not None
    record = {
        "format": FORMAT,
        "kind": "brought",
        "id": name,
        "origin": "brought from outside",
        "file": path.name,
        "sha256": content,
        "given": "predicted" if given.probabilities is None else "probabilities",
        "data": test.data.content(),
        "metrics": metrics,
        "top1_wilson": list(share_interval(given.predicted == test.labels, test.groups)),
        "groups": None if test.groups is None else len(np.unique(test.groups)),
        "vcbench": __version__,
        "scored": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.prepare()
    store.write_labels(*test.data.key, test.labels, test.duplicates, groups=test.groups)
    if given.probabilities is None:
        columns = {"predicted": given.predicted.astype(np.uint16)}
    else:
        columns = compact(_logits(given, test.data.classes), test.labels)
    save_predictions(columns, store.predictions_of("brought", name))
    return store.finish_external(name, record)


def _logits(given: GivenPredictions, classes: int) -> np.ndarray:
    """Log-probabilities; a probability of 0 is the smallest number. Of classes alone: certainty."""
    if given.probabilities is None:
        return np.eye(classes)[given.predicted]
    return np.log(np.maximum(given.probabilities, np.finfo(np.float64).tiny))


def _whole(column: pd.Series, path: Path, name: str, below: int | None) -> np.ndarray:
    """A column of whole numbers from 0, under `below` if given."""
    if not pd.api.types.is_integer_dtype(column.dtype) or column.isna().any():
        raise InputError(f'{path}: column "{name}" should be whole numbers without gaps, not {column.dtype}')
    values = column.to_numpy().astype(np.int64)
    end = f"to {below - 1}" if below is not None else "up"
    wrong = values[(values < 0) | (values >= below if below is not None else False)]
    if wrong.size:
        raise InputError(f'{path}: column "{name}" should count from 0 {end}; {wrong[0]} is outside')
    return values


def _classes(column: pd.Series, path: Path, name: str, test: TestSet, below: int | None) -> np.ndarray:
    """A column of classes as their numbers, which may be given by their names."""
    if test.class_names is None or pd.api.types.is_numeric_dtype(column.dtype):
        return _whole(column, path, name, below)
    number = {known: label for label, known in enumerate(test.class_names)}
    given = [unicodedata.normalize("NFC", str(value)) for value in column]
    unknown = next((value for value in given if value not in number), None)
    if unknown is not None:
        raise InputError(
            f'{path}: column "{name}" has "{unknown}", which is no class of {test.data.dataset}'
            f"{did_you_mean(unknown, number)} (see: vcbench data list)"
        )
    return np.array([number[value] for value in given], dtype=np.int64)


def _positions(column: pd.Series, path: Path, test: TestSet) -> np.ndarray:
    """The position in the test split of each file name, which may lack folders in front or have more."""
    if test.files is None:
        raise InputError(f'{path}: column "filename" needs the images; give "image", the place in the split')
    by_end: dict[str, list[int]] = {}
    for position, file in enumerate(test.files):
        for end in _ends(file):
            by_end.setdefault(end, []).append(position)
    whole = {file: [position] for position, file in enumerate(test.files)}
    positions: list[int] = []
    for name in column:
        given = unicodedata.normalize("NFC", str(name)).replace("\\", "/")
        known = by_end.get(given) or next((whole[end] for end in _ends(given) if end in whole), [])
        if len(known) != 1:
            what = f"{len(known)} test images" if known else "no test image"
            raise InputError(
                f'{path}: column "filename" has "{name}", the name of {what} of {test.data.dataset} '
                f"({test.data.split_id}); should be as in: vcbench data list"
            )
        positions += known
    return np.array(positions, dtype=np.int64)


def _ends(file: str) -> list[str]:
    """A path without its first folders, none or more of them: a/b/c, b/c and c."""
    parts = file.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _each_once(images: np.ndarray, path: Path, count: int) -> None:
    rows = np.bincount(images, minlength=count)
    for what, wrong in (("more than one row", rows > 1), ("no row", rows == 0)):
        if wrong.any():
            raise InputError(
                f"{path}: {wrong.sum()} of the {count} test images have {what}, first image "
                f"{wrong.argmax()}; should be each image once"
            )


def _right_labels(labels: np.ndarray, path: Path, test: TestSet) -> None:
    wrong = np.flatnonzero(labels != test.labels)
    if not wrong.size:
        return
    first = wrong[0]
    hint = (
        "; they count from 1, and should from 0"
        if np.array_equal(labels, test.labels + 1)
        else "; are images and classes in the order of: vcbench data list --split test?"
    )
    raise InputError(
        f"{path}: {wrong.size} of {len(labels)} labels are not those of {test.data.dataset} "
        f"({test.data.split_id}), first image {first}: {labels[first]}, not {test.labels[first]}{hint}"
    )


def _probabilities(column: pd.Series, path: Path, classes: int) -> np.ndarray:
    """A column of lists as (n, classes)."""
    lengths = {len(row) if isinstance(row, np.ndarray | list) else 0 for row in column}
    if lengths != {classes}:
        raise InputError(
            f'{path}: column "probabilities" should be lists of {classes} numbers, '
            f"not of {', '.join(map(str, sorted(lengths)))}"
        )
    rows = np.stack(column.to_list())
    if not np.issubdtype(rows.dtype, np.number):
        raise InputError(f'{path}: column "probabilities" should be numbers, not {rows.dtype}')
    values = rows.astype(np.float64)
    fits = np.isfinite(values).all(1) & (values >= 0).all(1) & (abs(values.sum(1) - 1) <= SUM_TOLERANCE)
    if not fits.all():
        raise InputError(
            f"{path}: probabilities of {(~fits).sum()} images are below 0, not finite, or do not add up "
            f"to 1, first image {(~fits).argmax()}; apply softmax to logits"
        )
    return values
