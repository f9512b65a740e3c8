"""Whether a recipe still gives the accuracy that was seen: further replicates of it against those."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.recipe_book import Expectation, Measured
from bench.errors import InputError
from bench.planning.plan import trials_of
from bench.running.reproduce import images_of, run_trial, taught_trial
from bench.running.threads import threads_of
from bench.spec.job import Trial, Unresolved
from bench.spec.overrides import override
from bench.spec.recipe import Expect, Recipe
from bench.spec.search import LEARNING_RATE, Search
from bench.spec.suite import load_suite
from bench.store.lookup import run_command

if TYPE_CHECKING:
    from bench.running.workspace import Workspace
    from bench.store.run_store import RunStore
    from bench.training.observer import Observer


@dataclass(frozen=True)
class Expected:
    """A trial to be run, and what it should come to.

    Attributes:
        trial: a replicate that was not seen.
        where: where the accuracy was seen.
        runs: the ids of the runs that were seen, where a store has them.
    """

    trial: Trial
    accuracy: Expectation
    where: str
    runs: frozenset[str] = frozenset()

    @property
    def what(self) -> str:
        """Model, data, subset and recipe, in words."""
        one = self.trial
        size = "all images" if one.shots is None else f"{one.shots} images per class"
        return f"{one.title} on {one.dataset}, {size}, recipe {one.recipe.name}"


@dataclass(frozen=True)
class Verified:
    """What came of it: whether the mean of the new replicates lies in [low, high], fractions."""

    expected: Expected
    runs: tuple[str, ...]
    top1: tuple[float, ...]
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether the expectation is met."""
        return self.low <= float(np.mean(self.top1)) <= self.high


def of_recipe(recipe: Recipe, model: str | None, shots: int | None) -> list[Expected]:
    """What a recipe's file expects, of one model and one number of images per class where they are given.

    Raises:
        InputError: it expects nothing of them, or its suite has no such trial.
    """
    every = [Expected(_trial(recipe, one), _accuracy(one), f"suite {one.suite}") for one in recipe.expect]
    wanted = [one for one in every if model in (None, one.trial.model) and shots in (None, one.trial.shots)]
    if not wanted:
        known = "; ".join(one.what for one in every) or "nothing"
        raise InputError(
            f'recipe "{recipe.name}": its file expects nothing of these, only: {known} '
            "(or verify a run by its id: vcbench recipe --help)"
        )
    return wanted


def of_measured(measured: Measured, store: "RunStore", dataset: str | None) -> Expected:
    """What further replicates of a stored recipe are expected to give.

    Args:
        store: where its runs lie.
        dataset: see `bench.running.reproduce.stored_trial`.

    Raises:
        InputError: one's own images are not there; it is of k-fold, a replicate of which is several runs; or
            one run was seen of what is drawn anew, of which no spread is known.
        StoreError: the record of its teacher is not there.
    """
    first, suites = measured.first, measured.suites
    if first.details.get("folds"):
        more = f"{run_command(suites[0][0], store.root)} --replicates {measured.next_replicate + 1}"
        raise InputError(
            f"{first.id}: a repeat of k-fold is a network a fold; another repeat is made by: {more}"
        )
    drawn = first.identity.draw_seed is not None or first.identity.recipe.get("budget") is not None
    if drawn and measured.expectation.sd is None:
        raise InputError(
            f"{first.id}: one run was seen, which does not tell how far another may lie; run more: "
            f"{run_command(suites[0][0], store.root)} (or the same again: vcbench reproduce {first.id})"
        )
    trial = taught_trial(store, first, images_of(store, first, dataset), suites[0][0].suite)
    return Expected(
        _replicate(trial, measured.next_replicate),
        measured.expectation,
        ", ".join(f"suite {listing.suite}, {comparison}" for listing, comparison in suites),
        frozenset(record.id for record in measured.records),
    )


def verify(
    expected: Expected, workspace: "Workspace", observer: "Observer", *, replicates: int = 1
) -> Verified:
    """Run further replicates in the workspace's store, as far as they are not there, and judge them.

    Raises:
        Stopped: the observer asked for it; the next call continues.
        TrialError: a replicate went wrong.
        InputError, DataError, WeightsError: it cannot be run here.
    """
    workspace.store.prepare()
    workspace.resolver.freeze_splits(workspace.store.root)
    results = []
    first = expected.trial.replicate
    for number in range(first, first + replicates):
        job = workspace.resolver.resolve(_replicate(expected.trial, number))
        if isinstance(job, Unresolved):
            raise job.reason
        if job.id in expected.runs and workspace.store.is_done(job.id):
            raise InputError(
                f"{job.id}: nothing of it is drawn at random, and it is in {workspace.results} already; "
                f"do it again with: vcbench reproduce {job.id}"
            )
        with threads_of(job, workspace.device):
            results.append(run_trial(job, workspace, observer))
    unique = {result.id: result.top1 for result in results}
    low, high = expected.accuracy.interval(len(unique))
    return Verified(expected, tuple(unique), tuple(unique.values()), low, high)


def _replicate(trial: Trial, number: int) -> Trial:
    """The trial as another replicate, taught by the same one of its teacher."""
    teacher = _replicate(trial.teacher, number) if trial.teacher else None
    return replace(trial, replicate=number, teacher=teacher)


def _trial(recipe: Recipe, one: Expect) -> Trial:
    suite = load_suite(one.suite)
    where = f'recipe "{recipe.name}": [[expect]] of {one.contestant} in {one.comparison}'
    for comparison in suite.comparison:
        if comparison.name == one.comparison:
            space = (comparison.search or Search()).space or (LEARNING_RATE,)
            searched = set(space) if comparison.protocol == "tuned" else set()
            if searched != dict(one.set).keys():
                keys = ", ".join(sorted(searched)) or "nothing"
                raise InputError(f"{where}: suite {one.suite} searches {keys}; `set` should have its choice")
    shots = None if one.shots == "all" else one.shots
    for trial in trials_of(suite, 1):
        place = trial.comparison, trial.contestant, trial.shots, trial.recipe.name
        if place == (one.comparison, one.contestant, shots, recipe.name):
            if trial.tuned and trial.teacher is not None:
                raise InputError(f"{where}: its teacher is searched too; verify one of its runs")
            chosen = override(trial.recipe, dict(one.set), where=where)
            clean = replace(trial, recipe=chosen, tuned=False, conditions=trial.conditions[:1])
            return _replicate(clean, one.replicates)
    raise InputError(
        f'recipe "{recipe.name}": suite {one.suite} has no trial of "{one.contestant}" in {one.comparison} '
        f"with shots = {one.shots}"
    )


def _accuracy(one: Expect) -> Expectation:
    return Expectation(one.top1, one.spread, one.replicates)
