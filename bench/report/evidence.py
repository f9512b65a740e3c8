"""Everything a report on one suite is made from, read from the store once."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis.cells import Cell as MeasuredCell
from bench.analysis.cells import cells
from bench.analysis.contrasts import Finding, find_contrasts
from bench.analysis.costs import cost_table
from bench.analysis.flags import flags_of_cell
from bench.analysis.names import dataset_names, named
from bench.analysis.predictions import Predictions
from bench.analysis.statistics import mean_interval
from bench.analysis.trained import Training
from bench.analysis.withdrawn import read_withdrawn
from bench.errors import InputError, did_you_mean
from bench.report.cells import Cell
from bench.report.measured import Headline, Place, headlines_of, places, tables_of
from bench.report.style import Look, assign_looks
from bench.tables.tables import accuracy_table, history_table

if TYPE_CHECKING:
    from bench.store.records import ComparisonEntry, Listing, ProfileRecord, TrialRecord
    from bench.store.run_store import RunStore


@dataclass(frozen=True)
class Evidence:
    """One suite with what was measured for it.

    Attributes:
        store: the run store, for what is needed image by image.
        name, suite: the suite and its listing.
        records: the records of its finished and diverged trials, by id.
        trials: one row a planned trial, with the columns of the accuracy table; those not run lack
            an outcome and all scores.
        profiles: the records of what it asked to be profiled, and of whatever else was measured of its
            models.
        cost: the cost table of the profiles that it lists.
        looks: how each contestant is drawn, in the order in which the comparisons name them.
        names: what to call each dataset, by its name and fingerprint.
    """

    store: "RunStore"
    name: str
    suite: "Listing"
    records: "dict[str, TrialRecord]"
    trials: pd.DataFrame
    profiles: "list[ProfileRecord]"
    cost: pd.DataFrame
    looks: dict[str, Look]
    names: dict[tuple[str, str], str]

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, in the order of the suite."""
        found = cells(self.suite, self.records)
        return [
            self._cell(one, [other for other in found if other.comparison == comparison.name], comparison)
            for comparison in self.suite.comparisons
            for one in found
            if one.comparison == comparison.name
        ]

    def _cell(self, cell: MeasuredCell, all_cells: list[MeasuredCell], comparison: "ComparisonEntry") -> Cell:
        records = cell.records
        reason = self.training.reason(records)
        flags = flags_of_cell(cell, all_cells, comparison.unmatched, reason)
        known = [record for record in records if self.predictions.has_scores(record)]
        interval = mean_interval(self.predictions.scores_of(known)) if known else None
        nearest = [base.nearest_top1 for record in records if (base := self.training.baseline(record))]
        return Cell.of(cell, flags, interval, nearest, reason)

    @cached_property
    def predictions(self) -> Predictions:
        """What the trained networks said of each test image."""
        return Predictions(self.store)

    @cached_property
    def findings(self) -> list[Finding]:
        """All contrasts, in the order of the suite."""
        return find_contrasts(self.suite, self.cells, self.predictions, self.cost)

    @cached_property
    def training(self) -> Training:
        """Which trials were trained at all, and what needs no training on the same images."""
        return Training(self.store)

    @cached_property
    def withdrawn(self) -> pd.DataFrame:
        """Trials of this suite, or of the one that it is a variant of, that were taken out of the store."""
        rows = read_withdrawn(self.store.withdrawn)
        return rows[rows["suite"] == self.name.partition("+")[0]]

    @cached_property
    def histories(self) -> pd.DataFrame:
        """The history table of the suite's trials."""
        return history_table(self.store, self.records)

    @cached_property
    def measured(self) -> dict[str, pd.DataFrame]:
        """The tables speed, memory, scaling, end_to_end and loading of the suite's models."""
        return tables_of(self.profiles)

    @cached_property
    def places(self) -> list[Place]:
        """The machines, device by device, that its models were measured on."""
        return places(self.measured)

    @cached_property
    def headlines(self) -> list[Headline]:
        """The settings in which its models are compared."""
        return headlines_of(self.suite)

    @cached_property
    def titles(self) -> dict[str, str]:
        """The title of each of its models: the contestant's where it has one, else the card's."""
        contestants: dict[str, set[str]] = {}
        for contestant in self.suite.contestants.values():
            contestants.setdefault(contestant.model, set()).add(contestant.title)
        found = {one.model: one.title or one.model for one in self.profiles if one.model}
        return found | {model: next(iter(own)) for model, own in contestants.items() if len(own) == 1}

    @cached_property
    def model_looks(self) -> dict[str, Look]:
        """How each measured model is drawn: as its contestants are, those only profiled after them."""
        looks: dict[str, Look] = {}
        for key, look in self.looks.items():
            looks.setdefault(self.suite.contestants[key].model, look)
        free = 1 + max((look.slot for look in self.looks.values()), default=-1)
        families = {one.model: one.family or "" for one in self.profiles if one.model}
        others = sorted(families.keys() - looks.keys(), key=lambda model: (families[model], model))
        return looks | {model: Look(free + place) for place, model in enumerate(others)}

    @property
    def trains(self) -> bool:
        """Whether the suite trains anything; one that only profiles says nothing of accuracy."""
        return bool(self.suite.comparisons)

    @property
    def done(self) -> pd.DataFrame:
        """The trials that have an outcome."""
        return self.trials[self.trials["outcome"].notna()]


def gather(store: "RunStore", name: str) -> Evidence:
    """Read what the store holds of a suite.

    Raises:
        InputError: the store does not know the suite.
    """
    suites = store.suites()
    if name not in suites:
        hint = did_you_mean(name, suites) or f"; it has {', '.join(suites) or 'none yet'}"
        raise InputError(f'{store.root}: nothing was run of a suite "{name}"{hint} (see: vcbench run)')
    suite = suites[name]
    every = store.trials()
    names = dataset_names([*every, *store.externals()])
    suite = named(suite, every, names)
    runs = suite.runs
    records = {record.id: record for record in every if record.id in runs}
    stored, listed = store.profiles(), set(suite.profiles)
    models = {contestant.model for contestant in suite.contestants.values()}
    models |= {profile.model for profile in stored if profile.id in listed and profile.model}
    profiles = [
        profile
        for profile in stored
        if profile.id in listed or (profile.what != "cost" and (profile.model or "any") in {*models, "any"})
    ]
    cost = cost_table(profile for profile in profiles if profile.id in listed)
    own = {name: cells(suite, records)}
    trials = accuracy_table(records, own, Training(store), names, planned=True)
    return Evidence(store, name, suite, records, trials, profiles, cost, assign_looks(suite), names)
