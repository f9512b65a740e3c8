"""Every headline number of a report as a macro, so that a paper's text follows the benchmark."""

from collections.abc import Iterator
from itertools import chain, groupby
from typing import Any

import pandas as pd

from bench.analysis.contrasts import Finding
from bench.analysis.crossovers import crossover_of
from bench.files import slug
from bench.report.document import Header
from bench.report.evidence import Evidence
from bench.report.measured import Platform, trusted
from bench.report.row_text import row_notes
from bench.report.sections.complementarity import TWINS_A, TWINS_B, TWO, complements
from bench.report.text import MINUS, NOT_MEASURED, decimal, interval_ends, percent, points
from bench.report.verdicts import short_notes, verdict
from bench.report.writers.escape import latex as escape

HEAD = r"""% Numbers of a VCBench report, by their keys: \vcnum{KEY}. Rendering again updates them.
% The runs behind them and the notes on them stand above; the commands below the tables of the report.
% In text, \num{\vcnum{KEY}} of siunitx sets signs; accuracies are in percent, differences in points.
% A key of speed or memory holds the whole setting: no other measurement changes its value. What was not
% measured, or is withheld as unstable, has no key.
\providecommand{\vcnum}[1]{\ifcsname vcnum@#1\endcsname\csname vcnum@#1\endcsname\else
  \errmessage{vcbench: no number #1}\fi}
"""


def latex_macros(evidence: Evidence, header: Header) -> str:
    """Every accuracy, contrast, crossover and average of two, every cost, and speed and memory in every
    setting that was measured."""
    parts = chain(
        _accuracies(evidence),
        _contrasts(evidence),
        _crossovers(evidence),
        _ensembles(evidence),
        _costs(evidence),
        _measured(evidence),
    )
    return "\n".join([HEAD.rstrip(), _define("suite", escape(header.suite)), *parts]) + "\n"


def _accuracies(evidence: Evidence) -> Iterator[str]:
    for cell in evidence.cells:
        key = f"{slug(cell.comparison)}/{slug(cell.contestant)}/{cell.shots or 'all'}"
        score = cell.scores["top1"]
        yield from _comments(cell.runs, cell.notes)
        yield _define(f"{key}/top1", percent(score.mean))
        if score.n > 1:
            yield _define(f"{key}/sd", percent(score.sd))
        yield _define(f"{key}/n", str(score.n))
        for name in ("ece", "top1_deduplicated"):
            if cell.scores[name].n:
                yield _define(f"{key}/{name.replace('_', '-')}", percent(cell.scores[name].mean))


def _contrasts(evidence: Evidence) -> Iterator[str]:
    yield "% alpha: the error of all verdicts together; m: how many contrasts and sizes share it"
    for judged in [f.contrast for f in evidence.findings if f.pair.primary and f.result][:1]:
        yield _define("alpha", f"{judged.alpha:g}")
        yield _define("m", str(judged.comparisons))
    for finding in evidence.findings:
        pair, result = finding.pair, finding.result
        key = f"{_pair(finding)}/{pair.shots or 'all'}"
        yield from _comments(finding.runs_a + finding.runs_b, short_notes(finding))
        estimate, *both = (getattr(result, name, None) for name in ("estimate", "low", "high"))
        values = (points(estimate), *interval_ends(*both))
        for name, value in zip(("difference", "low", "high"), values, strict=True):
            yield _define(f"{key}/{name}", value.replace(MINUS, "-").removeprefix("+"))
        yield _define(f"{key}/verdict", verdict(finding))


def _pair(finding: Finding) -> str:
    return f"{slug(finding.pair.comparison)}/{slug(finding.pair.a)}-{slug(finding.pair.b)}"


def _crossovers(evidence: Evidence) -> Iterator[str]:
    """The first crossover of each primary pair that has one, in images per class."""
    primary = [finding for finding in evidence.findings if finding.pair.primary]
    for key, group in groupby(primary, key=_pair):
        change = crossover_of(list(group))
        if change and change.crossings:
            first = change.crossings[0]
            for name, value in (("from", first.low), ("to", first.high), ("about", first.point)):
                yield _define(f"{key}/crossover-{name}", f"{value:.3g}")


def _ensembles(evidence: Evidence) -> Iterator[str]:
    """The accuracy of averaging two networks: of both models, and of two runs of each."""
    for one in complements(evidence):
        key = f"{_pair(one.finding)}/{one.finding.pair.shots or 'all'}"
        for name, kind in (("both", TWO), ("first", TWINS_A), ("second", TWINS_B)):
            if (value := one.averaged(kind)) != NOT_MEASURED:
                yield _define(f"{key}/average-of-{name}", value)


def _costs(evidence: Evidence) -> Iterator[str]:
    for row in evidence.cost.to_dict("records"):
        key = f"cost/{slug(row['model'])}/{row['classes']}/{row['input_size']}"
        yield from _comments((row["profile"],))
        yield _define(f"{key}/params-m", decimal(row["params"] / 1e6, 2))
        yield _define(f"{key}/gmacs", decimal(row["gmacs"], 3))


# By table: the columns that are cited, and their names in a key.
CITED = {
    "speed": {"images_per_s": "images-per-s", "latency_ms_median": "latency-ms"},
    "end_to_end": {"images_per_s": "images-per-s", "latency_ms_median": "latency-ms"},
    "memory": {
        "peak_allocated_mib": "peak-allocated-mib",
        "peak_reserved_mib": "peak-reserved-mib",
        "peak_rss_mib": "peak-resident-mib",
    },
}


def _measured(evidence: Evidence) -> Iterator[str]:
    """Every measured row that is not withheld or unstable, under a key that holds its whole setting."""
    taken: set[str] = set()
    for platform in evidence.platforms:
        for table, columns in CITED.items():
            # The earliest of rows that differ in nothing but versions of other libraries keeps the plain key.
            rows = platform.tables[table]
            if rows.empty:
                continue
            yield f"% {table.replace('_', ' ')}, {escape(platform.name)}"
            for row in rows.sort_values(["finished", "profile"], kind="stable").to_dict("records"):
                key = setting_key(platform, table, row)
                if trusted(pd.DataFrame([row])).empty:
                    yield f"% no number: {key} ({escape('; '.join(row_notes(row)))}; run {row['profile']})"
                    continue
                if key in taken:
                    key += f"/{slug(row['profile'])}"
                taken.add(key)
                yield from _comments((row["profile"],), row_notes(row))
                for column, name in columns.items():
                    if not pd.isna(row[column]):
                        yield _define(f"{key}/{name}", _digits(row[column]))


def setting_key(platform: Platform, table: str, row: dict[str, Any]) -> str:
    """The key of a row of speed, end_to_end or memory: everything that its numbers depend on."""
    execution = [
        row["precision"],
        row["memory_format"],
        "compiled" if not pd.isna(row["compiled"]) and row["compiled"] else "eager",
    ]
    if platform.kind == "CPU":
        execution.append("freed-kept" if row["allocator"] == "keep_freed" else "freed-returned")
    elif row["cudnn_benchmark"] is True:
        execution.append("cudnn-benchmark")
    parts = [
        table,
        platform.device,
        platform.machine,
        row.get("mode", "infer"),
        row["model"],
        "-".join(execution),
        f"batch-{row['batch_size']}",
        f"{row['input_size']}px",
        f"{row['classes']}-classes",
        f"{row['threads']}-threads",
        f"torch-{row['torch']}",
    ]
    return "/".join(map(slug, parts))


def _digits(value: float) -> str:
    """Three digits at least, as LaTeX reads them."""
    return f"{value:#.3g}".rstrip(".") if abs(value) < 999.5 else str(round(value))


def _comments(ids: tuple[str, ...], notes: tuple[str, ...] = ()) -> Iterator[str]:
    """The runs behind the numbers that follow, and what must be known to read these."""
    if notes:
        yield f"% notes: {escape('; '.join(notes))}"
    yield f"% runs: {' '.join(map(escape, ids)) or NOT_MEASURED}"


def _define(key: str, value: str) -> str:
    return rf"\expandafter\def\csname vcnum@{key}\endcsname{{{value}}}"
