"""Everything a report on one suite is made from, read from the store once."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.contrasts import Finding, find_contrasts
from bench.analysis.growth import Growth, growths
from bench.analysis.predictions import Predictions
from bench.analysis.tables import accuracy_table, cost_table, history_table
from bench.errors import InputError, did_you_mean
from bench.report.cells import Cell, cells
from bench.report.style import Look, assign_looks

if TYPE_CHECKING:
    from bench.store import RunStore

OWN = ["comparison", "contestant", "shots", "replicate", "draw_seed", "seed"]


@dataclass(frozen=True)
class Evidence:
    """One suite with what was measured for it.

    Attributes:
        store: the run store, for what is needed image by image.
        name, suite: the suite and its listing.
        records: the records of its finished and diverged trials, by id.
        trials: one row a planned trial, with the columns of the accuracy table; those not run lack
            an outcome and all scores.
        cost: the cost table of its profiles.
        looks: how each contestant is drawn, in the order in which the comparisons name them.
    """

    store: "RunStore"
    name: str
    suite: dict[str, Any]
    records: dict[str, dict[str, Any]]
    trials: pd.DataFrame
    cost: pd.DataFrame
    looks: dict[str, Look]

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, in the order of the suite."""
        return cells(self.trials, self.suite["comparisons"])

    @cached_property
    def predictions(self) -> Predictions:
        """What the trained networks said of each test image."""
        return Predictions(self.store)

    @cached_property
    def findings(self) -> list[Finding]:
        """All contrasts, in the order of the suite."""
        return find_contrasts(self.suite, self.records, self.predictions, self.cost)

    @cached_property
    def growths(self) -> dict[tuple[str, str], Growth]:
        """Accuracy by size, of each comparison and contestant."""
        return growths(self.suite, self.records, self.predictions)

    @cached_property
    def histories(self) -> pd.DataFrame:
        """The history table of the suite's trials."""
        return history_table(self.store, self.records)

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
    ids = {entry["id"] for entry in suite["trials"]}
    records = {record["id"]: record for record in store.trials() if record["id"] in ids}
    profiles = [profile for profile in store.profiles() if profile["id"] in set(suite["profiles"])]
    trials = _trials(suite, accuracy_table(records.values(), {name: suite}))
    return Evidence(store, name, suite, records, trials, cost_table(profiles), assign_looks(suite))


def _trials(suite: dict[str, Any], accuracy: pd.DataFrame) -> pd.DataFrame:
    """The suite's list of trials joined with what was measured of each."""
    dtypes = {"id": "str"} | {name: str(accuracy[name].dtype) for name in OWN}
    entries = pd.DataFrame(suite["trials"], columns=list(dtypes)).astype(dtypes).rename(columns={"id": "run"})
    known = {comparison["name"]: comparison for comparison in suite["comparisons"]}
    contestants = suite["contestants"]
    entries["title"] = [contestants[key]["title"] for key in entries["contestant"]]
    measured = accuracy.drop(columns=[*OWN, "title"])
    trials = entries.merge(measured, on="run", how="left", validate="many_to_one")
    planned = {
        "model": [contestants[key]["model"] for key in trials["contestant"]],
        "recipe": [
            contestants[key]["recipe"] or known[name]["recipe"]
            for key, name in zip(trials["contestant"], trials["comparison"], strict=True)
        ],
        "dataset": [known[name]["dataset"] for name in trials["comparison"]],
        "split_id": [known[name]["split_id"] for name in trials["comparison"]],
        "input_size": [known[name]["input_size"] for name in trials["comparison"]],
    }
    for column, values in planned.items():
        trials[column] = trials[column].fillna(pd.Series(values, dtype=trials[column].dtype))
    # A contestant's weights are the same in all of its trials, so that one of them tells for the others.
    known_weights = trials.groupby("contestant")["pretraining"].transform("first")
    unpretrained = pd.Series(
        [contestants[key]["weights"] == "none" for key in trials["contestant"]], dtype=bool
    )
    trials["pretraining"] = trials["pretraining"].fillna(known_weights).mask(unpretrained, "none")
    return trials
