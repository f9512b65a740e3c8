"""External models, whose predictions were made elsewhere, beside the trials of a store."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.predictions import Outputs, Predictions
from bench.analysis.recipe_book import replicates_of
from bench.analysis.statistics import mcnemar, pair_p
from bench.errors import StoreError
from bench.frames import frame
from bench.metrics import added_metrics

if TYPE_CHECKING:
    from bench.store.records.external import ExternalRecord
    from bench.store.records.trials import Result
    from bench.store.run_store import RunStore

EXTERNAL = {
    "name": "str",
    "origin": "str",
    "dataset": "str",
    "split_id": "str",
    "data_copy": "str",
    "classes": "Int64",
    "test_images": "Int64",
    "given": "str",
    "top1": "float64",
    "top1_low": "float64",
    "top1_high": "float64",
    "top5": "float64",
    "mean_per_class": "float64",
    "nll": "float64",
    "ece": "float64",
    "top1_deduplicated": "float64",
    "file": "str",
    "sha256": "str",
    "vcbench": "str",
    "scored": "str",
    **dict.fromkeys(added_metrics(), "float64"),
}
"""Columns of the table of external models, `brought`; `top1_low` and `top1_high` are the interval for
other test images and this one trained network: Wilson's, or over groups where test images belong together."""


FLAT = 1e-9
"""Differences of scores that vary by less than this do so by rounding."""


def correct(store: "RunStore", external: "ExternalRecord") -> np.ndarray:
    """Whether an external model has each test image right (N,), in the order of the split.

    Raises:
        StoreError: a file is damaged.
    """
    right: np.ndarray = _predicted(store, external) == store.labels(external.data)["label"].to_numpy()
    return right


def paired_interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Mean difference of the scores (N,) of the same images or groups, and its 95 % interval over these.

    The paired t interval: for the very networks that gave the scores, and other images like these. Where the
    difference is the same on every image, its ends are those of `statistics.intervals`: what images that
    were not among these could do.
    """
    difference = np.asarray(a, float) - b
    mean, count = float(difference.mean()), len(difference)
    if np.ptp(difference) < FLAT:
        unseen = 1 - 0.025 ** (1 / count)
        return mean, mean - unseen * (mean + 1), mean + unseen * (1 - mean)
    from scipy.stats import ttest_1samp  # loads in half a second

    ends = ttest_1samp(difference, 0).confidence_interval(0.95)
    return mean, float(ends.low), float(ends.high)


def sentence(external: "ExternalRecord", names: dict[tuple[str, str], str]) -> str:
    """What can be cited of an external model; `names` are those of `dataset_names`."""
    data = external.data
    dataset = names[data.dataset, data.fingerprint]
    low, high = (f"{100 * end:.1f}" for end in external.top1_wilson)
    what = "Wilson interval" if external.groups is None else "interval"
    over = "test images" if external.groups is None else f"{external.groups} groups of test images"
    return (
        f"Scored by VCBench {external.vcbench} on the {data.test_images} test images of "
        f"{dataset} ({data.split_id}; {data.data_copy}), {external.id} reaches "
        f"{100 * external.top1:.1f} % top-1 accuracy (95 % {what} {low} to {high} over "
        f"{over}, for this one trained network). Its predictions were brought from outside (sha256 "
        f"{external.sha256[:16]}); how it was trained and chosen is not known here."
    )


def external_table(store: "RunStore", names: dict[tuple[str, str], str]) -> pd.DataFrame:
    """One row an external model, by name; `names` are those of `dataset_names`."""
    rows = []
    for record in store.externals():
        row = record.content() | record.data.content() | record.metrics.content()
        low, high = record.top1_wilson
        row |= {"name": record.id, "data_copy": row["copy"], "top1_low": low, "top1_high": high}
        row["dataset"] = names[row["dataset"], row["fingerprint"]]
        rows.append(row)
    return frame(rows, EXTERNAL)


def beside(store: "RunStore", external: "ExternalRecord") -> list[dict[str, Any]]:
    """An external model against every finished run on the same test images, the best of them first.

    Each is a description of two particular trained networks, by McNemar's exact test (by Student's t over
    groups, where test images belong together) without adjustment for their number; it says nothing of what
    either would do if trained again.

    Returns:
        For each run its id, title, recipe, shots, seed and top1; difference, the external model's top-1 minus
        the run's; only_brought and only_run, images that one of the two alone has right; and p.

    Raises:
        StoreError: a file is damaged.
    """
    predicted, groups = _predicted(store, external), Predictions(store).groups(external.data)
    rows = []
    for record, outputs in _on_the_same_images(store, external):
        right = predicted == outputs.labels
        test = mcnemar(right, outputs.correct)
        rows.append(
            {
                "run": record.id,
                "title": record.model.title,
                "recipe": record.recipe,
                "shots": record.identity.shots,
                "seed": record.identity.seed,
                "top1": float(outputs.correct.mean()),
                "difference": float(np.mean(right) - np.mean(outputs.correct)),
                "only_brought": test.only_a,
                "only_run": test.only_b,
                "p": pair_p(right, outputs.correct, groups),
            }
        )
    return sorted(rows, key=lambda row: (-row["top1"], row["run"]))


def by_model(store: "RunStore", external: "ExternalRecord") -> list[dict[str, Any]]:
    """An external model against the mean of the runs of each model, recipe and size, the best of them first.

    Replicates of a recipe are of one model.

    Returns:
        For each its runs, title, recipe, shots and top1, the mean of its runs; difference, the external
        model's top-1 minus that mean, and low and high, `paired_interval` over test images.

    Raises:
        StoreError: a file is damaged.
    """
    predicted, independent = _predicted(store, external), Predictions(store).independent
    models: dict[str, list[tuple[Result, Outputs]]] = {}
    for record, outputs in _on_the_same_images(store, external):
        models.setdefault(replicates_of(record, store), []).append((record, outputs))
    rows = []
    for runs in models.values():
        record, outputs = runs[0]
        scores = np.mean([own.correct for _, own in runs], axis=0)
        right = (predicted == outputs.labels).astype(float)
        difference, low, high = paired_interval(*(independent(one, external.data) for one in (right, scores)))
        rows.append(
            {
                "runs": [own.id for own, _ in runs],
                "title": record.model.title,
                "recipe": record.recipe,
                "shots": record.identity.shots,
                "top1": float(scores.mean()),
                "difference": difference,
                "low": low,
                "high": high,
            }
        )
    return sorted(rows, key=lambda row: (-row["top1"], row["runs"]))


def _on_the_same_images(store: "RunStore", external: "ExternalRecord") -> "Iterator[tuple[Result, Outputs]]":
    """The finished runs on the test images that an external model was scored on, with their outputs."""
    predictions = Predictions(store)
    for record in store.results():
        outputs = predictions.outputs(record) if record.data.key == external.data.key else None
        if outputs is not None:
            yield record, outputs


def _predicted(store: "RunStore", external: "ExternalRecord") -> np.ndarray:
    """The class predicted for each test image (N,).

    Raises:
        StoreError: the file is not there any more.
    """
    predictions = store.predictions(external)
    if predictions is None:
        raise StoreError(f"{store.predictions_of('brought', external.id)}: is not there any more")
    predicted: np.ndarray = predictions["predicted"].to_numpy()
    return predicted
