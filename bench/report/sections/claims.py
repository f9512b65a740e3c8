"""What is commonly said of ViTs and CNNs, held against the suite's numbers."""

from collections.abc import Mapping
from dataclasses import replace

from bench.analysis.claims.estimate import Estimate
from bench.analysis.claims.tables import limits_of
from bench.analysis.claims.verdict import Judged, Outcome
from bench.analysis.claims.words import count_text, number_text, verdict_text, where
from bench.files import slug
from bench.report.blocks import Column, Details, Field, Section, Table
from bench.report.evidence import Evidence
from bench.report.text import listed
from bench.report.verdicts import words_of

TITLE = "Common claims"
NUMBERS = "Claims in numbers"
Row = tuple[Estimate, Outcome]


def claims(evidence: Evidence) -> Section:
    """A table of the claims that were decided; one line each on those that were not, and not measured."""
    measured = [one for one in evidence.claims if one.estimates]
    if not measured:
        return Section.of("claims", TITLE)
    decided = [one for one in measured if one.verdict != "undecided"]
    undecided = [str(one.claim.number) for one in measured if one.verdict == "undecided"]
    absent = [str(one.claim.number) for one in evidence.claims if not one.estimates]
    columns = (
        Column("Claim", lambda one: Field(_sentence(one), notes=tuple(limits_of(one))), wide=True),
        Column("Verdict", lambda one: Field(_capital(verdict_text(one)), link=one.claim.section), wide=True),
        Column("First number", _first, wide=True),
        Column("Numbers", lambda one: Field(count_text(one), link=f"table-{_name(one)}"), wide=True),
    )
    section = Section.of(
        "claims",
        TITLE,
        Table.of(
            "claims",
            "Sentences that are often said of ViTs and CNNs, judged by the runs of this suite alone. The "
            "rules were written before any run of the suite claims that counts; results of quick and cpu "
            "were known when they were last changed. Verdicts allow for all claims together (Holm, 5 %). "
            "Differences are the first model minus the second, with plain 95 % intervals, each from its own "
            "runs alone: those of contrasts that are judged together differ a little. A verdict leads to its "
            "figure, the count to the numbers and runs behind it.",
            columns,
            decided,
            runs=lambda one: [run for estimate in one.estimates for run in estimate.runs],
        ),
        f"Measured here and undecided: {_claims(undecided)}; their numbers are in the appendix."
        if undecided
        else None,
        f"Not measured here: {_claims(absent)} (vcbench claims lists all)." if absent else None,
    )
    return replace(section, says_little=len(decided) < 2)


def _claims(numbers: list[str]) -> str:
    return f"claim{'' if len(numbers) == 1 else 's'} {listed(numbers)}"


def claim_numbers(evidence: Evidence) -> Section | None:
    """All numbers that bear on each claim, with what is measured and what it is set against."""
    measured = [one for one in evidence.claims if one.estimates]
    if not measured:
        return None
    recipes = dict(zip(evidence.trials["run"], evidence.trials["recipe"], strict=True))
    return Section.of(
        "claim-numbers",
        NUMBERS,
        (
            Details.of(
                _sentence(one),
                f"{one.claim.estimand} {one.claim.control}",
                _table(one, recipes),
            )
            for one in measured
        ),
    )


def _table(judged: Judged, recipes: Mapping[str, str]) -> Table:
    """One row a number.

    Args:
        recipes: by run, the name of its recipe.
    """
    columns = (
        Column("Measured", lambda row: row[0].evidence.name, wide=True),
        Column("Where", lambda row: _where(row[0], recipes), wide=True),
        Column("Models", lambda row: row[0].titles, wide=True),
        Column("Number", lambda row: number_text(row[0])),
        Column("Claim", lambda row: row[1]),
    )
    return Table.of(
        _name(judged),
        f"The numbers behind: {judged.claim.sentence}",
        columns,
        zip(judged.estimates, judged.outcomes, strict=True),
        group_by=lambda row: row[0].evidence.name,
        runs=lambda row: row[0].runs,
    )


def _sentence(judged: Judged) -> str:
    return f"{judged.claim.number}. {judged.claim.sentence}"


def _first(judged: Judged) -> Field:
    first = judged.estimates[0]
    return Field(number_text(first), notes=(f"{first.evidence.name}: {first.titles}",))


def _where(one: Estimate, recipes: Mapping[str, str]) -> str:
    """On what data set, by what training, with how many images per class, and in what setting."""
    ways = dict.fromkeys(words_of(recipes[run])[0] for run in one.runs if run in recipes)
    size = where(one, "images per class")
    per_class = f"{size} image{'' if size == '1' else 's'} per class" if size else ""
    return ", ".join(
        filter(None, [where(one, "dataset"), listed(list(ways)), per_class, where(one, "setting")])
    )


def _name(judged: Judged) -> str:
    return f"claim-{slug(judged.claim.name)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
