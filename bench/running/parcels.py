"""Files of a job as bytes: for doing it where the run store is not."""

from collections.abc import Mapping
from pathlib import Path

from bench.errors import StoreError
from bench.files import write_bytes
from bench.profiling.config import CostConfig
from bench.profiling.job import profile_job
from bench.spec.job import EvaluateJob, TrainJob
from bench.store.run_store import RunStore

Parcel = Mapping[str, bytes]
"""Content by path within the store, with forward slashes."""


def inputs_of(job: TrainJob | EvaluateJob, store: RunStore) -> Parcel:
    """What is there that a job reads: what an earlier process has left of it, the trial that it evaluates or
    the teacher that it learns from, and how one's own images are divided."""
    folders = [store.files_of(job).folder, store.splits]
    if isinstance(job, EvaluateJob):
        folders.append(store.files_of(job.training).folder)
    elif job.teacher is not None:
        teacher = job.teacher
        cost = CostConfig(teacher.trial.model, _outputs(teacher), teacher.trial.input_size)
        folders += [store.files_of(teacher).folder, store.folder_of("profiles", profile_job("cost", cost).id)]
    return _content(store.root, folders)


def results_of(job: TrainJob | EvaluateJob, store: RunStore) -> Parcel:
    """What a job has left, finished or not."""
    labels = [store.root / "labels"] if isinstance(job, EvaluateJob) else []
    return _content(store.root, [store.files_of(job).folder, *labels])


def removed(inputs: Parcel, store: RunStore) -> list[str]:
    """Of what a job was given, what it has removed: unfinished files that are done with, damaged weights."""
    return [name for name in inputs if not (store.root / name).exists()]


def unpack(parcel: Parcel, store: RunStore) -> None:
    """Write the files into a store, records last.

    Raises:
        StoreError: they cannot be written, or a path leads out of the store.
    """
    for name in sorted(parcel, key=lambda name: name.endswith("/record.json")):
        write_bytes(_path(name, store), parcel[name])


def deliver(job: TrainJob | EvaluateJob, parcel: Parcel, gone: list[str], store: RunStore) -> None:
    """Put what a job has left elsewhere into the store, in place of what it had left here, and remove what it
    has removed there."""
    own = store.files_of(job)
    kept = f"{own.folder.relative_to(store.root).as_posix()}/"
    unpack(
        {
            name: data
            for name, data in parcel.items()
            if name.startswith(kept) or not (store.root / name).exists()
        },
        store,
    )
    for name in gone:
        _path(name, store).unlink(missing_ok=True)


def _path(name: str, store: RunStore) -> Path:
    root = store.root.resolve()
    path = (root / name).resolve()
    if root not in path.parents:
        raise StoreError(f"{store.root}: {name!r}, from another machine, leads out of the store")
    return path


def _outputs(job: TrainJob) -> int:
    return job.trial.recipe.head_outputs or job.classes


def _content(root: Path, folders: list[Path]) -> Parcel:
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
