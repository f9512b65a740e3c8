"""What tables and pages call a dataset: two folders of one name must not look like one dataset."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.store.records.external import ExternalRecord
    from bench.store.records.listing import Listing
    from bench.store.records.trials import Result


TITLES = {"cifar100": "CIFAR-100", "flowers102": "Flowers102"}
"""Datasets that people write otherwise than we name them."""


def dataset_title(name: str) -> str:
    """A dataset as people write it."""
    return TITLES.get(name, name)


def dataset_names(records: "Iterable[Result | ExternalRecord]") -> dict[tuple[str, str], str]:
    """What to call each dataset among the records of a store, by its name and fingerprint.

    A name that stands for more than one content has the beginning of the fingerprint behind it.
    """
    contents: dict[str, set[str]] = defaultdict(set)
    for record in records:
        contents[record.data.dataset].add(record.data.fingerprint)
    return {
        (name, fingerprint): name if len(fingerprints) == 1 else f"{name} [{fingerprint[:6]}]"
        for name, fingerprints in contents.items()
        for fingerprint in fingerprints
    }


def named(listing: "Listing", records: "Iterable[Result]", names: dict[tuple[str, str], str]) -> "Listing":
    """A suite's listing whose comparisons name their datasets as `dataset_names` does."""
    known = {record.id: names[record.data.dataset, record.data.fingerprint] for record in records}
    labels = {
        entry.comparison: known[run]
        for run, entries in listing.runs.items()
        if run in known
        for entry in entries
    }
    comparisons = [
        comparison.model_copy(update={"dataset": labels.get(comparison.name, comparison.dataset)})
        for comparison in listing.comparisons
    ]
    return listing.model_copy(update={"comparisons": comparisons})
