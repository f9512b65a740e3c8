"""Choosing recipe values by search jobs: which are to be done, and what those that are done came to.

Search jobs train on a part of the first draw of a subset and are judged on the rest of it, or on val; they
have a folder of their own in the store and are never evaluated on the test split.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from bench.analysis.search import Score, pooled
from bench.data.subsets import draw_subset
from bench.errors import InputError
from bench.planning.plan import Resolver, trial_of
from bench.planning.teachers import teachers_first
from bench.spec.job import TrainJob, Trial, Unresolved
from bench.spec.overrides import override
from bench.spec.recipe import Recipe
from bench.spec.search import FEWEST_SHOTS, LEARNING_RATE, Search, Values, values_text
from bench.spec.suite import Comparison, Suite
from bench.store.run_store import RunStore

Shots = int | Literal["all"]


@dataclass(frozen=True)
class Tried:
    """One combination of values in one rung, with its jobs; `score` is None until all of them are done."""

    values: Values
    rung: int
    share: float
    extended: bool
    jobs: tuple[TrainJob, ...]
    score: Score | None


@dataclass(frozen=True)
class Choice:
    """The values that a contestant gets on a subset.

    Attributes:
        best: those with the highest accuracy, which may be within noise of them.
        shots: the subset they were chosen on.
        edge: which end of a range they lie on, after it was extended; None where they lie inside.
    """

    values: Values
    best: Values
    shots: Shots
    edge: Literal["low", "high"] | None


@dataclass(frozen=True)
class Tuning:
    """The search of one contestant on one subset.

    Attributes:
        later: jobs like those that are to come and are not known yet, to tell how long they will take.
        choice: None until the search has ended.
    """

    tried: tuple[Tried, ...]
    later: tuple[TrainJob, ...] = ()
    choice: Choice | None = None

    @property
    def jobs(self) -> list[TrainJob]:
        """All that are known."""
        return [job for one in self.tried for job in one.jobs]

    def keeping_weights(self) -> "Tuning":
        """The same, with jobs that keep their weights."""

        def keeping(job: TrainJob) -> TrainJob:
            return replace(job, trial=replace(job.trial, keep_weights=True))

        tried = [replace(one, jobs=tuple(map(keeping, one.jobs))) for one in self.tried]
        return replace(self, tried=tuple(tried))


class Tunings:
    """The searches of a suite, as far as the store lets them be known.

    Args:
        comparisons: names of those whose searches are wanted; None takes all.

    Raises:
        InputError: a search that does not fit its recipes or its subsets.
    """

    def __init__(
        self, suite: Suite, resolver: Resolver, store: RunStore, comparisons: Iterable[str] | None = None
    ) -> None:
        self.by_subset: dict[tuple[str, str, Shots], Tuning] = {}
        self._sources: dict[tuple[str, Shots], Shots] = {}
        wanted = None if comparisons is None else set(comparisons)
        for comparison in suite.comparison:
            search = suite.search_of(comparison)
            if search is None or (wanted is not None and comparison.name not in wanted):
                continue
            sources = {shots: _source(suite, comparison, search, shots) for shots in comparison.shots}
            self._sources |= {(comparison.name, shots): source for shots, source in sources.items()}
            for shots in dict.fromkeys(sources.values()):
                tuned = _Tuner(suite, comparison, search, shots, resolver, store).run()
                self.by_subset |= {(comparison.name, key, shots): one for key, one in tuned.items()}

    @property
    def jobs(self) -> list[TrainJob]:
        """All search jobs that are known, each once."""
        return list({job.id: job for one in self.by_subset.values() for job in one.jobs}.values())

    @property
    def later(self) -> list[TrainJob]:
        """See `Tuning.later`."""
        return [job for one in self.by_subset.values() for job in one.later]

    def subsets_of(self, comparison: str, source: Shots) -> list[Shots]:
        """The subsets for which values are chosen on one."""
        return [shots for (name, shots), own in self._sources.items() if (name, own) == (comparison, source)]

    def choice(self, trial: Trial) -> Choice | None:
        """What was chosen for a trial's contestant and subset."""
        shots: Shots = "all" if trial.shots is None else trial.shots
        source = self._sources[trial.comparison, shots]
        return self.by_subset[trial.comparison, trial.contestant, source].choice

    def apply(self, trial: Trial) -> Trial:
        """The trial with the values chosen for it; itself while they are not, or if nothing is searched."""
        choice = self.choice(trial) if trial.tuned else None
        if choice is None:
            return trial
        recipe = override(trial.recipe, dict(choice.values), where=trial.comparison)
        teacher = self.apply(trial.teacher) if trial.teacher else None
        return replace(trial, recipe=recipe, tuned=False, teacher=teacher)


class _Tuner:
    """One search: all contestants of a comparison on one subset."""

    def __init__(
        self,
        suite: Suite,
        comparison: Comparison,
        search: Search,
        shots: Shots,
        resolver: Resolver,
        store: RunStore,
    ) -> None:
        self.suite, self.comparison, self.search, self.shots = suite, comparison, search, shots
        self.resolver, self.store = resolver, store
        self.base = {key: self._trial(key) for key in teachers_first(suite, comparison)}
        self.taught_by: dict[str, Values] = {}

    def run(self) -> dict[str, Tuning]:
        """The search of each contestant.

        The last rung of all of them decides whether a range is extended for all. A student is searched with
        its teacher as that was chosen before, whose weights are kept until every search has ended: trained
        once more on a GPU, it would be another network than the one that was chosen.
        """
        tunings = self._tunings()
        if all(one.choice for one in tunings.values()):
            return tunings
        teachers = {trial.teacher.contestant for trial in self.base.values() if trial.teacher}
        return {key: one.keeping_weights() if key in teachers else one for key, one in tunings.items()}

    def _tunings(self) -> dict[str, Tuning]:
        tunings = {}
        for key in self.base:
            tunings[key] = self._rungs(key)
            if choice := tunings[key].choice:
                self.taught_by[key] = choice.values
        tunings = {key: tunings[key] for key in self.comparison.contestants}
        if any(one.choice is None for one in tunings.values()):
            return {key: replace(one, choice=None) for key, one in tunings.items()}
        choices = [one.choice for one in tunings.values() if one.choice]
        beyond = self._beyond([dict(values) for one in choices for values in (one.values, one.best)])
        return {key: self._extended(key, one, beyond) for key, one in tunings.items()}

    def _trial(self, key: str) -> Trial:
        trial = trial_of(self.suite, self.comparison, key, self.shots, replicate=0)
        once = {"val_times": 1, "keep": "last"}
        return replace(
            trial,
            recipe=override(trial.recipe, once, where=""),
            tuned=False,
            keep_weights=False,
            conditions=(),
        )

    def _with(self, key: str, values: Values, share: float) -> Trial:
        """The trial of a contestant with some values, for a share of its budget; its teacher has the values
        chosen for it, within the ranges as they were asked for, and the share of the last rung."""
        trial = self.base[key]
        recipe = shortened(override(trial.recipe, dict(values), where=self.comparison.name), share)
        teacher = None
        if trial.teacher is not None:
            chosen = self.taught_by.get(trial.teacher.contestant, ())
            teacher = self._with(trial.teacher.contestant, chosen, self.search.rungs[-1])
        return replace(trial, recipe=recipe, teacher=teacher, tried=values_text(values))

    def _rungs(self, key: str) -> Tuning:
        """Successive halving; the whole search where there is one rung."""
        alive, tried = self.search.candidates(), []
        last = len(self.search.rungs) - 1
        teacher = self.base[key].teacher
        if teacher is not None and teacher.contestant not in self.taught_by:
            return Tuning((), self._after(key, alive, 0))
        for rung, share in enumerate(self.search.rungs):
            now = [self._try(key, values, rung, share) for values in alive]
            tried += now
            if any(one.score is None for one in now):
                return Tuning(tuple(tried), self._after(key, alive[: _half(len(alive))], rung + 1))
            if rung < last:
                best = sorted(now, key=lambda one: -_scored(one).top1)[: _half(len(alive))]
                alive = [values for values in alive if values in {one.values for one in best}]
        return Tuning(tuple(tried), choice=self._choice(now, {}))

    def _after(self, key: str, alive: list[Values], first: int) -> tuple[TrainJob, ...]:
        """Jobs like those of the rungs from one on, for so many values."""
        later: list[TrainJob] = []
        for rung in range(first, len(self.search.rungs)):
            for values in alive:
                later += self._try(key, values, rung, self.search.rungs[rung]).jobs
            alive = alive[: _half(len(alive))]
        return tuple(later)

    def _beyond(self, good: list[dict[str, float]]) -> dict[str, dict[str, float]]:
        """By side, the keys whose ranges are extended, with the value one step further."""
        beyond: dict[str, dict[str, float]] = {"low": {}, "high": {}}
        for key, values in self.search.ranges.items():
            for side, end in (("low", values.grid[0]), ("high", values.grid[-1])):
                further = values.beyond(side)  # type: ignore[arg-type]
                if any(one[key] == end for one in good) and self._is_allowed({key: further}):
                    beyond[side][key] = further
        return beyond

    def _is_allowed(self, values: dict[str, float]) -> bool:
        """Whether every contestant's recipe takes a value."""
        try:
            for trial in self.base.values():
                override(trial.recipe, values, where="")
        except InputError:
            return False
        return True

    def _extended(self, key: str, tuning: Tuning, beyond: dict[str, dict[str, float]]) -> Tuning:
        """The search of one contestant with the values beyond the ranges, each beside its own choice."""
        assert tuning.choice is not None
        own, rung = dict(tuning.choice.values), len(self.search.rungs) - 1
        further = [
            self._try(key, tuple((own | {name: value}).items()), rung, self.search.rungs[-1], extended=True)
            for side in beyond.values()
            for name, value in side.items()
        ]
        tried = (*tuning.tried, *further)
        if any(one.score is None for one in further):
            return Tuning(tried)
        finalists = [one for one in tried if one.rung == rung]
        return Tuning(tried, choice=self._choice(finalists, beyond))

    def _choice(self, finalists: list[Tried], beyond: dict[str, dict[str, float]]) -> Choice:
        """The smallest learning rate whose accuracy is within a standard error of the best.

        Of equal learning rates the more accurate one is taken.
        """
        best = max(finalists, key=lambda one: _scored(one).top1)
        least = _scored(best).top1 - _scored(best).error
        ties = [one for one in finalists if _scored(one).top1 >= least]
        chosen = min(ties, key=lambda one: (dict(one.values).get(LEARNING_RATE, 0.0), -_scored(one).top1))
        edge: Literal["low", "high"] | None = None
        for key, values in self.search.ranges.items():
            value = dict(chosen.values)[key]
            if value <= beyond.get("low", {}).get(key, values.grid[0]):
                edge = "low"
            elif value >= beyond.get("high", {}).get(key, values.grid[-1]):
                edge = "high"
        return Choice(chosen.values, best.values, self.shots, edge)

    def _try(self, key: str, values: Values, rung: int, share: float, *, extended: bool = False) -> Tried:
        jobs = self._jobs(key, values, share)
        return Tried(values, rung, share, extended, jobs, pooled([self.store.search(job.id) for job in jobs]))

    def _jobs(self, key: str, values: Values, share: float) -> tuple[TrainJob, ...]:
        """One job a fold that is used; none where data or weights are not here."""
        trial = self._with(key, values, share)
        job = self.resolver.resolve(trial)
        if isinstance(job, Unresolved):
            return ()
        if self.search.judge == "val":
            if not len(self.resolver.dataset(trial).splits["val"]):
                raise InputError(
                    f"{trial.where.rpartition(',')[0]}: search: {job.dataset} has no val split here; leave "
                    'out search.judge = "val"'
                )
            return (_search_job(job, {"judge": "val"}, None),)
        groups = self._groups(job)
        folds = min(self.search.folds, job.train_images // job.classes, groups)
        if folds < 2:
            of = "" if groups == job.train_images else f", in groups: {groups},"
            raise InputError(
                f"{trial.where.rpartition(',')[0]}: search: of {job.train_images} images of {job.classes} "
                f'classes{of} none can be held out; set search.judge = "val", or leave out protocol = "tuned"'
            )
        each = job.train_images // folds
        used = min(folds, -(-self.search.held_out // each))
        how = {"folds": folds} | self.resolver.dataset(trial).fold_rule
        return tuple(_search_job(job, {"fold": fold, **how}, each) for fold in range(used))

    def _groups(self, job: TrainJob) -> int:
        """In how many groups the images of a subset lie; an image without one is a group of its own."""
        dataset = self.resolver.dataset(job.trial)
        if dataset.train_units is None:
            return job.train_images
        draw, labels = job.identity["draw_seed"] or 0, dataset.split_labels("train")
        subset = draw_subset(dataset.id_name, dataset.split_id, labels, job.identity["shots"], draw)
        return len(np.unique(dataset.train_units[subset]))


def shortened(recipe: Recipe, share: float) -> Recipe:
    """A recipe with a share of its budget, at least one epoch."""
    budget, _ = recipe.training
    short = {
        "budget.epochs": max(1, round(share * budget.epochs)),
        "budget.min_steps": round(share * budget.min_steps),
    }
    return override(recipe, short, where="")


def _search_job(job: TrainJob, how: Mapping[str, Any], held_out: int | None) -> TrainJob:
    """The job as one that only judges values; so is its teacher, which sees no more images than it does."""
    teacher = _search_job(job.teacher, how, held_out) if job.teacher else None
    return replace(
        job,
        identity=job.identity | {"search": dict(how)} | ({"teacher": teacher.id} if teacher else {}),
        needs=(teacher.id,) if teacher else (),
        teacher=teacher,
        purpose="search",
        train_images=job.train_images - (held_out or 0),
        held_out=held_out,
    )


def _scored(one: Tried) -> Score:
    assert one.score is not None
    return one.score


def _half(count: int) -> int:
    return -(-count // 2)


def _source(suite: Suite, comparison: Comparison, search: Search, shots: Shots) -> Shots:
    """The subset on which values for another are chosen: usually itself.

    Raises:
        InputError: too few images to hold any out, and no larger subset in the comparison.
    """
    if search.judge == "val" or shots == "all" or shots >= FEWEST_SHOTS:
        return shots
    sizes = sorted(one for one in comparison.shots if one != "all" and one >= FEWEST_SHOTS)
    if sizes:
        return sizes[0]
    if "all" in comparison.shots:
        return "all"
    raise InputError(
        f'{suite.name}: comparison "{comparison.name}": search: {shots} images per class are too few to hold '
        f"any out; add {FEWEST_SHOTS} or more to shots, whose choice is then taken over, or set "
        'search.judge = "val"'
    )
