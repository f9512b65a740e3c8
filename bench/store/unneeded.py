"""What of a run store nothing needs any more: never a record, a prediction or a table."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from bench.errors import StoreError
from bench.spec.job import CLEAN, evaluation_id
from bench.store.job_files import JobFiles
from bench.store.run_store import RunStore


class Needs:
    """What all suites of a store need, by their listings as they are when this is made.

    Attributes:
        conditions: by trial, those under which suites ask for it, "clean" among them.

    Raises:
        StoreError: the listing of a suite cannot be read, so that what it needs is not known.
    """

    def __init__(self, store: RunStore) -> None:
        suites = store.suites()
        if unread := sorted(store.suite_names() - suites.keys()):
            raise StoreError(
                f"{store.listing_of(unread[0])}: cannot be read, so that nobody knows what this suite needs; "
                "nothing was removed"
            )
        self._store = store
        self.conditions: defaultdict[str, set[str]] = defaultdict(set)
        self._kept: set[str] = set()
        self._students: defaultdict[str, set[str]] = defaultdict(set)
        for suite in suites.values():
            for entry in suite.trials:
                for run in filter(None, {*entry.trainings, entry.id}):
                    self.conditions[run] |= {CLEAN, *suite.conditions_of(entry)}
                for run, teacher in entry.teachers.items():
                    self._students[teacher].add(run)
                if suite.keep_weights:
                    self._kept |= {*entry.trainings, *entry.teachers.values()}
            for search in suite.searches:
                if search.keep_weights:
                    self._kept |= {job for tried in search.tried for job in tried.jobs}

    def weights_of(self, run: str) -> bool:
        """Whether weights of a trial or a search job are needed: its suite keeps them, they are still to be
        evaluated, or a student that is not done learns from them."""
        waiting = {run, *self._students.get(run, ())}
        return run in self._kept or not all(map(self._is_evaluated, waiting))

    def _is_evaluated(self, run: str) -> bool:
        return all(self._store.is_evaluated(run, one) for one in self.conditions.get(run, ()))


def remove_unneeded(store: RunStore, *, dry_run: bool = False) -> Iterator[tuple[Path, int]]:
    """Remove what nothing needs, and yield each file with its size in bytes:

    - what only an unfinished job needs, of jobs that are done, and of those that no suite lists;
    - weights of trials that diverged, that no suite lists, or that are evaluated and whose suites keep none,
      unless a student that is not done learns from them;
    - weights of search jobs, unless other searches still learn from them.

    Jobs that a process has in hand are passed over.

    Args:
        dry_run: only yield them.

    Raises:
        StoreError: the listing of a suite cannot be read, so that what it needs is not known.
    """
    needs = Needs(store)
    for run in store.names("runs"):
        with _in_hand(store, run, dry_run) as mine:
            if mine:
                yield from _remove(_of_trial(store, run, needs), dry_run)
    searched = {job for suite in store.suites().values() for job in suite.search_jobs}
    for run in store.names("searches"):
        with _in_hand(store, run, dry_run) as mine:
            if mine and (store.search(run) or run not in searched):
                files = JobFiles(store.folder_of("searches", run))
                weights = [files.weights] if files.weights.exists() and not needs.weights_of(run) else []
                yield from _remove([*files.unfinished(), *weights], dry_run)
    asked = {evaluation_id(run, one): (run, one) for run, own in needs.conditions.items() for one in own}
    for name in store.names("evaluations"):
        with _in_hand(store, name, dry_run) as mine:
            if mine and (name not in asked or store.is_evaluated(*asked[name])):
                unfinished = JobFiles(store.folder_of("evaluations", name)).unfinished()
                yield from _remove(unfinished, dry_run)


def _in_hand(store: RunStore, name: str, dry_run: bool) -> AbstractContextManager[bool]:
    """A job held, as by `claim`; who only looks writes no lock, and one that is not there is nobody's."""
    if dry_run and not store.lock_of(name).exists():
        return nullcontext(True)
    return store.claim(name)


def _of_trial(store: RunStore, run: str, needs: Needs) -> list[Path]:
    """The files of a trial that nothing needs."""
    files, trial, needed = store.files(run), store.trial(run), needs.weights_of(run)
    to_be_trained = trial is None and (needed or run in needs.conditions)
    paths = [] if to_be_trained else files.unfinished()
    diverged = trial is not None and trial.outcome == "diverged"
    if files.weights.exists() and (diverged or not needed):
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
