"""Claims judged by what a store holds."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.analysis.cells import CLEAN, cells
from bench.analysis.claims.contestants import Measured
from bench.analysis.claims.tables import judge_measured, measured_by
from bench.analysis.claims.verdict import Judged
from bench.analysis.costs import cost_table
from bench.analysis.ensembles import Ensembles
from bench.analysis.names import dataset_names, named
from bench.analysis.predictions import Predictions
from bench.analysis.robustness import results_by_condition
from bench.analysis.search import search_table
from bench.analysis.trained import Training
from bench.tables.measured import measured_tables
from bench.tables.tables import history_table

if TYPE_CHECKING:
    from bench.store.run_store import RunStore


def claims_of(store: "RunStore", names: Iterable[str] | None = None) -> list[Judged]:
    """Every claim with its verdict, by some suites of a store; None is all of it."""
    return judge_measured(measured_of(store, names))


def measured_of(store: "RunStore", names: Iterable[str] | None = None) -> Measured:
    """What claims are judged by. Costs count that suites ask for, or that were measured of their models."""
    every = {record.id: record for record in store.results()}
    titles = dataset_names([*every.values(), *store.externals()])
    listings = store.suites()
    suites = {
        name: named(listings[name], every.values(), titles) for name in (listings if names is None else names)
    }
    runs = {run for suite in suites.values() for run in suite.runs}
    records = {run: record for run, record in every.items() if run in runs}
    by_condition = {CLEAN: {name: cells(suite, records) for name, suite in suites.items()}}
    for condition, results in results_by_condition(store, suites.values()).items():
        by_condition[condition] = {name: cells(suite, results, condition) for name, suite in suites.items()}
    listed = {run for suite in suites.values() for run in suite.profiles}
    models = {one.model for suite in suites.values() for one in suite.contestants.values()}
    profiles = [
        profile
        for profile in store.profiles()
        if names is None or profile.id in listed or profile.model in models
    ]
    tables = {
        "cost": cost_table(profiles),
        **measured_tables(profiles),
        "history": history_table(store, records),
        "search": search_table(suites, store),
    }
    return measured_by(suites, by_condition, tables, Training(store), Ensembles(store, Predictions(store)))
