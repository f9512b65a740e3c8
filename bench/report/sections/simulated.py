"""What simulation says of the intervals and claims, in words and as tables."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis.simulation.study import stored
from bench.report.blocks import Block, Column, Details, Prose, Table, number
from bench.report.text import count, percent

IMAGES = 600
POWER = "six sizes, 5 points apart"
UNEVEN = ("equal models, spreads of 0.2, 4 and 1 points", 10, 6149)
UNEVEN_PLAIN, UNEVEN_ERROR = 0.059, 0.0053
"""False verdicts in 2,000 suites of this scenario, by replicates and images, with the seed of the stored
study and `--cap 0`: the parts of the variance as they are, which `decisions.moderated` would raise."""


def simulated() -> tuple[Block, ...]:
    """What the rates come to, the worst of each claim, and all of them folded away."""
    rates = stored()
    return (
        Prose(_summary(rates)),
        _worst(rates),
        Details.of(f"All {len(rates)} simulated rates", _all(rates)),
    )


def rates_sentence() -> str:
    """The worst rates of false verdicts, for where verdicts stand."""
    rates = stored()
    parts = []
    for claim, name in (("verdict", "a false better or worse"), ("equivalent", "a false equivalent")):
        worst = rates[rates["claim"] == claim].groupby("replicates")["false_claims"].max()
        each = ", ".join(f"{percent(rate)} % with {n} replicates" for n, rate in worst.items())
        parts.append(f"{name} in at most {each}")
    return (
        f"Of {count(rates['suites'].iloc[0])} suites simulated for each of several known truths there was "
        f"{'; '.join(parts)}; 5 % is stated for each. The section Protocol has the table, the power, and "
        "where intervals fail."
    )


def _summary(rates: pd.DataFrame) -> str:
    first = rates.iloc[0]
    text = (
        f"Checked by simulation: {count(first['suites'])} suites a scenario with a known truth, analysed by "
        f"the same functions ({first['command']}, VCBench {first['vcbench']}). False: better or worse where "
        "there is no difference or the other one, equivalent where the difference is delta or more; a suite "
        "counts once, however many false verdicts it has. For plain intervals the rate is how often "
        "they miss the true value."
    )
    over = rates[~rates["holds"].astype(bool)]
    limit = "three Monte Carlo standard errors"
    if over.empty:
        text += f" No rate of false claims is more than {limit} above the 5 % that is stated."
    else:
        each = "; ".join(dict.fromkeys(f"{row.claim}, {row.scenario}" for row in over.itertuples()))
        text += f" More than {limit} above the 5 % that is stated: {each}."
    text += _highest(rates)
    blind = rates[rates["covers"].astype(str) == "False"]
    if len(blind):
        worst = blind.groupby("scenario", sort=False)["coverage"].min()
        each = "; ".join(f"{name} (down to {percent(rate)} %)" for name, rate in worst.items())
        text += (
            " In these scenarios the plain intervals of the worst cell cover the true value less often than "
            f"stated: {each}. A run that diverges only rarely is absent from most suites with few "
            "replicates, and no interval accounts for what was never observed."
        )
    power = rates[(rates["scenario"] == POWER) & (rates["claim"] == "verdict")]
    power = power.set_index(["replicates", "images"])["power"]
    each = ", ".join(
        f"{percent(power[n, IMAGES])} % with {n} replicates" for n in sorted(power.index.unique("replicates"))
    )
    return text + (
        f" A true difference of 5 points with a spread over replicates of 2 points, at six sizes and with "
        f"{count(IMAGES)} test images, is found in {each}."
    )


def _highest(rates: pd.DataFrame) -> str:
    """The highest rate of a false better or worse, where it is above what is stated."""
    own = rates[rates["claim"] == "verdict"]
    row = own.loc[own["false_claims"].idxmax()]
    if row["false_claims"] <= row["stated"]:
        return ""
    text = (
        f" The highest rate of a false better or worse is {percent(row['false_claims'])} ± "
        f"{percent(row['false_claims_error'])} % ({_scenario(row)}, {row['replicates']} replicates)."
    )
    if (row["scenario"], row["replicates"], row["images"]) == UNEVEN:
        text += (
            f" Little of this is due to raising the part from replicates: without it (--cap 0) the same "
            f"suites have {percent(UNEVEN_PLAIN)} ± {percent(UNEVEN_ERROR)} %."
        )
    return text


def _worst(rates: pd.DataFrame) -> Table:
    at = rates.groupby(["claim", "replicates"], sort=False)["false_claims"].idxmax()
    claims = list(rates["claim"].unique())
    at = sorted(at, key=lambda index: claims.index(rates.at[index, "claim"]))
    columns = (
        Column("Claim", lambda row: row["claim"]),
        number("Replicates", lambda row: count(row["replicates"])),
        _rate("Most false claims (%)", "false_claims"),
        Column("in the scenario", _scenario, wide=True),
        number("Stated (%)", lambda row: percent(row["stated"])),
    )
    caption = (
        "Rates of false claims in the worst scenario of each kind of claim, ± Monte Carlo standard error."
    )
    return Table.of("simulated-worst", caption, columns, rates.loc[at].to_dict("records"))


def _scenario(row: Mapping[str, Any]) -> str:
    return (
        f"{row['scenario']}, {count(row['images'])} images" if row["false_claims"] > 0 else "every scenario"
    )


def _all(rates: pd.DataFrame) -> Table:
    columns = (
        Column("Scenario", lambda row: row["scenario"]),
        Column("Claim", lambda row: row["claim"]),
        number("Replicates", lambda row: count(row["replicates"])),
        number("Test images", lambda row: count(row["images"])),
        _rate("False claims (%)", "false_claims"),
        _rate("All intervals cover (%)", "coverage"),
        _rate("Power (%)", "power"),
        number("Half-width (points)", _half_width),
    )
    caption = (
        "Simulated suites: false claims, suites in which all intervals hold the truth, and true differences "
        "found (crossings claimed rightly); ± Monte Carlo standard error."
    )
    rows = rates.to_dict("records")
    return Table.of("simulated", caption, columns, rows, group_by=lambda row: row["scenario"])


def _half_width(row: Mapping[str, Any]) -> str:
    return "none" if math.isnan(row["half_width"]) else f"{100 * row['half_width']:.1f}"


def _rate(title: str, name: str) -> Column:
    """A rate in percent, ± its Monte Carlo standard error."""

    def content(row: Mapping[str, Any]) -> str | tuple[str, str]:
        return "none" if math.isnan(row[name]) else (percent(row[name]), percent(row[f"{name}_error"]))

    return number(title, content)
