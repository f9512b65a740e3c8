"""vcbench claims: what is said of ViTs and CNNs, held against what was measured."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.common import (
    DEFAULT_RESULTS,
    DataDir,
    Json,
    Results,
    data_folder,
    existing_store,
    print_columns,
    print_json,
    stored_suite,
)
from bench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from bench.analysis.claims.verdict import Judged


def claims(
    suite: Annotated[
        str | None,
        typer.Argument(metavar="[SUITE]", help="Only this suite's runs [default: all of the store]."),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    claim: Annotated[
        str | None, typer.Option("--claim", metavar="NAME", help="All numbers behind one claim.")
    ] = None,
    reach: Annotated[
        bool,
        typer.Option("--reach", help="First measure how far the layers of runs look whose weights are kept."),
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say which common claims about ViTs and CNNs the stored runs support.

    Each claim has a rule, by which it is supported, contradicted, depends on something, undecided or not
    measured. The rules were written before any run of the suite claims that counts; results of quick and cpu
    were known when they were last changed. The number shown is the first that bears on it, with its plain
    95 % interval; verdicts allow for all claims together (Holm, 5 %).

    Example: vcbench claims --results results/published
    """
    from bench.analysis.claims.tables import claim_tables
    from bench.store.run_store import RunStore
    from bench.tables.claims import claims_of, measured_of

    store = RunStore(existing_store(results))
    names = None if suite is None else [stored_suite(store, suite)]
    if reach:
        from bench.inspection.reach import keep_reach, runs_asked

        keep_reach(store, runs_asked(measured_of(store, names)), data_folder(data_dir))
    judged = claims_of(store, names)
    if claim is not None:
        known = [one.claim.name for one in judged]
        if claim not in known:
            raise InputError(f"--claim {claim}: no such claim{did_you_mean(claim, known)}")
        judged = [one for one in judged if one.claim.name == claim]
    if as_json:
        tables = claim_tables(judged)
        print_json({name: json.loads(table.to_json(orient="records")) for name, table in tables.items()})
    elif claim is not None:
        _print_numbers(judged[0])
    else:
        _print_claims(judged)


def _print_claims(judged: "list[Judged]") -> None:
    from bench.analysis.claims.words import count_text, number_text, verdict_text

    for one in judged:
        print(f"{one.claim.number:2}  {one.claim.sentence}")
        print(f"    {verdict_text(one)}" + (f" ({count_text(one)})" if one.estimates else ""))
        if one.estimates:
            first = one.estimates[0]
            runs = {run for estimate in one.estimates for run in estimate.runs}
            print(
                f"    {first.evidence.name}: {number_text(first)}, {first.titles}; runs behind: {len(runs)}"
            )
    print("\nThe numbers behind one of them: vcbench claims --claim NAME, with one of")
    print(", ".join(one.claim.name for one in judged))


def _print_numbers(judged: "Judged") -> None:
    from bench.analysis.claims.tables import limits_of
    from bench.analysis.claims.words import number_text, verdict_text, where

    claim = judged.claim
    print(f"{claim.sentence}\n{verdict_text(judged)}\n")
    print(f"Measured: {claim.estimand}\nControl: {claim.control}")
    for limit in limits_of(judged):
        print(f"Limit: {limit}")
    rows = [
        (
            one.evidence.name,
            *(where(one, key) or "-" for key in ("dataset", "images per class", "setting")),
            one.titles,
            number_text(one),
            outcome,
        )
        for one, outcome in zip(judged.estimates, judged.outcomes, strict=True)
    ]
    if rows:
        print()
        header = ("MEASURED", "DATA SET", "PER CLASS", "SETTING", "MODELS", "NUMBER", "CLAIM")
        print_columns(rows, header)
