"""The run store: the folder of everything that was measured, and the one way in and out of it."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from bench.errors import StoreError, shortened, warn
from bench.escape import visible
from bench.files import PARTS, remove_abandoned, staged, write_json
from bench.spec.job import CLEAN, EvaluateJob, Job, TrainJob, evaluation_id, evaluations
from bench.store.artefacts import Artefacts
from bench.store.checked import Checked, Done
from bench.store.job_files import JobFiles
from bench.store.labels import Labels
from bench.store.layout import PREDICTIONS, RECORD, Kind, kind_of
from bench.store.reading import (
    AnyStored,
    Record,
    Stamps,
    made_of,
    read,
    read_record,
    schema_of,
    sha256,
    stamp,
)
from bench.store.records.base import FORMAT, Stored
from bench.store.records.baseline import BaselineRecord
from bench.store.records.external import ExternalRecord
from bench.store.records.listing import Listing
from bench.store.records.notes import Failure, StoreMark
from bench.store.records.profiles import ProfileRecord
from bench.store.records.trials import EvaluationRecord, Result, TrialRecord
from bench.store.unfinished import Unfinished

EVALUATED = "evaluated"


class RunStore(Unfinished, Artefacts, Labels):
    """Trials, evaluations, profiles, baselines, external predictions, suites and labels under one folder.

    Where everything lies: `bench.store.layout`. A record that is damaged, foreign or of a newer version is
    named in a warning and counts no more than one that is not there.

    Raises:
        StoreError: the folder was written by a newer version, or cannot be read.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._seen: dict[str, tuple[Any, Any]] = {}
        self._checked = Checked(self.root)
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root}: is a file, not a run store; choose another --results")
        if self.marker.exists():
            read(self.marker, StoreMark)
            for folder in self.folders:
                if folder.exists() and not folder.is_dir():
                    raise StoreError(f"{folder}: should be a folder of the run store; remove it")
            self._check_links()

    def _check_links(self) -> None:
        """Refuse folders that are links to elsewhere: through them a store that somebody else made would have
        files outside of it read, written and removed. Files that are links are replaced, never written to."""
        above = [self.root, *(self.folder_of(kind, "") for kind in get_args(Kind))]
        above += [self.root / "trackers", *self.root.glob("trackers/*")]
        for folder in filter(Path.is_dir, above):
            with os.scandir(folder) as entries:
                links = [entry for entry in entries if entry.is_symlink() and entry.is_dir()]
            for link in links:
                if not self.holds(Path(link.path)):
                    raise StoreError(f"{link.path}: is a link that leads out of the run store; remove it")

    def if_there(self) -> Path | None:
        """The folder where it is a run store already, else None."""
        return self.root if self.marker.exists() else None

    def refuse_strangers(self) -> None:
        """Raise StoreError where the folder is one of something else; nothing is written."""
        # The marker is looked for last, as another process may have begun the store since.
        if (others := self.strangers) and not self.marker.exists():
            raise StoreError(
                f"{self.root}: is no run store, and holds something else ({shortened(others[0], 60)}); "
                "choose a new or an empty folder as --results"
            )

    def prepare(self) -> None:
        """Make the folder ready for writing.

        Raises:
            StoreError: it cannot be written, or is a folder of something else.
        """
        if not self.marker.exists():
            self.refuse_strangers()
            write_json(self.marker, {"format": FORMAT})
        probe = self.folder_of("runs", ".writable")
        with staged(probe) as part:
            part.touch()
        probe.unlink(missing_ok=True)
        # Beside files that are written once; those of jobs are removed with what else a job has left.
        for place in ("", "labels/", "splits/", "suites/", "baselines/*/", "profiles/*/", "brought/*/"):
            remove_abandoned(self.root.glob(f"{place}.*{PARTS}"))

    def check_there(self) -> None:
        """Notice that the store was taken away while something was run.

        Raises:
            StoreError: it is there no more.
        """
        if not self.marker.exists():
            raise StoreError(
                f"{self.root}: the run store was removed or moved while this ran; the same command begins it "
                "anew, with what of it is there"
            )

    # --- records

    def results(self, condition: str = CLEAN) -> list[Result]:
        """All finished trials with their evaluation under a condition, and those that diverged, by id."""
        return list(self.each_result(condition))

    def each_result(self, condition: str = CLEAN) -> Iterator[Result]:
        """As `results`, one at a time: for whoever does not need them all."""
        results = (self.result(name, condition) for name in self.names("runs"))
        return (result for result in results if result is not None)

    def result(self, run: str, condition: str = CLEAN) -> Result | None:
        """A trial with its evaluation; None where one of the two is not there yet.

        A trial that diverged while it trained has no evaluation and is one all the same. An evaluation of
        weights that were trained anew since is not there.
        """
        trial = self.trial(run)
        return None if trial is None else self.result_of(trial, condition)

    def result_of(self, trial: TrialRecord, condition: str) -> Result | None:
        """As `result`, of a trial that was read."""
        if trial.outcome == "diverged":
            return Result.of(trial, None, condition)
        one = self.evaluation(evaluation_id(trial.id, condition))
        if one is not None and not _same_weights(one.weights_sha256, trial.weights_sha256):
            one = None
        if one is None and condition == CLEAN:
            one = trial.evaluation
        return None if one is None else Result.of(trial, one, condition)

    def profiles(self) -> list[ProfileRecord]:
        """The records of all profiles, in order of their ids."""
        return list(self._each("profiles", ProfileRecord))

    def baselines(self) -> list[BaselineRecord]:
        """The records of all baselines, in order of their ids."""
        return list(self._each("baselines", BaselineRecord))

    def externals(self) -> list[ExternalRecord]:
        """The records of all predictions that were made elsewhere, by name."""
        return list(self._each("brought", ExternalRecord))

    def record(self, kind: Kind, name: str) -> Record | None:
        """Any record by its kind and name."""
        record: Record | None = self._record(kind, name, Stored)  # type: ignore[assignment]
        return record

    def trial(self, run: str) -> TrialRecord | None:
        """The record of a trial, if its training has finished or diverged."""
        return self._record("runs", run, TrialRecord)

    def search(self, run: str) -> TrialRecord | None:
        """The record of a search job, if it has finished or diverged."""
        return self._record("searches", run, TrialRecord)

    def trained(self, job: TrainJob) -> TrialRecord | None:
        """The record of a trial or a search job."""
        return self._record(kind_of(job), job.id, TrialRecord)

    def evaluation(self, name: str) -> EvaluationRecord | None:
        """The record of an evaluation by its own id; of one stored with its trial: `result`."""
        return self._record("evaluations", name, EvaluationRecord)

    def profile(self, run: str) -> ProfileRecord | None:
        """The record of a profile, if it has been measured."""
        return self._record("profiles", run, ProfileRecord)

    def external(self, name: str) -> ExternalRecord | None:
        """The record of predictions that were made elsewhere."""
        return self._record("brought", name, ExternalRecord)

    def is_done(self, run: str) -> bool:
        """Whether a trial has an outcome that stands, and was evaluated if it finished."""
        return self.is_evaluated(run, CLEAN)

    def is_evaluated(self, run: str, condition: str) -> bool:
        """Whether there is a `result` of a trial under a condition."""
        trained = self._done("runs", run)
        if trained is None or trained.outcome == "diverged":
            return trained is not None
        if condition == CLEAN and trained.outcome == EVALUATED:
            return True
        evaluated = self._done("evaluations", evaluation_id(run, condition))
        return evaluated is not None and _same_weights(evaluated.weights_sha256, trained.weights_sha256)

    def outcome(self, kind: Kind, name: str) -> str | None:
        """The outcome of a trial, a search job or an evaluation; None where there is no record.

        A trial that is stored with its evaluation, as format 1 has it, is `EVALUATED`.
        """
        done = self._done(kind, name)
        return None if done is None else done.outcome

    def _done(self, kind: Kind, name: str) -> Done | None:
        """What the record of a job says, without reading it where it was believed before and was not touched
        since."""
        path, predictions = self.record_of(kind, name), self.predictions_of(kind, name)
        now = stamp(path), stamp(predictions)
        if now[0] is None:
            return None
        known = self._checked.done(f"{kind}/{name}", now)
        return _done_by(self._record(kind, name, Stored)) if known is None else known

    def keep_checked(self) -> None:
        """Remember in the cache which records were believed: the next command is faster on a large store."""
        self._checked.keep()

    def has(self, job: Job) -> bool:
        """Whether the result of a job is there; of a training also its weights, while they are needed: to be
        evaluated, or to teach."""
        if isinstance(job, EvaluateJob):
            return self.is_evaluated(job.training.id, job.condition)
        if isinstance(job, TrainJob):
            trained = self.outcome(kind_of(job), job.id)
            if trained is None or trained == "diverged" or self.files_of(job).weights.exists():
                return trained is not None
            evaluated = [] if job.purpose == "search" else evaluations(job)
            return all(map(self.has, [*evaluated, *job.students]))
        return self.profile(job.id) is not None

    def has_profile(self, run: str) -> bool:
        """Whether a profile has been measured."""
        return self.profile(run) is not None

    def has_baseline(self, run: str) -> bool:
        """Whether the baselines of a subset have been measured."""
        return self._record("baselines", run, BaselineRecord) is not None

    def names(self, kind: Kind) -> list[str]:
        """The folders of a kind, in order, whether or not there is a record in them."""
        folder = self.folder_of(kind, "")
        if not folder.is_dir():
            return []
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))

    def evaluations_of(self, runs: Iterable[str], condition: str = CLEAN) -> list[str]:
        """The ids of the evaluations of some trials that have a record of their own."""
        ids = [evaluation_id(run, condition) for run in runs]
        return [one for one in ids if self.record_of("evaluations", one).exists()]

    def hashes(self, kind: Kind, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 of records by their names."""
        return {name: sha256(self.record_of(kind, name)) for name in sorted(names)}

    def error(self, run: str) -> Failure | None:
        """What went wrong when a trial, or its evaluation, was last tried, if it is still to be done."""
        if self.is_done(run):
            return None
        evaluation = JobFiles(self.folder_of("evaluations", evaluation_id(run, CLEAN)))
        return self.failure(self.files(run)) or self.failure(evaluation)

    def is_begun(self, run: str) -> bool:
        """Whether something of an unfinished trial is there to go on from."""
        files = self.files(run)
        begun = self.outcome("runs", run) is not None or files.checkpoint.exists() or files.training.exists()
        return begun and not self.is_done(run)

    def state(self, run: str) -> str:
        """`done`, `begun`, `errored` or `missing`."""
        if self.is_done(run):
            return "done"
        if self.error(run):
            return "errored"
        return "begun" if self.is_begun(run) else "missing"

    def tidy(self, job: Job) -> None:
        """Remove what a process that was killed while it finished a job has left."""
        if self.has(job):
            self.files_of(job).tidy()

    def finish(self, job: Job, content: dict[str, Any]) -> TrialRecord | EvaluationRecord:
        """Make a trial or an evaluation count; remove what only an unfinished one needs.

        The predictions of an evaluation are there already; their hash is put into the record.

        Raises:
            StoreError: the content is no record, or cannot be written; so in the methods below.
        """
        schema = TrialRecord if job.kind == "train" else EvaluationRecord
        earlier = self.trained(job) if isinstance(job, TrainJob) else None
        if earlier is not None and earlier.evaluation is not None:  # of format 1; what was measured stays
            content = content | {"evaluation": earlier.evaluation.content()}
        record = self._write(kind_of(job), job.id, content, schema)
        self.files_of(job).tidy()
        assert isinstance(record, TrialRecord | EvaluationRecord)
        return record

    def finish_joined(self, kind: Literal["runs", "evaluations"], name: str, content: dict[str, Any]) -> None:
        """Store the record of a repeat of k-fold, or of its evaluation, made of those of its folds."""
        self._write(kind, name, content | {"id": name}, TrialRecord if kind == "runs" else EvaluationRecord)

    def finish_profile(
        self, run: str, content: dict[str, Any], samples: list[list[float]] | None = None
    ) -> ProfileRecord:
        """Store a profile's record, in place of an earlier one of the same id.

        `samples` are the ms of every timed step, by process; they lie beside the record in a table.
        """
        self.write_samples(run, samples)
        record = self._write("profiles", run, content, ProfileRecord)
        self.processes_of(run).unlink(missing_ok=True)
        return record

    def finish_baseline(self, run: str, content: dict[str, Any]) -> BaselineRecord:
        """Store the baselines of a subset."""
        return self._write("baselines", run, content, BaselineRecord)

    def finish_external(self, name: str, content: dict[str, Any]) -> ExternalRecord:
        """Store the record of predictions that were made elsewhere, with their hash."""
        return self._write("brought", name, content, ExternalRecord)

    def _each(self, kind: Kind, schema: type[AnyStored]) -> Iterator[AnyStored]:
        records = (self._record(kind, name, schema) for name in self.names(kind))
        return (record for record in records if record is not None)

    def _record(self, kind: Kind, name: str, schema: type[AnyStored]) -> AnyStored | None:
        """A record that can be believed; None where there is none, or it is not one."""
        now = self._stamps(kind, name)
        record = self._believed(f"{kind}/{name}", now, partial(self._read, kind, name))
        assert record is None or isinstance(record, schema)
        return record

    def _stamps(self, kind: Kind, name: str) -> Stamps:
        """Of a record and its predictions; asked for so often that making a Path each time would tell."""
        folder = os.path.join(self.root, kind, name)
        return stamp(os.path.join(folder, RECORD)), stamp(os.path.join(folder, PREDICTIONS))

    def _read(self, kind: Kind, name: str) -> Stored:
        """A record, checked; its predictions are not read as a table again where it was checked before."""
        key, now = f"{kind}/{name}", self._stamps(kind, name)
        before = self._checked.done(key, now) is not None
        record = read_record(self, kind, name, checked=before)
        if not before and (done := _done_by(record)) is not None:
            self._checked.add(key, now, done)
        return record

    def _believed(self, key: str, now: Stamps, read_it: Callable[[], AnyStored]) -> AnyStored | None:
        """What a file holds, read again only where it or the one beside it has changed."""
        if now[0] is None:
            return None
        before, known = self._seen.get(key, (None, None))
        if before != now:
            try:
                known = read_it()
            except StoreError as error:
                warn(f"{error}; it is left out")
                known = None
            self._seen[key] = now, known
        held: AnyStored | None = known
        return held

    def _write(self, kind: Kind, name: str, content: dict[str, Any], schema: type[AnyStored]) -> AnyStored:
        path, predictions = self.record_of(kind, name), self.predictions_of(kind, name)
        content = {"format": FORMAT} | content
        if predictions.exists():
            content = content | {"predictions_sha256": sha256(predictions)}
        record = made_of(content, schema_of(kind, content), path)
        assert isinstance(record, schema)
        write_json(path, record.content())
        return record

    # --- suites

    def suites(self) -> dict[str, Listing]:
        """What was run of each suite, by its name."""
        listings = {name: self.suite(name) for name in sorted(self.suite_names())}
        return {name: listing for name, listing in listings.items() if listing is not None}

    def suite_names(self) -> set[str]:
        """The names of all suites with a listing, whether or not it can be read."""
        return {path.stem for path in self.listing_of("").parent.glob("*.json")}

    def suite(self, name: str) -> Listing | None:
        """What was run of one suite."""
        path = self.listing_of(name)
        now = stamp(path)
        return self._believed(f"suites/{name}", (now, now), partial(_read_listing, path))

    def write_suite(self, listing: Listing) -> None:
        """Store which trials and profiles a suite holds; unchanged content is left alone."""
        if self.suite(listing.suite) != listing:
            write_json(self.listing_of(listing.suite), listing.content())


def _done_by(record: Stored | None) -> Done | None:
    """What a trial or an evaluation says; `EVALUATED` is a finished trial with its evaluation."""
    if not isinstance(record, TrialRecord | EvaluationRecord):
        return None
    evaluated = isinstance(record, TrialRecord) and record.evaluation is not None
    outcome = EVALUATED if evaluated and record.outcome == "finished" else record.outcome
    return Done(outcome, record.weights_sha256)


def _same_weights(evaluated: str | None, trained: str | None) -> bool:
    """Whether an evaluation is of the weights of its trial, by their checksums; old records have none."""
    return None in (evaluated, trained) or evaluated == trained


def _read_listing(path: Path) -> Listing:
    if visible(path.stem) != path.stem or not path.stem.strip("."):
        raise StoreError(f"{path.parent}: {path.name!r} is not the name of a suite; remove the file")
    listing = read(path, Listing)
    if listing.suite != path.stem:
        raise StoreError(f'{path}: the listing of "{shortened(listing.suite)}", under the name of another')
    return listing
