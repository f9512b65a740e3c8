"""Reading the files of a run store: whole, of a format this version knows, and what they say they are."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from bench.errors import StoreError, shortened
from bench.files import digest, read_json, read_regular
from bench.spec.job import evaluation_identity
from bench.spec.toml import first_problem
from bench.store.layout import Kind, Layout
from bench.store.parquet import columns_of
from bench.store.records.base import FORMAT, Stored
from bench.store.records.baseline import BaselineRecord
from bench.store.records.external import ExternalRecord
from bench.store.records.profiles import CostRecord, MeasuredRecord, ProfileRecord
from bench.store.records.trials import EvaluationRecord, TrialRecord
from bench.store.records.upgrade import upgrade

if TYPE_CHECKING:
    import numpy as np

ROUNDING = 1e-9
Stamp = tuple[int, int, int, int]
Stamps = tuple[Stamp | None, Stamp | None]
"""Of a record, or another file of the store, and of what lies beside it."""
AnyStored = TypeVar("AnyStored", bound=Stored)
Record = TrialRecord | EvaluationRecord | ProfileRecord | BaselineRecord | ExternalRecord
SCHEMAS: dict[Kind, type[Record]] = {
    "runs": TrialRecord,
    "searches": TrialRecord,
    "evaluations": EvaluationRecord,
    "profiles": ProfileRecord,
    "baselines": BaselineRecord,
    "brought": ExternalRecord,
}


def read(path: Path, schema: type[AnyStored]) -> AnyStored:
    """A file of the store.

    Raises:
        StoreError: it cannot be read, is damaged, is something else, or a newer version wrote it.
    """
    return made_of(_content(path), schema, path)


def made_of(content: dict[str, Any], schema: type[AnyStored], path: Path) -> AnyStored:
    """The content of a file as a model.

    Raises:
        StoreError: it does not fit; names the file and the key.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise StoreError(f"{path}: damaged: {first_problem(error, schema)}") from None


def schema_of(kind: Kind, content: dict[str, Any]) -> type[Record]:
    """The model of a record."""
    if kind == "profiles":
        return CostRecord if content.get("what") == "cost" else MeasuredRecord
    return SCHEMAS[kind]


def read_record(layout: Layout, kind: Kind, name: str, *, checked: bool = False) -> Record:
    """A record that can be believed.

    Its folder has the name of its id, the id of a trial or an evaluation is the digest of its identity, and
    its predictions, where they are there, are the ones that it was written with. Of a record that was
    `checked` before and is still the same, only their hash is compared.

    Raises:
        StoreError: as `read`; or one of these does not hold.
    """
    path = layout.record_of(kind, name)
    content = _content(path)
    record: Record = made_of(content, schema_of(kind, content), path)
    if record.id != name:
        raise StoreError(f'{path}: the record of "{shortened(record.id, 40)}", in the folder of another')
    identity = _identity(record, content)
    if isinstance(record, TrialRecord) and ("search" in content["identity"]) != (kind == "searches"):
        raise StoreError(f"{path}: a search job is no trial, and belongs in searches/, as no trial does")
    if identity is not None and digest(identity) != record.id:
        raise StoreError(
            f"{path}: its identity is that of another {record.kind}: it was changed after it was written"
        )
    scored = record.evaluation if isinstance(record, TrialRecord) else record
    if isinstance(scored, ExternalRecord | EvaluationRecord):
        predictions = layout.predictions_of(kind, name)
        if not _goes_with(scored, predictions, layout, checked):
            raise StoreError(f"{predictions}: not the predictions that its record was written with")
    return record


def _identity(record: Record, content: dict[str, Any]) -> dict[str, Any] | None:
    """What the id of a record is the digest of, for those that hold it."""
    if isinstance(record, TrialRecord):
        identity: dict[str, Any] = content["identity"]
        return identity
    if isinstance(record, EvaluationRecord):
        return evaluation_identity(record.trial, record.condition)
    return None


def sha256(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        StoreError: it cannot be read.
    """
    return hashlib.sha256(_bytes(path)).hexdigest()


def stamp(path: Path | str) -> Stamp | None:
    """What changes when a file does: programs can set the one time back, but not the other; None where it is
    not there."""
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    number = content.get("format") if isinstance(content, dict) else None
    if type(number) is not int or number < 1:
        raise StoreError(f"{path}: not a file of a run store (it has no format number)")
    if number > FORMAT:
        raise StoreError(
            f"{path}: run store of format {number}, newer than the format {FORMAT} that this version knows; "
            "update vcbench or choose another --results"
        )
    return upgrade(content)


def _goes_with(record: EvaluationRecord | ExternalRecord, path: Path, layout: Layout, checked: bool) -> bool:
    """Whether predictions are those of a record; ones that were removed are not missed.

    They have its hash, if it is of a version that kept one; and in any case its number of test images and its
    accuracy, by the ranks of the true classes and by the labels of the store as far as these are there.
    """
    if not path.exists():
        return True
    content = _bytes(path)
    if record.predictions_sha256 not in (None, hashlib.sha256(content).hexdigest()):
        return False
    if checked and record.predictions_sha256 is not None:
        return True
    columns = _columns(path, content, ("predicted", "rank"))
    predicted, rank = columns.get("predicted"), columns.get("rank")
    if predicted is None or len(predicted) != record.data.test_images:
        return False
    right = [] if rank is None else [rank == 0]
    labels = layout.labels_of(record.data.key)
    if record.predictions_sha256 is None and (version := stamp(labels)):
        true = _true_classes(labels, version)
        if true is None or len(true) != len(predicted):
            return False
        right.append(predicted == true)
    top1 = record.metrics.top1
    return top1 is None or all(abs(one.mean() - top1) < ROUNDING for one in right)


@lru_cache(maxsize=16)
def _true_classes(path: Path, version: tuple[int, int, int, int]) -> "np.ndarray | None":
    """The labels of a test split, read once for all trials on it; `version` is the stamp of the file."""
    return _columns(path, _bytes(path), ("label",)).get("label")


def _columns(path: Path, content: bytes, wanted: tuple[str, ...]) -> "dict[str, np.ndarray]":
    """Those of the wanted columns of whole numbers that the content of a Parquet file has."""
    table = columns_of(path, content, {}, dict.fromkeys(wanted, "whole"))
    return {name: table[name].to_numpy() for name in table.column_names}
