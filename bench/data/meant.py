"""Which division of images of one's own is meant where none is named."""

import re
from collections import Counter
from pathlib import Path

from bench.data.base import Dataset
from bench.data.own import SPLIT_IDS
from bench.data.own_split import CARVED, GIVEN
from bench.data.registry import find_facts, open_dataset
from bench.errors import InputError
from bench.store.layout import Layout

# The split id in the name of a file of labels, by the beginning of the fingerprint of its images.
LABELS = r".*-({ids}|kfold-\d+)-{fingerprint}\.parquet"


def open_meant(name: str, split_id: str | None, data_dir: Path, *, store: Path | None = None) -> Dataset:
    """As `open_dataset`, but where no split id is named, images of one's own are divided as in the results of
    them in the store, and where it has none as for a new suite.

    Raises:
        InputError, DataError: as `open_dataset`; or there are results by several split ids.
    """
    if split_id is not None or not find_facts(name).takes_path:
        return open_dataset(name, split_id, data_dir, store=store)
    known = split_ids_in(store, open_dataset(name, None, data_dir).fingerprint) if store is not None else []
    if len(known) > 1:
        raise InputError(
            f"{name}: {store} has results by several split ids: {', '.join(known)}; name one of them "
            "(--split-id, in Python split_id)"
        )
    return open_dataset(name, known[0], data_dir, store=store) if known else open_new(name, data_dir, store)


def open_new(name: str, data_dir: Path, store: Path | None = None) -> Dataset:
    """A dataset as a new suite divides it: where a split of one's own has no val, some of train is made val.

    Args:
        store: the results folder, where the division is frozen; None freezes nothing.

    Raises:
        InputError, DataError: as `open_dataset`.
    """
    dataset = open_dataset(name, None, data_dir, store=store)
    lacks_val = dataset.split_id == GIVEN and not len(dataset.splits["val"])
    several = min(Counter(dataset.split_labels("train").tolist()).values()) > 1
    return open_dataset(name, CARVED, data_dir, store=store) if lacks_val and several else dataset


def split_ids_in(store: Path, fingerprint: str) -> list[str]:
    """The split ids by which a store has predictions for some images, ascending."""
    ids = "|".join(re.escape(one) for one in SPLIT_IDS)
    pattern = re.compile(LABELS.format(ids=ids, fingerprint=fingerprint[:12]), re.DOTALL)
    matches = (pattern.fullmatch(path.name) for path in Layout(store).label_files)
    return sorted({match[1] for match in matches if match})
