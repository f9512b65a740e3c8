"""The run store: the folder of everything that was measured, and the one way in and out of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.escape import visible
from bench.files import locked, read_json, staged, write_json, write_text
from bench.store.run_files import RunFiles
from bench.store.shapes import ID, check_entry, check_listing, check_profile, check_trial

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FORMAT = 1
# What error.json holds besides its format.
ERROR = {"attempts": int, "message": str}


class RunStore:
    """Runs, profiles, suites and labels under one folder.

        runs/ID/record.json         written last: it makes the run count
        runs/ID/checkpoint.pt, training.json (once it is trained), logits-SPLIT.pt (of a split that was being
        evaluated), error.json, error.txt (the traceback), elapsed.json
                                                        while it is not finished
        profiles/ID/record.json, samples.parquet (of what is timed)
        profiles/ID/processes.json                      while it is not finished
        baselines/ID/record.json    what needs no training, on the images of one subset
        suites/NAME.json            which trials and profiles a suite holds
        labels/DATASET-SPLIT-DATA.parquet
        labels/DATASET-SPLIT-DATA.classes.json  names of the classes
        ensembles.parquet           accuracy of averages of two networks, for which probabilities.npy was read
        tables/                     made anew from the above

    Raises:
        StoreError: the folder was written by a newer version, or cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root}: is a file, not a run store; choose another --results")
        marker = self.root / "store.json"
        if marker.exists():
            _check_format(read_json(marker), marker)
            for name in ("runs", "profiles", "suites", "labels", "tables"):
                if (self.root / name).exists() and not (self.root / name).is_dir():
                    raise StoreError(f"{self.root / name}: should be a folder of the run store; remove it")

    def if_there(self) -> Path | None:
        """The folder where it is a run store already, else None."""
        return self.root if (self.root / "store.json").exists() else None

    def prepare(self) -> None:
        """Make the folder ready for writing.

        Raises:
            StoreError: it cannot be written.
        """
        marker = self.root / "store.json"
        if not marker.exists():
            write_json(marker, {"format": FORMAT})
        with staged(self.root / "runs" / ".writable") as probe:
            probe.touch()
        (self.root / "runs" / ".writable").unlink(missing_ok=True)

    def check_there(self) -> None:
        """Notice that the store was taken away while something was run.

        Raises:
            StoreError: it is there no more.
        """
        if not (self.root / "store.json").exists():
            raise StoreError(
                f"{self.root}: the run store was removed or moved while this ran; the same command begins it "
                "anew, with what of it is there"
            )

    def files(self, run: str) -> RunFiles:
        """Where the files of a run lie."""
        return RunFiles(self.root / "runs" / run)

    # --- reading

    def folder(self, run: str) -> Path:
        """The folder of a run or profile."""
        profile = self.root / "profiles" / run
        return profile if profile.exists() else self.root / "runs" / run

    def ids(self, kind: str = "runs") -> set[str]:
        """Ids of the runs (or "profiles") that count."""
        folder = self.root / kind
        if not folder.is_dir():
            return set()
        with os.scandir(folder) as entries:
            found = {e.name for e in entries if os.path.exists(os.path.join(e.path, "record.json"))}
        for name in found:
            if not ID.fullmatch(name):
                raise StoreError(f"{folder / name}: not the name of a {kind[:-1]}; move the folder away")
        return found

    def trials(self) -> list[dict[str, Any]]:
        """The records of all finished and diverged trials, in order of their ids."""
        return list(self.each_trial())

    def each_trial(self) -> Iterator[dict[str, Any]]:
        """As `trials`, one at a time: for whoever does not need them all."""
        return map(self.record, sorted(self.ids()))

    def profiles(self) -> list[dict[str, Any]]:
        """The records of all profiles, in order of their ids."""
        paths = [self.root / "profiles" / run / "record.json" for run in sorted(self.ids("profiles"))]
        return [check_profile(read_json(path), path) for path in paths]

    def baselines(self) -> list[dict[str, Any]]:
        """The records of all baselines, in order of their ids."""
        paths = (self.root / "baselines" / run / "record.json" for run in sorted(self.ids("baselines")))
        return [_check_format(read_json(path), path) for path in paths]

    def has_baseline(self, run: str) -> bool:
        """Whether the baselines of a subset have been measured."""
        return (self.root / "baselines" / run / "record.json").exists()

    def record(self, run: str) -> dict[str, Any]:
        """The record of one finished or diverged trial."""
        path = self.root / "runs" / run / "record.json"
        return check_trial(_check_format(read_json(path), path), path)

    def is_done(self, run: str) -> bool:
        """Whether a trial has an outcome that stands."""
        return (self.root / "runs" / run / "record.json").exists()

    def has_profile(self, run: str) -> bool:
        """Whether a profile has been measured."""
        return (self.root / "profiles" / run / "record.json").exists()

    def profile(self, run: str) -> dict[str, Any] | None:
        """The record of a profile, if it has been measured."""
        path = self.root / "profiles" / run / "record.json"
        return check_profile(read_json(path), path) if path.exists() else None

    def processes(self, run: str) -> list[dict[str, Any]]:
        """What the processes so far gave for a profile that is not finished."""
        path = self.root / "profiles" / run / "processes.json"
        return check_entry(read_json(path), "results", list, path) if path.exists() else []

    def error(self, run: str) -> dict[str, Any] | None:
        """What went wrong when a trial was last tried, if it is still to be done."""
        path = self.root / "runs" / run / "error.json"
        if not path.exists() or self.is_done(run):
            return None
        found = read_json(path)
        return {name: check_entry(found, name, kind, path) for name, kind in ERROR.items()}

    def is_begun(self, run: str) -> bool:
        """Whether something of an unfinished trial is there to go on from."""
        files = self.files(run)
        return (files.checkpoint.exists() or files.training.exists()) and not self.is_done(run)

    def state(self, run: str) -> str:
        """`done`, `begun`, `errored` or `missing`."""
        if self.is_done(run):
            return "done"
        if self.error(run):
            return "errored"
        return "begun" if self.is_begun(run) else "missing"

    def suites(self) -> dict[str, dict[str, Any]]:
        """What was run of each suite, by its name."""
        folder = self.root / "suites"
        paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
        for path in paths:
            if visible(path.stem) != path.stem:
                raise StoreError(f"{folder}: {path.name!r} is not the name of a suite; remove the file")
        return {path.stem: check_listing(_check_format(read_json(path), path), path) for path in paths}

    def labels(self, record: dict[str, Any]) -> "pd.DataFrame":
        """True labels of a trial's test images, and which of them are duplicates."""
        import pandas as pd

        data = record["data"]
        return pd.read_parquet(self._labels_path(data["dataset"], data["split_id"], data["fingerprint"]))

    def class_names(self, record: dict[str, Any]) -> list[str] | None:
        """The names of the classes of a trial's data; None where the store has none."""
        data = record["data"]
        path = self._names_path(data["dataset"], data["split_id"], data["fingerprint"])
        return check_entry(read_json(path), "classes", list, path) if path.exists() else None

    # --- writing

    def claim(self, run: str) -> AbstractContextManager[bool]:
        """Hold a run for this process; gives False where another process holds it (`bench.files.locked`)."""
        return locked(self.root / ".locks" / f"{run}.lock")

    def finish(self, run: str, record: dict[str, Any]) -> None:
        """Make a run count, then remove what only an unfinished run needs."""
        write_json(self.files(run).record, record)
        self.tidy(run)

    def tidy(self, run: str) -> None:
        """Remove what a process that was killed while it finished a run has left."""
        if self.is_done(run):
            self.files(run).tidy()

    def finish_profile(
        self, run: str, record: dict[str, Any], samples: "list[list[float]] | None" = None
    ) -> None:
        """Store a profile's record, in place of an earlier one of the same id.

        `samples` are the ms of every timed step, by process; they lie beside the record in samples.parquet
        (process, step, ms).
        """
        folder = self.root / "profiles" / run
        if samples is None:
            (folder / "samples.parquet").unlink(missing_ok=True)
        else:
            import pandas as pd

            steps = [(p, s, ms) for p, process in enumerate(samples) for s, ms in enumerate(process)]
            frame = pd.DataFrame(steps, columns=["process", "step", "ms"])
            with staged(folder / "samples.parquet") as part:
                frame.astype({"process": "int16", "step": "int32"}).to_parquet(part, index=False)
        write_json(folder / "record.json", record)
        (folder / "processes.json").unlink(missing_ok=True)

    def finish_baseline(self, run: str, record: dict[str, Any]) -> None:
        """Store the baselines of a subset."""
        write_json(self.root / "baselines" / run / "record.json", record)

    def keep_processes(self, run: str, results: list[dict[str, Any]]) -> None:
        """Keep what a profile's processes gave, for it to go on from if it is not finished now."""
        write_json(self.root / "profiles" / run / "processes.json", {"format": FORMAT, "results": results})

    def note_error(self, run: str, message: str, details: str = "") -> None:
        """Keep what went wrong with a trial that will be tried again; `details` are the traceback."""
        path = self.root / "runs" / run / "error.json"
        earlier = check_entry(read_json(path), "attempts", int, path) if path.exists() else 0
        write_json(path, {"format": FORMAT, "attempts": earlier + 1, "message": message})
        if details:
            write_text(path.with_suffix(".txt"), details)

    def elapsed(self, run: str) -> float:
        """Seconds that earlier processes spent on a run before they were stopped."""
        path = self.root / "runs" / run / "elapsed.json"
        content = read_json(path) if path.exists() else {}
        seconds = content.get("seconds") if isinstance(content, dict) else None
        return float(seconds) if isinstance(seconds, int | float) else 0.0

    def add_elapsed(self, run: str, seconds: float) -> None:
        """Note how long a process was at a run that it could not finish."""
        path = self.root / "runs" / run / "elapsed.json"
        write_json(path, {"format": FORMAT, "seconds": round(self.elapsed(run) + seconds, 3)})

    def evaluations(self, run: str) -> int:
        """How often an unfinished run has looked at the test set."""
        path = self.root / "runs" / run / "evaluations.json"
        return check_entry(read_json(path), "test", int, path) if path.exists() else 0

    def count_evaluation(self, run: str) -> None:
        """Note that the test set is about to be looked at."""
        path = self.root / "runs" / run / "evaluations.json"
        write_json(path, {"format": FORMAT, "test": self.evaluations(run) + 1})

    def write_suite(self, name: str, listing: dict[str, Any]) -> None:
        """Store which trials and profiles a suite holds; unchanged content is left alone."""
        path = self.root / "suites" / f"{name}.json"
        if not path.exists() or read_json(path) != listing:
            write_json(path, listing)

    def write_labels(
        self,
        dataset: str,
        split_id: str,
        fingerprint: str,
        labels: "np.ndarray",
        duplicates: "np.ndarray | None",
        class_names: Sequence[str] = (),
    ) -> None:
        """Store the test labels of a split once; `duplicates` are positions within it.

        The names of the classes lie beside them, if given: they are for readers, no number depends on them.
        """
        import numpy as np
        import pandas as pd

        names = self._names_path(dataset, split_id, fingerprint)
        if class_names and not names.exists():
            write_json(names, {"format": FORMAT, "classes": list(class_names)})
        path = self._labels_path(dataset, split_id, fingerprint)
        if path.exists():
            return
        frame = pd.DataFrame({"label": labels.astype(np.uint16)})
        if duplicates is not None:
            frame["duplicate"] = np.isin(np.arange(len(labels)), duplicates)
        with staged(path) as part:
            frame.to_parquet(part, compression="zstd", index=False)

    def _labels_path(self, dataset: str, split_id: str, fingerprint: str) -> Path:
        name = f"{dataset}-{split_id}-{fingerprint[:12]}.parquet"
        if Path(name).name != name:
            raise StoreError(f"{self.root}: {name!r}, from a record, is not the name of a file")
        return self.root / "labels" / name

    def _names_path(self, dataset: str, split_id: str, fingerprint: str) -> Path:
        return self._labels_path(dataset, split_id, fingerprint).with_suffix(".classes.json")


def _check_format(content: Any, path: Path) -> dict[str, Any]:
    """`content` where this version can read it.

    Raises:
        StoreError: a newer version wrote it, or it is something else.
    """
    found = content.get("format") if isinstance(content, dict) else None
    if not isinstance(found, int):
        raise StoreError(f"{path}: not a file of a run store (it has no format number)")
    if found > FORMAT:
        raise StoreError(
            f"{path}: run store of format {found}, newer than the format {FORMAT} that this version knows; "
            "update vcbench or choose another --results"
        )
    return content
