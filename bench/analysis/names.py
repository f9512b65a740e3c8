"""What tables and pages call a dataset: two folders of one name must not look like one dataset."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]


def dataset_names(records: Iterable[Record]) -> dict[tuple[str, str], str]:
    """What to call each dataset among the records of a store, by its name and fingerprint.

    A name that stands for more than one content has the beginning of the fingerprint behind it.
    """
    contents: dict[str, set[str]] = defaultdict(set)
    for record in records:
        contents[record["data"]["dataset"]].add(record["data"]["fingerprint"])
    return {
        (name, fingerprint): name if len(fingerprints) == 1 else f"{name} [{fingerprint[:6]}]"
        for name, fingerprints in contents.items()
        for fingerprint in fingerprints
    }


def named(suite: Record, records: Iterable[Record], names: dict[tuple[str, str], str]) -> Record:
    """A suite's listing whose comparisons name their datasets as `dataset_names` does."""
    data = {record["id"]: record["data"] for record in records}
    known = {run: names[facts["dataset"], facts["fingerprint"]] for run, facts in data.items()}
    found = {entry["comparison"]: known[entry["id"]] for entry in suite["trials"] if entry["id"] in known}
    comparisons = [
        comparison | {"dataset": found.get(comparison["name"], comparison["dataset"])}
        for comparison in suite["comparisons"]
    ]
    return suite | {"comparisons": comparisons}
