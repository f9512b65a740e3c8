"""Everything a report on one suite is made from, read from the store once."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.analysis.cells import CLEAN, cells
from bench.analysis.cells import Cell as MeasuredCell
from bench.analysis.claims.tables import judge_claims
from bench.analysis.claims.verdict import Judged
from bench.analysis.contrasts import Finding, find_contrasts
from bench.analysis.costs import cost_table
from bench.analysis.ensembles import Ensembles
from bench.analysis.flags import flags_of_cell
from bench.analysis.kfold import parts_in
from bench.analysis.match import Match
from bench.analysis.names import dataset_names, named
from bench.analysis.predictions import Outputs, Predictions
from bench.analysis.robustness import results_by_condition, robustness_table
from bench.analysis.search import search_table
from bench.analysis.statistics import mean_interval
from bench.analysis.trained import Training
from bench.errors import InputError, did_you_mean
from bench.report.blocks import Field
from bench.report.cells import Cell
from bench.report.measured import Platform, headlines_of, platforms, tables_of
from bench.report.style import Style, assign_styles
from bench.store.records.listing import HeadlineEntry, Listing
from bench.store.records.profiles import ProfileRecord
from bench.store.records.trials import Result
from bench.store.run_store import RunStore
from bench.store.withdrawn import read_withdrawn
from bench.tables.tables import accuracy_table, history_table


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
        styles: how each contestant is drawn, in the order in which the comparisons name them.
        names: what to call each dataset, by its name and fingerprint.
        training: which trials were trained at all, and what needs no training on the same images.
    """

    store: RunStore
    name: str
    suite: Listing
    records: dict[str, Result]
    trials: pd.DataFrame
    profiles: list[ProfileRecord]
    cost: pd.DataFrame
    styles: dict[str, Style]
    names: dict[tuple[str, str], str]
    training: Training

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, in the order of the suite."""
        unmatched = {one.name: one.unmatched for one in self.suite.comparisons}
        every = cells(self.suite, self.records)
        own = {name: [cell for cell in every if cell.comparison == name] for name in unmatched}
        return [self._cell(cell, own[cell.comparison], unmatched[cell.comparison]) for cell in every]

    def _cell(self, cell: MeasuredCell, comparison: list[MeasuredCell], unmatched: str) -> Cell:
        reason = self.training.reason(cell.records)
        known = [record for record in cell.records if self.predictions.has_scores(record)]
        variance = parts_in(self.predictions.fold_of(known))
        return Cell(
            **vars(cell),
            flags=tuple(flags_of_cell(cell, comparison, unmatched, reason)),
            interval=mean_interval(self.predictions.scores_of(known), variance) if known else None,
            baselines=tuple(base for record in cell.records if (base := self.training.baseline(record))),
            untrained=reason,
        )

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions of the trained networks, image by image."""
        return Predictions(self.store)

    @cached_property
    def findings(self) -> list[Finding]:
        """All contrasts, in the order of the suite."""
        return find_contrasts(self.suite, self.cells, self.predictions, self.cost, self.training)

    @cached_property
    def match(self) -> Match:
        """How far the models of its contrasts are from a matched pair."""
        return Match(self.suite, self.cells, self.cost)

    @cached_property
    def withdrawn(self) -> pd.DataFrame:
        """Trials of this suite, or of the one that it is a variant of, that were taken out of the store."""
        rows = read_withdrawn(self.store.withdrawn)
        return rows[rows["suite"] == self.name.partition("+")[0]]

    @cached_property
    def averages(self) -> Ensembles:
        """The accuracies of averages of two networks."""
        return Ensembles(self.store, self.predictions)

    @cached_property
    def claims(self) -> list[Judged]:
        """Every claim, judged by the suite's numbers."""
        by_condition = {CLEAN: {self.name: self.cells}} | {
            condition: {self.name: cells(self.suite, results, condition)}
            for condition, results in self.under_conditions.items()
        }
        tables = self.measured | {"cost": self.cost, "history": self.histories, "search": self.search}
        return judge_claims({self.name: self.suite}, by_condition, tables, self.training, self.averages)

    @cached_property
    def search(self) -> pd.DataFrame:
        """The search table of the suite."""
        return search_table({self.name: self.suite}, self.store)

    @cached_property
    def histories(self) -> pd.DataFrame:
        """The history table of the suite's trials."""
        return history_table(self.store, self.records)

    @cached_property
    def measured(self) -> dict[str, pd.DataFrame]:
        """The tables speed, memory, scaling, end_to_end and loading of the suite's models."""
        return tables_of(self.profiles)

    @cached_property
    def platforms(self) -> list[Platform]:
        """The machines, device by device, that its models were measured on."""
        return platforms(self.measured)

    @cached_property
    def headlines(self) -> list[HeadlineEntry]:
        """The settings in which its models are compared."""
        return headlines_of(self.suite)

    @cached_property
    def titles(self) -> dict[str, str]:
        """The title of each of its models: the contestant's where it has one, else the card's."""
        contestants: dict[str, set[str]] = {}
        for contestant in self.suite.contestants.values():
            contestants.setdefault(contestant.model, set()).add(contestant.title)
        cards = {one.model: one.title or one.model for one in self.profiles if one.model}
        return cards | {model: next(iter(own)) for model, own in contestants.items() if len(own) == 1}

    @cached_property
    def model_styles(self) -> dict[str, Style]:
        """How each measured model is drawn: as its contestants are, those only profiled after them."""
        styles: dict[str, Style] = {}
        for key, style in self.styles.items():
            styles.setdefault(self.suite.contestants[key].model, style)
        free = 1 + max((style.slot for style in self.styles.values()), default=-1)
        families = {one.model: one.family or "" for one in self.profiles if one.model}
        others = sorted(families.keys() - styles.keys(), key=lambda model: (families[model], model))
        return styles | {model: Style(free + k) for k, model in enumerate(others)}

    @cached_property
    def under_conditions(self) -> dict[str, dict[str, Result]]:
        """By condition, other than clean, and trial: the results of the suite."""
        return results_by_condition(self.store, [self.suite])

    def under(self, condition: str) -> dict[str, Result]:
        """By trial: the results under a condition, or clean ones."""
        return self.records if condition == CLEAN else self.under_conditions.get(condition, {})

    @cached_property
    def robustness(self) -> pd.DataFrame:
        """The robustness table of the suite."""
        return robustness_table({self.name: self.suite}, self.records, self.under_conditions)

    def cells_of(self, comparison: str) -> list[Cell]:
        """The cells of a comparison."""
        return [cell for cell in self.cells if cell.comparison == comparison]

    def outputs_of(self, cell: Cell) -> list[Outputs]:
        """The stored predictions of a cell's runs, of those that have any."""
        stored = [self.predictions.outputs(self.records[run]) for run in cell.runs]
        return [outputs for outputs in stored if outputs is not None]

    def in_order(self, models: Iterable[str]) -> list[str]:
        """These models in the order in which they are drawn, each once."""
        present = set(models)
        return [model for model in self.model_styles if model in present]

    def cell_title(self, cell: Cell) -> Field:
        """The title of a cell's model beside its marker."""
        return Field(cell.title, style=self.styles[cell.contestant])

    def model_title(self, model: str) -> Field:
        """The title of a model beside its marker."""
        return Field(self.titles[model], style=self.model_styles[model])

    @property
    def trains(self) -> bool:
        """Whether the suite trains anything; one that only profiles says nothing of accuracy."""
        return bool(self.suite.comparisons)

    @property
    def done(self) -> pd.DataFrame:
        """The trials that have an outcome."""
        return self.trials[self.trials["outcome"].notna()]


def gather(store: RunStore, name: str) -> Evidence:
    """Read what the store holds of a suite.

    Raises:
        InputError: the store does not know the suite.
    """
    suites = store.suites()
    if name not in suites:
        hint = did_you_mean(name, suites) or f"; it has {', '.join(suites) or 'none yet'}"
        raise InputError(f'{store.root}: nothing was run of a suite "{name}"{hint} (see: vcbench run)')
    suite = suites[name]
    every = store.results()
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
    training = Training(store)
    trials = accuracy_table(records, own, training, names, planned=True)
    return Evidence(
        store, name, suite, records, trials, profiles, cost, assign_styles(suite), names, training
    )
