"""Taking over what other run stores hold: of machines that share nothing."""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from bench.errors import StoreError, shortened
from bench.escape import csv_text
from bench.files import read_json, write_bytes, write_text
from bench.store.job_files import JobFiles
from bench.store.labels import read_labels
from bench.store.layout import Kind, labels_name
from bench.store.reading import Record, read
from bench.store.records.base import Data
from bench.store.records.listing import Listing
from bench.store.records.notes import ClassNames
from bench.store.records.profiles import ProfileRecord
from bench.store.records.trials import EvaluationRecord
from bench.store.run_store import RunStore
from bench.store.withdrawn import WITHDRAWN, withdrawn_rows

if TYPE_CHECKING:
    import pandas as pd


RESULT = (
    *("outcome", "identity", "data", "metrics", "images_seen", "steps", "weights_sha256"),
    *("predictions_sha256", "sha256", "given"),
    *("chance_top1", "majority_top1", "nearest_top1", "statistics_top1", "pixels"),
    *("what", "params", "trainable_params", "flops", "flops_train_step", "gmacs", "gmacs_all"),
    *("activations_m", "by_part", "elementwise", "rows"),
)
"""The fields of trials and evaluations, predictions made elsewhere, baselines and profiles that are the same
wherever a job is done. What is timed never is: of two such profiles of one setting neither is wrong."""
DATA = ("fingerprint", "split_id", "classes", "train_images", "val_images", "test_images")
"""The same, of the data: not the name of their folder, nor whether the copy there was verified."""
OTHER_IMAGES = "other images are tested there"
FROZEN = re.compile(r"-([0-9a-f]{12}(?:-kfold-\d+)?)(?:-repeat-\d+)?\.json$")
"""How the name of a frozen division ends, after the name that the folder had: what it divides."""


@dataclass(frozen=True)
class Merged:
    """What became of one thing of another store.

    "added"; "same", where it is here already; "conflict", where another of its name is here, which stays;
    "withdrawn", where it was taken out here and stays out.
    """

    kind: str
    name: str
    what: Literal["added", "same", "conflict", "withdrawn"]
    reason: str = ""


def merge(other: RunStore, store: RunStore, *, dry_run: bool = False) -> Iterator[Merged]:
    """Take over records with what lies beside them, labels, splits and suites; nothing that is here changes.

    Records of images that are divided otherwise here, or have other labels, are conflicts as these are.
    What is not finished is left where it is, and so are records that are damaged, with a warning. A trial
    that was withdrawn here is not taken over, and one that is here and was withdrawn there is a conflict. One
    that a store holds although its own list names it was made anew since, and is like any other.

    Args:
        dry_run: only say what would be done.

    Raises:
        StoreError: a store cannot be read or written.
    """
    for path in (other.withdrawn, other.averages_file, other.reach_file):
        if not other.holds(path):
            raise StoreError(f"{path}: is a link that leads out of the run store; remove it")
    ours, theirs = _withdrawn(store), _withdrawn(other)
    if not dry_run:
        store.prepare()
    gone = {run for run, _ in ours.keys() - theirs.keys()}
    for trial in filter(None, map(other.trial, sorted(gone))):
        folds = trial.details.get("folds")
        gone |= set(map(str, folds)) if isinstance(folds, list) else set()
    # A trial comes before its evaluations, which must be of its weights.
    kinds: tuple[Kind, ...] = get_args(Kind)
    data: dict[str, Data] = {}  # by the names of its labels
    for kind in kinds:
        for record in (other.record(kind, name) for name in other.names(kind)):
            if record is not None and not isinstance(record, ProfileRecord):
                data[labels_name(record.data.key)] = record.data
    divided_otherwise: set[str] = set()
    for folder in ("labels", "splits"):
        for path in sorted((other.root / folder).glob("[!.]*")):
            one = _file(folder, path, store, data, dry_run)
            if one.what == "conflict" and (folder == "splits" or one.reason == OTHER_IMAGES):
                divided_otherwise.add(_divides(one.name))
            yield one
    added: set[str] = set()
    unlike: set[str] = set(gone)  # runs that are not, or not evaluated, as they are there
    for kind in sorted(kinds, key=lambda kind: kind != "runs"):
        for name in other.names(kind):
            record = other.record(kind, name)
            if record is None:
                continue
            run = record.trial if isinstance(record, EvaluationRecord) else name
            if run in gone:
                yield Merged(kind, name, "withdrawn")
                continue
            one = _record(kind, name, other, store, added)
            if not store.record_of(kind, name).exists() and divided_otherwise & _divided_by(record):
                one = Merged(kind, name, "conflict", "its images are divided otherwise here")
            if outside := [path for path in _files(other.folder_of(kind, name)) if not other.holds(path)]:
                one = Merged(
                    kind, name, "conflict", f"{outside[0].name} is a link that leads out of its store"
                )
            if one.what == "added" and not dry_run:
                with store.claim(name) as mine:
                    if not mine:
                        raise StoreError(f"{store.root}: {name} is being run; merge again once it is done")
                    one = _record(kind, name, other, store, added)  # it may have been finished since
                    if one.what == "added":
                        _copy_job(other.folder_of(kind, name), store.folder_of(kind, name))
            added |= {name} if one.what == "added" else set()
            if one.what == "conflict":
                unlike.add(run)
            yield one
    for name, listing in other.suites().items():
        if other.holds(other.listing_of(name)):
            yield _suite(name, listing, other, store, dry_run)
        else:
            yield Merged("suites", name, "conflict", "is a link that leads out of its store")
    if not dry_run:
        _computed(other, store, unlike)
    rows = []
    for (run, finished), row in theirs.items():
        if (run, finished) in ours:
            continue
        stays = store.record_of("runs", run).exists() and run not in added
        if stays and (run in unlike or other.trial(run) is None):
            reason = shortened(row["reason"] or "no reason given")
            yield Merged("runs", run, "conflict", f"was withdrawn there ({reason})")
        else:
            rows.append(row)
    if rows and not dry_run:
        _add_withdrawn(rows, store)


def _record(kind: Kind, name: str, other: RunStore, store: RunStore, added: set[str]) -> Merged:
    ours, theirs = store.record(kind, name), other.record(kind, name)
    if ours is None and store.record_of(kind, name).exists():
        return Merged(kind, name, "conflict", "the record that is here cannot be read; it stays")
    if ours is None:
        if isinstance(theirs, EvaluationRecord) and theirs.trial in added:
            if not other.is_evaluated(theirs.trial, theirs.condition):
                reason = f"run {theirs.trial} was trained anew since, to other weights"
                return Merged(kind, name, "conflict", reason)
        elif isinstance(theirs, EvaluationRecord):
            trial = store.trial(theirs.trial)
            if trial is None:
                return Merged(kind, name, "conflict", f"its trial, run {theirs.trial}, is in neither store")
            if trial.weights_sha256 != theirs.weights_sha256:
                return Merged(kind, name, "conflict", f"run {trial.id} was trained here to other weights")
        return Merged(kind, name, "added")
    assert theirs is not None
    if _what_it_came_to(ours.content()) == _what_it_came_to(theirs.content()):
        return Merged(kind, name, "same")
    return Merged(kind, name, "conflict", "done in both stores, and it came to something else there")


def _what_it_came_to(content: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record is its result, and not when, where and how fast it was made."""
    known = {name: content[name] for name in RESULT if content.get(name) is not None}
    if "data" in known:
        known["data"] = {name: known["data"].get(name) for name in DATA}
    within = content.get("evaluation")  # of format 1
    return known | ({"evaluation": _what_it_came_to(within)} if within else {})


def _copy_job(source: Path, target: Path) -> None:
    """Copy what a finished job has left, its record last."""
    for path in sorted(_files(source), key=lambda path: path.name == "record.json"):
        write_bytes(target / path.name, path.read_bytes())


def _files(folder: Path) -> list[Path]:
    """The files in the folder of a finished job."""
    unfinished = set(JobFiles(folder).unfinished())
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path not in unfinished]


def _divides(name: str) -> str:
    """What a file of labels or splits tells the test images of, whatever the folder of images was called."""
    frozen = FROZEN.search(name)
    return frozen[1] if frozen else name


def _divided_by(record: Record) -> set[str]:
    """The same, of the files that tell the test images of a record."""
    if isinstance(record, ProfileRecord):
        return set()
    data = record.data
    folds = re.match(r"kfold-\d+", data.split_id)
    frozen = data.fingerprint[:12] + (f"-{folds[0]}" if folds else "")
    return {frozen, f"{labels_name(data.key)}.parquet"}


def _file(kind: str, source: Path, store: RunStore, data: Mapping[str, Data], dry_run: bool) -> Merged:
    """A file of labels or splits; `data` are what the records of its store are about, by names of labels."""
    name, target = source.name, store.root / kind / source.name
    if kind == "splits" and (frozen := FROZEN.search(name)):  # under whichever name the folder had here
        target = min(store.splits.glob(f"*{frozen[0]}"), default=target)
    if source.is_symlink() or not source.is_file():
        return Merged(kind, name, "conflict", "is no file, but a link or a folder")
    try:
        theirs = _held(kind, source, data)
    except StoreError as error:
        return Merged(kind, name, "conflict", shortened(str(error).removeprefix(f"{source}: ")))
    if target.exists():
        try:
            ours = _held(kind, target, {})
        except StoreError:
            return Merged(kind, name, "conflict", "the file that is here cannot be read; it stays")
        if ours == ours | theirs:
            return Merged(kind, name, "same")
        images = ours.get("label") == theirs.get("label")
        return Merged(kind, name, "conflict", "they differ" if images else OTHER_IMAGES)
    if not dry_run:
        write_bytes(target, source.read_bytes())
    return Merged(kind, name, "added")


def _held(kind: str, path: Path, data: Mapping[str, Data]) -> dict[str, Any]:
    """What a file holds: of labels and of the names of their classes by column, of a division its JSON.

    Raises:
        StoreError: it cannot be read, is something else, or is not of its test images.
    """
    if kind != "labels":
        return {"division": read_json(path)}
    of = data.get(path.name.removesuffix(".parquet").removesuffix(".classes.json"))
    if path.suffix == ".json":
        classes = read(path, ClassNames).classes
        if of and len(classes) != of.classes:
            raise StoreError(f"{path}: {len(classes)} names of {of.classes} classes")
        return {"classes": classes}
    columns: dict[str, list[Any]] = read_labels(path).to_pydict()
    labels = columns["label"]
    if of and not (len(labels) == of.test_images and all(0 <= one < of.classes for one in labels)):
        raise StoreError(f"{path}: no labels of {of.test_images} test images in {of.classes} classes")
    return columns


def _suite(name: str, theirs: Listing, other: RunStore, store: RunStore, dry_run: bool) -> Merged:
    """A suite that both hold gets the trials, searches and profiles of the other where they are one suite."""
    ours = store.suite(name)
    if ours is None and store.listing_of(name).exists():
        return Merged("suites", name, "conflict", "the listing that is here cannot be read; it stays")
    if ours is not None and ours.fingerprint != theirs.fingerprint:
        return Merged("suites", name, "conflict", "another suite of this name is here")
    if ours is not None:
        merged = _joined(ours, theirs)
    elif theirs.file is None:
        merged = theirs
    else:
        seen_from_here = os.path.relpath(
            os.path.join(os.path.realpath(other.root), theirs.file), os.path.realpath(store.root)
        )
        merged = theirs.model_copy(update={"file": Path(seen_from_here).as_posix()})
    if merged == ours:
        return Merged("suites", name, "same")
    if not dry_run:
        store.write_suite(merged)
    return Merged("suites", name, "added")


def _joined(ours: Listing, theirs: Listing) -> Listing:
    trials = {entry.key: entry for entry in ours.trials}
    for entry in theirs.trials:
        if entry.key not in trials or not trials[entry.key].id:
            trials[entry.key] = entry
    searches = {(one.comparison, one.contestant, one.shots): one for one in ours.searches}
    for search in theirs.searches:
        key = (search.comparison, search.contestant, search.shots)
        if key not in searches or not searches[key].chosen:
            searches[key] = search
    return ours.with_data_of(theirs).model_copy(
        update={
            "trials": sorted(trials.values(), key=lambda entry: entry.replicate),
            "searches": list(searches.values()),
            "profiles": sorted({*ours.profiles, *theirs.profiles}),
        }
    )


def _computed(other: RunStore, store: RunStore, unlike: set[str]) -> None:
    """Averages of two networks, and how far layers look: only the other machine may have probabilities and
    weights. Those of runs that are unlike here are left there."""
    averages = _with_more(store.averages(), other.averages(), ["run_a", "run_b"], unlike)
    if averages is not None:
        store.write_averages(averages)
    reach = _with_more(store.reach(), other.reach(), ["run", "layer"], unlike)
    if reach is not None:
        store.write_reach(reach)


def _with_more(
    ours: "pd.DataFrame | None", theirs: "pd.DataFrame | None", keys: list[str], unlike: set[str]
) -> "pd.DataFrame | None":
    """Our rows with theirs that we lack; None where there are none of these."""
    import pandas as pd

    if theirs is None:
        return None
    theirs = theirs[~theirs[keys].isin(list(unlike)).any(axis=1)]
    joined = theirs if ours is None else pd.concat([ours, theirs])
    joined = joined.drop_duplicates(keys).sort_values(keys, ignore_index=True)
    return joined if len(joined) > (0 if ours is None else len(ours)) else None


Rows = dict[tuple[str, str], dict[str, Any]]
"""Of withdrawn.csv, by the run and when it was finished: a run can be made anew, and be withdrawn again."""


def _withdrawn(store: RunStore) -> Rows:
    """The trials that were taken out of a store.

    Raises:
        StoreError: the list cannot be read.
    """
    rows = withdrawn_rows(store.withdrawn)
    return {(row["run"] or "", csv_text(row["finished"] or "")): row for row in rows}


def _add_withdrawn(rows: list[dict[str, Any]], store: RunStore) -> None:
    """What was taken out there counts here too."""
    before = store.withdrawn.read_text(encoding="utf-8-sig") if store.withdrawn.exists() else ""
    columns, text = next(csv.reader(before.splitlines()), list(WITHDRAWN)), io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if before:
        text.write(before if before.endswith("\n") else f"{before}\n")
    else:
        writer.writeheader()
    writer.writerows({name: csv_text(value) for name, value in row.items()} for row in rows)
    write_text(store.withdrawn, text.getvalue())
