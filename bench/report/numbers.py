"""Every headline number of a report as a macro, so that a paper's text follows the benchmark."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pandas as pd

from bench.files import slug
from bench.report.blocks import Header
from bench.report.escape import latex as escape
from bench.report.evidence import Evidence
from bench.report.measured import Place, state, trusted
from bench.report.text import MINUS, NOT_MEASURED, decimal, ends, percent, points
from bench.report.verdicts import short_notes, verdict

HEAD = r"""% Numbers of a VCBench report, by their keys: \vcnum{KEY}. Rendering again updates them.
% The runs behind them and the notes on them stand above; the commands below the tables of the report.
% In text, \num{\vcnum{KEY}} of siunitx sets signs; accuracies are in percent, differences in points.
% A key of speed or memory holds the whole setting: no other measurement changes its value. What was not
% measured, or is withheld as unstable, has no key.
\providecommand{\vcnum}[1]{\ifcsname vcnum@#1\endcsname\csname vcnum@#1\endcsname\else
  \errmessage{vcbench: no number #1}\fi}
"""


def numbers(evidence: Evidence, header: Header) -> str:
    """Every accuracy and contrast, every cost, and speed and memory in every setting that was measured."""
    parts = chain(_accuracies(evidence), _contrasts(evidence), _costs(evidence), _places(evidence))
    return "\n".join([HEAD.rstrip(), _define("suite", escape(header.suite)), *parts]) + "\n"


def _accuracies(evidence: Evidence) -> Iterator[str]:
    for cell in evidence.cells:
        key = f"{slug(cell.comparison)}/{slug(cell.contestant)}/{cell.shots or 'all'}"
        score = cell.scores["top1"]
        yield from _behind(cell.runs, cell.notes)
        yield _define(f"{key}/top1", percent(score.mean))
        if score.n > 1:
            yield _define(f"{key}/sd", percent(score.sd))
        yield _define(f"{key}/n", str(score.n))


def _contrasts(evidence: Evidence) -> Iterator[str]:
    for finding in evidence.findings:
        pair, result = finding.pair, finding.result
        key = f"{slug(pair.comparison)}/{slug(pair.a)}-{slug(pair.b)}/{pair.shots or 'all'}"
        yield from _behind(finding.runs_a + finding.runs_b, short_notes(finding))
        estimate, *both = (getattr(result, name, None) for name in ("estimate", "low", "high"))
        for name, value in zip(("difference", "low", "high"), (points(estimate), *ends(*both)), strict=True):
            yield _define(f"{key}/{name}", value.replace(MINUS, "-").removeprefix("+"))
        yield _define(f"{key}/verdict", verdict(finding))


def _costs(evidence: Evidence) -> Iterator[str]:
    for row in evidence.cost.to_dict("records"):
        key = f"cost/{slug(row['model'])}/{row['classes']}/{row['input_size']}"
        yield from _behind((row["profile"],))
        yield _define(f"{key}/params-m", decimal(row["params"] / 1e6, 2))
        yield _define(f"{key}/gmacs", decimal(row["gmacs"], 3))


# By table: the columns that are cited, and their words in a key.
CITED = {
    "speed": {"images_per_s": "images-per-s", "latency_ms_median": "latency-ms"},
    "end_to_end": {"images_per_s": "images-per-s", "latency_ms_median": "latency-ms"},
    "memory": {
        "peak_allocated_mib": "peak-allocated-mib",
        "peak_reserved_mib": "peak-reserved-mib",
        "peak_rss_mib": "peak-resident-mib",
    },
}


def _places(evidence: Evidence) -> Iterator[str]:
    """Every measured row that is not withheld or unstable, under a key that holds its whole setting."""
    taken: set[str] = set()
    for place in evidence.places:
        for table, columns in CITED.items():
            # The earliest of rows that differ in nothing but versions of other libraries keeps the plain key.
            rows = place.tables[table]
            if rows.empty:
                continue
            yield f"% {table.replace('_', ' ')}, {escape(place.name)}"
            for row in rows.sort_values(["finished", "profile"], kind="stable").to_dict("records"):
                key = setting_key(place, table, row)
                if trusted(pd.DataFrame([row])).empty:
                    yield f"% no number: {key} ({escape('; '.join(state(row)))}; run {row['profile']})"
                    continue
                if key in taken:
                    key += f"/{slug(row['profile'])}"
                taken.add(key)
                yield from _behind((row["profile"],), state(row))
                for column, word in columns.items():
                    if not pd.isna(row[column]):
                        yield _define(f"{key}/{word}", _digits(row[column]))


def setting_key(place: Place, table: str, row: dict[str, Any]) -> str:
    """The key of a row of speed, end_to_end or memory: everything that its numbers depend on."""
    on_gpu = place.kind == "GPU"
    how = [
        row["precision"],
        row["memory_format"],
        "compiled" if not pd.isna(row["compiled"]) and row["compiled"] else "eager",
        *([] if on_gpu else ["freed-kept" if row["allocator"] == "keep_freed" else "freed-returned"]),
        *(["cudnn-benchmark"] if on_gpu and row["cudnn_benchmark"] is True else []),
    ]
    parts = [
        row.get("mode", "infer"),
        row["model"],
        "-".join(how),
        f"batch-{row['batch_size']}",
        f"{row['input_size']}px",
        f"{row['classes']}-classes",
        f"{row['threads']}-threads",
        f"torch-{row['torch']}",
    ]
    return "/".join([slug(table), place.cited, *map(slug, parts)])


def _digits(value: float) -> str:
    """Three digits at least, as LaTeX reads them."""
    return f"{value:#.3g}".rstrip(".") if abs(value) < 999.5 else str(round(value))


def _behind(ids: tuple[str, ...], notes: tuple[str, ...] = ()) -> Iterator[str]:
    """Comments: the runs behind the numbers that follow, and what must be known to read these."""
    if notes:
        yield f"% notes: {escape('; '.join(notes))}"
    yield f"% runs: {' '.join(map(escape, ids)) or NOT_MEASURED}"


def _define(key: str, value: str) -> str:
    return rf"\expandafter\def\csname vcnum@{key}\endcsname{{{value}}}"
