"""What simulation says of the intervals and claims, in words and as tables."""

import math

import pandas as pd

from bench.analysis.simulation.study import stored
from bench.report.blocks import Block, Column, Details, Field, Prose, Table
from bench.report.text import count, percent, plus_minus

WORST = (
    Column("Claim"),
    Column("Replicates", numeric=True),
    Column("Most false claims (%)", numeric=True),
    Column("in the scenario", wide=True),
    Column("Stated (%)", numeric=True),
)
ALL = (
    Column("Scenario"),
    Column("Claim"),
    Column("Replicates", numeric=True),
    Column("Test images", numeric=True),
    Column("False claims (%)", numeric=True),
    Column("All intervals cover (%)", numeric=True),
    Column("Power (%)", numeric=True),
    Column("Half-width (points)", numeric=True),
)
IMAGES = 600
POWER = "six sizes, 5 points apart"
UNEVEN = ("equal models, spreads of 0.2, 4 and 1 points", 10, 6149)
UNEVEN_PLAIN, UNEVEN_ERROR = 0.059, 0.0053
"""False verdicts in 2,000 suites of this scenario, by replicates and images, with the seed of the stored
study and `--cap 0`: the parts of the variance as they are, which `decisions.moderated` would raise."""


def simulated() -> tuple[Block, ...]:
    """What the rates come to, the worst of each claim, and all of them folded away."""
    table = stored()
    return (
        Prose(_in_words(table)),
        _worst(table),
        Details(f"All {len(table)} simulated rates", (_all(table),)),
    )


def rates_in_words() -> str:
    """The worst rates of false verdicts, for where verdicts stand."""
    table = stored()
    said = []
    for claim, words in (("verdict", "a false better or worse"), ("equivalent", "a false equivalent")):
        worst = table[table["claim"] == claim].groupby("replicates")["false_claims"].max()
        rates = ", ".join(f"{percent(rate)} % with {n} replicates" for n, rate in worst.items())
        said.append(f"{words} in at most {rates}")
    return (
        f"Of {count(table['suites'].iloc[0])} suites simulated for each of several known truths there was "
        f"{'; '.join(said)}; 5 % is stated for each. The section Protocol has the table, the power, and "
        "where "
        "intervals fail."
    )


def _in_words(table: pd.DataFrame) -> str:
    first = table.iloc[0]
    words = (
        f"Checked by simulation: {count(first['suites'])} suites a scenario with a known truth, analysed by "
        f"the same functions ({first['command']}, VCBench {first['vcbench']}). False: better or worse where "
        "there is no difference or the other one, equivalent where the difference is delta or more; a suite "
        "counts once, however many false verdicts it has. For plain intervals the rate is how often "
        "they miss the true value."
    )
    over = table[~table["holds"].astype(bool)]
    limit = "three Monte Carlo standard errors"
    if over.empty:
        words += f" No rate of false claims is more than {limit} above the 5 % that is stated."
    else:
        places = "; ".join(dict.fromkeys(f"{row.claim}, {row.scenario}" for row in over.itertuples()))
        words += f" More than {limit} above the 5 % that is stated: {places}."
    words += _highest(table)
    blind = table[table["covers"].astype(str) == "False"]
    if len(blind):
        worst = blind.groupby("scenario", sort=False)["coverage"].min()
        places = "; ".join(f"{name} (down to {percent(rate)} %)" for name, rate in worst.items())
        words += (
            " In these scenarios the plain intervals of the worst cell cover the true value less often than "
            f"stated: {places}. A run that diverges only rarely is absent from most suites with few "
            "replicates, and no interval accounts for what was never observed."
        )
    power = table[(table["scenario"] == POWER) & (table["claim"] == "verdict")]
    power = power.set_index(["replicates", "images"])["power"]
    found = ", ".join(
        f"{percent(power[n, IMAGES])} % with {n} replicates" for n in sorted(power.index.unique("replicates"))
    )
    return words + (
        f" A true difference of 5 points with a spread over replicates of 2 points, at six sizes and with "
        f"{count(IMAGES)} test images, is found in {found}."
    )


def _highest(table: pd.DataFrame) -> str:
    """The highest rate of a false better or worse, where it is above what is stated."""
    own = table[table["claim"] == "verdict"]
    row = own.loc[own["false_claims"].idxmax()]
    if row["false_claims"] <= row["stated"]:
        return ""
    words = (
        f" The highest rate of a false better or worse is {percent(row['false_claims'])} ± "
        f"{percent(row['false_claims_error'])} % ({_scenario(row)}, {row['replicates']} replicates)."
    )
    if (row["scenario"], row["replicates"], row["images"]) == UNEVEN:
        words += (
            f" Little of this is due to raising the part from replicates: without it (--cap 0) the same "
            f"suites have {percent(UNEVEN_PLAIN)} ± {percent(UNEVEN_ERROR)} %."
        )
    return words


def _worst(table: pd.DataFrame) -> Table:
    at = table.groupby(["claim", "replicates"], sort=False)["false_claims"].idxmax()
    kinds = {claim: place for place, claim in enumerate(table["claim"].unique())}
    at = sorted(at, key=lambda index: kinds[table.at[index, "claim"]])
    rows = tuple(
        (
            Field(row["claim"]),
            Field(count(row["replicates"])),
            _rate(row, "false_claims"),
            Field(_scenario(row)),
            Field(percent(row["stated"])),
        )
        for _, row in table.loc[at].iterrows()
    )
    caption = (
        "Rates of false claims in the worst scenario of each kind of claim, ± Monte Carlo standard error."
    )
    return Table("simulated-worst", caption, WORST, rows)


def _scenario(row: pd.Series) -> str:
    return (
        f"{row['scenario']}, {count(row['images'])} images" if row["false_claims"] > 0 else "every scenario"
    )


def _all(table: pd.DataFrame) -> Table:
    starts = table.index[table["scenario"] != table["scenario"].shift()]
    rows = tuple(
        (
            Field(row["scenario"]),
            Field(row["claim"]),
            Field(count(row["replicates"])),
            Field(count(row["images"])),
            _rate(row, "false_claims"),
            _rate(row, "coverage"),
            _rate(row, "power"),
            Field("none" if math.isnan(row["half_width"]) else f"{100 * row['half_width']:.1f}"),
        )
        for _, row in table.iterrows()
    )
    caption = (
        "Simulated suites: false claims, suites in which all intervals hold the truth, and true differences "
        "found (crossings claimed rightly); ± Monte Carlo standard error."
    )
    return Table("simulated", caption, ALL, rows, frozenset(map(int, starts)))


def _rate(row: pd.Series, name: str) -> Field:
    if math.isnan(row[name]):
        return Field("none")
    return Field(percent(row[name]), spread=plus_minus(percent(row[f"{name}_error"])))
