"""The tables of claims: one row a claim, and one row a number that bears on one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd

from bench.analysis.cells import Cell
from bench.analysis.claims.averages import ensembles
from bench.analysis.claims.contestants import REACH, Measured, gather
from bench.analysis.claims.costs import cost, equal_accuracy, exponent
from bench.analysis.claims.estimate import Estimate
from bench.analysis.claims.scores import scores
from bench.analysis.claims.training import failures, learning_rates, spread
from bench.analysis.claims.verdict import Judged, Outcome, judge, threshold
from bench.analysis.claims.words import where
from bench.analysis.ensembles import Ensembles
from bench.analysis.trained import Training
from bench.frames import frame
from bench.spec.claim import Claim, load_claims
from bench.store.same_weights import reach_kept

if TYPE_CHECKING:
    from bench.store.records.listing import Listing

KINDS: dict[str, Callable[[Any, Measured], Iterator[Estimate]]] = {
    "scores": scores,
    "ensembles": ensembles,
    "spread": spread,
    "failures": failures,
    "learning_rates": learning_rates,
    "cost": cost,
    "equal_accuracy": equal_accuracy,
    "exponent": exponent,
}

CLAIMS = {
    "claim": "str",
    "number": "Int64",
    "sentence": "str",
    "verdict": "str",
    "depends_on": "str",
    "holds": "Int64",
    "fails": "Int64",
    "undecided": "Int64",
    "of": "str",
    "estimate": "float64",
    "low": "float64",
    "high": "float64",
    "unit": "str",
    "than": "float64",
    "expect": "str",
    "limits": "str",
    "models": "Int64",
    "runs": "str",
    "section": "str",
}
"""Columns of the claims table. `verdict` is supported, contradicted, depends, undecided or not measured;
`holds`, `fails` and `undecided` count the numbers that bear on the claim (`claim_numbers`), by p-values
that allow for all claims (`bench.analysis.claims.verdict`). `estimate` with its plain 95 % interval is the
first of these numbers in the order of the claim's file, which `of` names, in `unit`: points and percent are
hundredths.
`limits` are what a reader must know, `models` how many networks are behind the verdict."""

CLAIM_NUMBERS = {
    "claim": "str",
    "evidence": "str",
    "regime": "str",
    "pretraining": "str",
    "dataset": "str",
    "images_per_class": "str",
    "setting": "str",
    "models": "str",
    "estimate": "float64",
    "low": "float64",
    "high": "float64",
    "unit": "str",
    "expect": "str",
    "than": "float64",
    "outcome": "str",
    "flops_ratio": "float64",
    "diverged": "Int64",
    "runs": "str",
}
"""Columns of the claim_numbers table: one row a number. The claim says that it is more or less (`expect`)
than `than`; `outcome` is whether the claim holds there, fails or is undecided. `diverged` is how many trials
are left out because they diverged, which have nothing to lose under a condition, no gap and no confidence."""


def claim_tables(judged: Sequence[Judged]) -> dict[str, pd.DataFrame]:
    """Both tables of `judge_claims`."""
    return {
        "claims": frame([_known(claim_row(one)) for one in judged], CLAIMS),
        "claim_numbers": frame([_known(row) for one in judged for row in _number_rows(one)], CLAIM_NUMBERS),
    }


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its empty texts."""
    return {name: value for name, value in row.items() if value != ""}


def judge_claims(
    suites: "Mapping[str, Listing]",
    cells: Mapping[str, Mapping[str, Sequence[Cell]]],
    tables: Mapping[str, pd.DataFrame],
    training: Training,
    averages: Ensembles,
) -> list[Judged]:
    """All claims by what was measured; without anything, all are there and not measured.

    Args:
        suites: by name, as the store lists them.
        cells: by condition, the clean one first, and suite.
        tables: cost, speed, memory, scaling, search and history.
        averages: of two networks, with the predictions of the store.
    """
    return judge_measured(measured_by(suites, cells, tables, training, averages))


def judge_measured(measured: Measured) -> list[Judged]:
    """All claims."""
    claims = load_claims()
    return judge({claim.name: estimates_of(claim, measured) for claim in claims}, claims)


def measured_by(
    suites: "Mapping[str, Listing]",
    cells: Mapping[str, Mapping[str, Sequence[Cell]]],
    tables: Mapping[str, pd.DataFrame],
    training: Training,
    averages: Ensembles,
) -> Measured:
    """What claims are judged by; arguments as for `judge_claims`."""
    contestants = gather(suites, cells, tables["cost"], training)
    reach = frame(reach_kept(averages.store), REACH)
    return Measured(contestants, {**tables, "reach": reach}, averages.predictions, training, averages)


def estimates_of(claim: Claim, measured: Measured) -> list[Estimate]:
    """Every number that bears on a claim, in the order of its evidence; what suites and comparisons share
    counts once: of numbers from the same runs, the one from the most."""
    kept: list[Estimate] = []
    for evidence in claim.evidence:
        made = list(KINDS[evidence.kind](evidence, measured))
        behind = [set(one.runs) for one in made]
        having: dict[tuple[str | None, str], list[int]] = {}
        for at, one in enumerate(made):
            for run in behind[at]:
                having.setdefault((one.case.get("setting"), run), []).append(at)
        for at, one in enumerate(made):
            others = having[one.case.get("setting"), one.runs[0]]
            if not any(behind[at] < behind[k] or (k < at and behind[at] == behind[k]) for k in others):
                kept.append(one)
    return kept


def claim_row(judged: Judged) -> dict[str, Any]:
    """The row of a claim."""
    claim, estimates = judged.claim, judged.estimates
    row = {name: getattr(claim, name, None) for name in ("number", "sentence", "section")} | {
        "claim": claim.name,
        "verdict": judged.verdict,
        "depends_on": ", ".join(judged.depends_on),
        **{outcome: judged.outcomes.count(outcome) for outcome in get_args(Outcome)},
        "limits": "; ".join(limits_of(judged)),
        "models": len({model for one in estimates for side in one.models for model in side}),
        "runs": " ".join(dict.fromkeys(run for one in estimates for run in one.runs)),
    }
    if estimates:
        case = estimates[0].case
        of = [case[key] for key in ("evidence", "models", "dataset", "images per class") if case.get(key)]
        row |= _number(estimates[0]) | {"of": ", ".join(of)}
    return row


def limits_of(judged: Judged) -> list[str]:
    """What a reader of a verdict must know: on how few models and data sets it rests, what is missing."""
    estimates = judged.estimates
    limits = []
    if judged.one_pair:
        titles = list(dict.fromkeys(one.titles for one in judged.having("holds", "fails")))
        limits.append(f"of {titles[0]} alone" if len(titles) == 1 else "one model stands for a whole kind")
    for key, noun in (("dataset", "data set"), ("regime", "regime")):
        values = list(dict.fromkeys(where(one, key) for one in estimates if one.case.get(key)))
        if len(values) == 1:
            limits.append(f"one {noun}: {values[0]}")
    ratios = [max(r, 1 / r) for one in estimates if (r := one.flops_ratio)]
    if ratios and max(ratios) > 1.25 and judged.claim.families:
        limits.append(f"FLOPs differ by up to {max(ratios):.1f} times")
    if estimates and judged.lacking:
        limits.append(f"not measured: {', '.join(judged.lacking)}")
    if judged.without_interval:
        limits.append(f"not judged, without an interval: {', '.join(judged.without_interval)}")
    if judged.claim.missing:
        limits.append(f"not measured: {judged.claim.missing}")
    return limits


def _number_rows(judged: Judged) -> Iterator[dict[str, Any]]:
    for one, outcome in zip(judged.estimates, judged.outcomes, strict=True):
        case = {key.replace(" ", "_"): value for key, value in one.case.items()}
        yield (
            case
            | _number(one)
            | {
                "claim": judged.claim.name,
                "outcome": outcome,
                "flops_ratio": one.flops_ratio,
                "diverged": one.diverged[0],
                "runs": " ".join(one.runs),
            }
        )


def _number(one: Estimate) -> dict[str, Any]:
    number = one.number
    return {
        "estimate": one.shown(number.value),
        "low": one.shown(number.low),
        "high": one.shown(number.high),
        "unit": one.unit,
        "expect": one.evidence.expect,
        "than": one.shown(threshold(one)),
    }
