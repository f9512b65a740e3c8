"""The listing of a suite: what a store knows of it without its file."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.spec.job import CLEAN
from bench.store.records.base import Amount, Count, Id, Share, Stored, Versioned


class Contestant(Stored):
    """One model of a suite; a recipe of its own, where it has one."""

    title: str
    model: str
    weights: str
    recipe: str | None


class ComparisonEntry(Stored):
    """Contestants on one split by one recipe; `images` is where one's own lie, as folder:PATH.

    `conditions` are those beside "clean", each with its level; `reference` is the contestant whose errors
    under corruptions are set to 1. `looks` are after how many replicates contrasts are judged, where
    they get replicates until they are decided. `replicates` is the most that the suite asks for in a cell; a
    command may have asked for more. `search` is how recipe values are chosen, where they are.
    """

    name: str
    dataset: str
    split_id: str | None
    input_size: Count
    recipe: str
    contestants: list[str]
    contrasts: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    exploratory: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    unmatched: str
    conditions: list[str] = []
    reference: str | None = None
    looks: list[Count] = []
    replicates: Count | None = None
    search: dict[str, Any] | None = None
    images: str | None = None


class TrialEntry(Stored):
    """A trial that a suite asks for; without an id where data or weights were not there.

    `teacher` is the id of the trial that it learns from. `folds` are the trainings of a repeat of k-fold, and
    `id` is that of what they come to together; `fold_teachers` are the trials that they learn from, in order.
    """

    id: Id | None
    comparison: str
    contestant: str
    shots: Count | None
    replicate: Count
    draw_seed: Count | None
    seed: Count | None
    teacher: Id | None = None
    folds: list[Id] = []
    fold_teachers: list[Id] = []

    @property
    def trainings(self) -> list[str]:
        """The ids of its training, or of one for each fold."""
        return self.folds or ([self.id] if self.id else [])

    @property
    def teachers(self) -> dict[str, str]:
        """The id of the trial that each of them learns from, by theirs."""
        teachers = self.fold_teachers or ([self.teacher] if self.teacher else [])
        return dict(zip(self.trainings, teachers, strict=False))

    @property
    def key(self) -> tuple[str, str, int | None, int]:
        """Its place in the suite."""
        return self.comparison, self.contestant, self.shots, self.replicate


class TriedEntry(Stored):
    """Recipe values that were tried in one rung of a search, by these search jobs, one a fold."""

    values: dict[str, float]
    rung: Count
    share: Share
    extended: bool
    jobs: list[Id]


class SearchEntry(Stored):
    """The search of one contestant on one subset; the values chosen hold `for_shots` (None: all images).

    `edge` is the end of a range on which they lie. `keep_weights`: other searches still learn from its jobs.
    """

    comparison: str
    contestant: str
    shots: Count | None
    for_shots: list[Count | None]
    tried: list[TriedEntry]
    chosen: dict[str, float] | None
    edge: Literal["low", "high"] | None
    keep_weights: bool = False


class HeadlineEntry(Stored):
    """A setting in which a suite compares its models by the clock: each as trials train it, in one mode and
    at one input size. `scaling_batch_size` is that of rows over input sizes.
    """

    mode: str
    input_size: Count
    classes: Count
    precision: str
    batch_sizes: Annotated[list[Count], Field(min_length=1)]
    scaling_batch_size: Count | None
    # Each the name of a library that runs exported networks, and a precision.
    runtimes: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []

    @property
    def batch_size(self) -> int:
        """The batch of what has one number a model."""
        return max(self.batch_sizes)


class Listing(Versioned):
    """What a store keeps of a suite: enough to tabulate and report it without the suite's file."""

    suite: str
    title: str
    description: str
    fingerprint: str
    settings: list[str]
    headlines: list[HeadlineEntry] = []
    delta: Amount
    contestants: dict[str, Contestant]
    comparisons: list[ComparisonEntry]
    trials: list[TrialEntry]
    searches: list[SearchEntry] = []
    profiles: list[Id]
    keep_weights: bool = True
    file: str | None = None

    def conditions_of(self, entry: TrialEntry) -> list[str]:
        """Under which conditions a trial is evaluated beside "clean"."""
        return next(one.conditions for one in self.comparisons if one.name == entry.comparison)

    def with_data_of(self, other: "Listing") -> Self:
        """With the data sets and split ids of comparisons that another listing of the suite knew and this one
        does not: the data were not there, and no trial has an id."""
        own, others = ({entry.comparison for entry in one.trials if entry.id} for one in (self, other))
        known = {one.name: one for one in other.comparisons if one.name in others - own}
        comparisons = [
            one.model_copy(update={"dataset": known[one.name].dataset, "split_id": known[one.name].split_id})
            if one.name in known
            else one
            for one in self.comparisons
        ]
        return self.model_copy(update={"comparisons": comparisons})

    @model_validator(mode="after")
    def _of_itself(self) -> Self:
        members = {one.name: one.contestants for one in self.comparisons}
        for one in self.comparisons:
            for key in (*one.contestants, *sum(one.contrasts + one.exploratory, [])):
                if key not in self.contestants:
                    raise ValueError(f'comparisons: no contestant "{key}"')
        for entry in self.trials:
            if entry.contestant not in members.get(entry.comparison, ()):
                raise ValueError(f'trials: no "{entry.contestant}" in "{entry.comparison}"')
        return self

    def search_of(self, comparison: str, contestant: str, shots: int | None) -> SearchEntry | None:
        """The search that chose the recipe values of a cell."""
        own = [one for one in self.searches if (one.comparison, one.contestant) == (comparison, contestant)]
        return next((one for one in own if shots in one.for_shots), None)

    @property
    def search_jobs(self) -> list[str]:
        """The ids of all search jobs that are known."""
        return [job for search in self.searches for tried in search.tried for job in tried.jobs]

    @property
    def runs(self) -> dict[str, list[TrialEntry]]:
        """The entries of each trial that has an id, by it: one trial may be in several comparisons."""
        runs: dict[str, list[TrialEntry]] = {}
        for entry in self.trials:
            if entry.id:
                runs.setdefault(entry.id, []).append(entry)
        return runs

    @property
    def trainings(self) -> dict[str, list[TrialEntry]]:
        """As `runs`, by the ids of what is trained: of a repeat of k-fold, by those of its folds."""
        trainings: dict[str, list[TrialEntry]] = {}
        for entry in self.trials:
            for run in entry.trainings:
                trainings.setdefault(run, []).append(entry)
        return trainings

    @property
    def evaluations(self) -> set[tuple[str, str]]:
        """Each trial that has an id with each condition under which it is evaluated, "clean" among them."""
        conditions = {one.name: (CLEAN, *one.conditions) for one in self.comparisons}
        return {
            (entry.id, condition)
            for entry in self.trials
            if entry.id
            for condition in conditions[entry.comparison]
        }

    @property
    def planned(self) -> int:
        """How many different trials there are; each entry without an id counts as one."""
        return len(self.runs) + sum(entry.id is None for entry in self.trials)
