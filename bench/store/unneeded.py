"""What of a run store nothing needs any more: never a record, a prediction or a table."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.errors import StoreError
from bench.spec.job import CLEAN, evaluation_id
from bench.store.job_files import JobFiles
from bench.store.run_store import RunStore


def remove_unneeded(store: RunStore, *, dry_run: bool = False) -> Iterator[tuple[Path, int]]:
    """Remove what nothing needs, and yield each file with its size in bytes:

    - what only an unfinished job needs, of jobs that are done, and of those that no suite lists;
    - weights of trials that diverged, that no suite lists, or that are evaluated and whose suites keep none,
      unless a student that is not done learns from them;
    - weights of search jobs.

    Jobs that a process has in hand are passed over.

    Args:
        dry_run: only yield them.

    Raises:
        StoreError: the listing of a suite cannot be read, so that what it needs is not known.
    """
    suites = store.suites()
    if unread := sorted(store.suite_names() - suites.keys()):
        raise StoreError(
            f"{store.listing_of(unread[0])}: cannot be read, so that nobody knows what this suite needs; "
            "nothing was removed"
        )
    asked: dict[str, set[str]] = {}
    keeping: set[str] = set()
    for suite in suites.values():
        for run, entries in (suite.runs | suite.trainings).items():
            conditions = {one for entry in entries for one in suite.conditions_of(entry)}
            asked.setdefault(run, set()).update(conditions | {CLEAN})
            keeping |= {run} if suite.keep_weights else set()
    for suite in suites.values():
        for run, entries in suite.trainings.items():
            if not all(store.result(run, condition) for condition in asked[run]):
                keeping |= {entry.teacher for entry in entries if entry.teacher}
    for run in store.names("runs"):
        with store.claim(run) as mine:
            if mine:
                yield from _remove(_of_trial(store, run, asked.get(run, set()), run in keeping), dry_run)
    searched = {job for suite in suites.values() for job in suite.search_jobs}
    for run in store.names("searches"):
        with store.claim(run) as mine:
            if mine and (store.search(run) or run not in searched):
                files = JobFiles(store.folder_of("searches", run))
                weights = [files.weights] if files.weights.exists() else []
                yield from _remove([*files.unfinished(), *weights], dry_run)
    evaluations = {evaluation_id(run, one) for run, own in asked.items() for one in own}
    for name in store.names("evaluations"):
        with store.claim(name) as mine:
            if mine and (store.evaluation(name) or name not in evaluations):
                unfinished = JobFiles(store.folder_of("evaluations", name)).unfinished()
                yield from _remove(unfinished, dry_run)


def _of_trial(store: RunStore, run: str, conditions: set[str], keeping: bool) -> list[Path]:
    """The files of a trial that nothing needs; `conditions` are those that suites ask for."""
    files, trial = store.files(run), store.trial(run)
    paths = [] if trial is None and conditions else files.unfinished()
    diverged = trial is not None and trial.outcome == "diverged"
    evaluated = all(store.result(run, condition) for condition in conditions)
    if files.weights.exists() and (diverged or (evaluated and not keeping)):
        paths.append(files.weights)
    return paths


def _remove(paths: list[Path], dry_run: bool) -> Iterator[tuple[Path, int]]:
    for path in paths:
        size = path.stat().st_size
        if not dry_run:
            path.unlink()
            with suppress(OSError):  # it is not empty
                path.parent.rmdir()
        yield path, size
