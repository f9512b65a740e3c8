"""Where everything lies in a run store: no other package knows its folders and files by their names.

store.json                  makes the folder a run store
runs/ID/record.json         a trained model; written last: it makes the trial count
runs/ID/history.parquet, weights.safetensors
runs/ID/checkpoint.pt, training.json, logits-SPLIT.pt, elapsed.json, error.json, error.txt (the traceback)
                                                while it is not finished
evaluations/ID/record.json  what a trial gave under one condition; written last
evaluations/ID/predictions.parquet, probabilities.npy
evaluations/ID/looks.json, logits-test.pt, error.json, error.txt
                                                while it is not finished
searches/ID/                as runs/ID/, of a job that only serves to choose a value: it is never evaluated
profiles/ID/record.json, samples.parquet (of what is timed)
profiles/ID/processes.json                      while it is not finished
baselines/ID/record.json    what needs no training, on the images of one subset
brought/NAME/record.json, predictions.parquet   predictions that were made elsewhere
suites/NAME.json            which trials and profiles a suite holds
labels/DATASET-SPLIT-DATA.parquet
labels/DATASET-SPLIT-DATA.classes.json          names of the classes
splits/FOLDER-DATA.json     how a folder of one's own images is divided
ensembles.parquet           accuracy of averages of two networks, for which probabilities were read
slurm/JOB.sh, JOB_TASK.log  scripts that were handed to Slurm, and what their tasks printed
reach.parquet               how far the layers of trained networks look, for which weights were read
withdrawn.csv               trials that were taken out, written by hand
tables/                     made anew from the above
trackers/NAME/              what was written for a tracker
literature.csv              what others have published, written by hand
"""

import os
from pathlib import Path
from typing import Literal, get_args

from bench.errors import StoreError, shortened
from bench.spec.job import Job
from bench.store.job_files import JobFiles

Kind = Literal["runs", "searches", "evaluations", "profiles", "baselines", "brought"]
KINDS: dict[str, Kind] = {"train": "runs", "evaluate": "evaluations", "profile": "profiles"}

RECORD, PREDICTIONS = "record.json", "predictions.parquet"
# What lies in a run store, by its name.
OWN = {*get_args(Kind), "suites", "labels", "splits", "slurm", "tables", "trackers", "store.json"}
OWN |= {"ensembles.parquet", "reach.parquet", "withdrawn.csv", "literature.csv"}
# Of the 255 bytes that file systems take, what is left for the names of temporary files and locks.
LONGEST_FILE = 220


def kind_of(job: Job) -> Kind:
    """Where a job is stored."""
    return "searches" if job.purpose == "search" else KINDS[job.kind]


def labels_name(data: tuple[str, str, str]) -> str:
    """How the files of a test split's labels begin, by dataset, split id and fingerprint."""
    dataset, split_id, fingerprint = data
    return f"{dataset}-{split_id}-{fingerprint[:12]}"


class Layout:
    """The folders and files of a run store; nothing here reads or writes them."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @property
    def marker(self) -> Path:
        """The file that makes the folder a run store."""
        return self.root / "store.json"

    @property
    def folders(self) -> list[Path]:
        """Those that have to be folders where they are there."""
        return [
            self.root / name
            for name in ("runs", "searches", "evaluations", "profiles", "suites", "labels", "tables")
        ]

    @property
    def strangers(self) -> list[str]:
        """What is there that lies in no run store; hidden files, and run stores below it, do not count.

        Raises:
            StoreError: the folder cannot be read.
        """
        try:
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.root}: cannot be read ({error.strerror})") from error
        others = [name for name in names if name not in OWN and not name.startswith(".")]
        return [name for name in others if not os.path.exists(Layout(self.root / name).marker)]

    def holds(self, path: Path) -> bool:
        """Whether a path is in the store, wherever links lead that are on the way to it."""
        # Links that go in a circle lead nowhere; of them `resolve` would raise.
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))

    def folder_of(self, kind: Kind, name: str) -> Path:
        """The folder of a trial, profile, baseline or external model."""
        return self.root.joinpath(kind, name)

    def record_of(self, kind: Kind, name: str) -> Path:
        """Its record."""
        return self.root.joinpath(kind, name, RECORD)

    def predictions_of(self, kind: Kind, name: str) -> Path:
        """Its predictions, one row a test image."""
        return self.root.joinpath(kind, name, PREDICTIONS)

    def files(self, run: str) -> JobFiles:
        """Where the files of a trial lie."""
        return JobFiles(self.folder_of("runs", run))

    def files_of(self, job: Job) -> JobFiles:
        """Where the files of a job lie."""
        return JobFiles(self.folder_of(kind_of(job), job.id))

    def processes_of(self, profile: str) -> Path:
        """What the processes so far gave for a profile that is not finished."""
        return self.root / "profiles" / profile / "processes.json"

    def samples_of(self, profile: str) -> Path:
        """The ms of every step of a profile that is timed."""
        return self.root / "profiles" / profile / "samples.parquet"

    def listing_of(self, suite: str) -> Path:
        """What the store keeps of a suite.

        Raises:
            StoreError: the name leads out of the folder.
        """
        return self._file("suites", f"{suite}.json")

    def labels_of(self, data: tuple[str, str, str]) -> Path:
        """The true labels of a test split, by dataset, split id and fingerprint.

        Raises:
            StoreError: these names lead out of the folder.
        """
        return self._file("labels", f"{labels_name(data)}.parquet")

    def _file(self, folder: str, name: str) -> Path:
        if Path(name).name != name or len(os.fsencode(name)) > LONGEST_FILE:
            raise StoreError(f"{self.root}: {shortened(name)!r}, from a record, is not the name of a file")
        return self.root / folder / name

    def class_names_of(self, data: tuple[str, str, str]) -> Path:
        """The names of its classes."""
        return self.labels_of(data).with_suffix(".classes.json")

    def table_of(self, name: str, suffix: str) -> Path:
        """A table; `suffix` is .csv or .parquet."""
        return self.root / "tables" / f"{name}{suffix}"

    def lock_of(self, name: str) -> Path:
        """The file whose lock shows that a process has something in hand."""
        return self.root / ".locks" / f"{name}.lock"

    @property
    def averages_file(self) -> Path:
        """The accuracies of averages of two networks."""
        return self.root / "ensembles.parquet"

    @property
    def reach_file(self) -> Path:
        """How far the layers of trained networks look."""
        return self.root / "reach.parquet"

    @property
    def label_files(self) -> list[Path]:
        """The files of true labels that are there, in no order."""
        return list((self.root / "labels").glob("*.parquet"))

    @property
    def splits(self) -> Path:
        """The folder of how one's own images are divided."""
        return self.root / "splits"

    @property
    def slurm(self) -> Path:
        """The folder of what was handed to Slurm."""
        return self.root / "slurm"

    def slurm_script(self, job: str) -> Path:
        """The script of a job of Slurm, by its id."""
        return self.slurm / f"{job}.sh"

    @property
    def withdrawn(self) -> Path:
        """The list of trials that were taken out."""
        return self.root / "withdrawn.csv"
