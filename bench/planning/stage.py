"""A suite as far as it can be known now: what comes later may depend on what jobs come to."""

from collections.abc import Iterable
from functools import cached_property

from bench.planning.listing import listing
from bench.planning.plan import Resolver, plan, trials_of
from bench.planning.tune import Tunings
from bench.spec.job import EvaluateJob, TrainJob, Trial, Unresolved
from bench.spec.suite import Suite
from bench.store.run_store import RunStore


class Stage:
    """The trials that are asked for, with the recipes chosen so far, and the searches that choose them.

    It is made anew after every round of jobs.

    Args:
        trials: those of the suite that are wanted; the searches of their comparisons are wanted whole, and
            optional ones as far as their cells need them.
        strict: whether missing data or weights are an error.

    Attributes:
        resolved: the trials; one whose recipe is still searched is `Unresolved` and waiting.
        optional: how many more there will be if nothing else is decided.

    Raises:
        InputError: a trial or a search that cannot be.
        DataError, WeightsError: data or weights are missing.
    """

    def __init__(
        self,
        suite: Suite,
        trials: Iterable[Trial],
        resolver: Resolver,
        store: RunStore,
        *,
        strict: bool = True,
    ) -> None:
        trials = list(trials)
        self.store = store
        self.tunings = Tunings(suite, resolver, store, {trial.comparison for trial in trials})
        wanted = trials
        if any(trial.optional for trial in trials):
            asked = self._replicates(suite, resolver)
            # A cell of the very subset of another one, as all images may be, is asked for as that.
            wanted = [one for one in trials if not one.optional or one.replicate < asked.get(one.key, 0)]
        self.optional = len(trials) - len(wanted)
        resolve = resolver.resolve_strictly if strict else resolver.resolve_all
        self.resolved: list[TrainJob | Unresolved] = list(resolve(map(self.tunings.apply, wanted)))

    def _replicates(self, suite: Suite, resolver: Resolver) -> dict[tuple[str, int | None, str], int]:
        """How many replicates each cell gets now; all of the suite are judged, wanted or not."""
        from bench.analysis.undecided import replicates_asked

        offline = resolver.offline()
        tunings = Tunings(suite, offline, self.store)
        everything = offline.resolve_all(map(tunings.apply, trials_of(suite)))
        return replicates_asked(listing(suite, everything, ()), self.store)

    @cached_property
    def trials(self) -> list[TrainJob]:
        """Those that can be run as far as this is known."""
        return [item for item in self.resolved if isinstance(item, TrainJob)]

    @cached_property
    def subsets(self) -> list[TrainJob]:
        """Trials and such as wait for a search, for what depends on their images alone."""
        waiting = [item.sketch for item in self.resolved if isinstance(item, Unresolved) and item.waiting]
        return [*self.trials, *filter(None, waiting)]

    @property
    def jobs(self) -> list[TrainJob | EvaluateJob]:
        """All jobs that are known now, searches first."""
        return plan([*self.tunings.jobs, *self.trials], self.store)

    @property
    def ids(self) -> set[str]:
        """Of all trials and searches that are known now."""
        return {job.id for job in [*self.tunings.jobs, *self.trials]}

    @property
    def planned(self) -> int:
        """How many trials and search jobs there will be, as far as this is known."""
        unresolved = [item for item in self.resolved if isinstance(item, Unresolved)]
        sketches = [item.sketch.id for item in unresolved if item.sketch]
        later = {*sketches, *(job.id for job in self.tunings.later)} - self.ids
        return len(self.ids) + len(later) + len(unresolved) - len(sketches)

    @property
    def done(self) -> int:
        """How many of them are done."""
        searched = sum(self.store.has(job) for job in self.tunings.jobs)
        return searched + sum(self.store.is_done(run) for run in {job.id for job in self.trials})
