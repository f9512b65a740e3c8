"""Every headline number of a report as a macro, so that a paper's text follows the benchmark."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from bench.analysis.contrasts import Finding, primary_pairs
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
from bench.runtimes import TORCH

HEAD = r"""% Numbers of a VCBench report, by their keys: \vcnum{KEY}. Rendering again updates them.
% The runs behind them and the notes on them stand above; the commands below the tables of the report.
% In text, \num{\vcnum{KEY}} of siunitx sets signs; accuracies are in percent, differences in points.
% A key of speed or memory holds the whole setting: no other measurement changes its value. What was not
% measured, or is withheld (unstable, or of a busy machine), has no key.
% alpha: the error of all verdicts together; m: how many contrasts and sizes share it.
\providecommand{\vcnum}[1]{\ifcsname vcnum@#1\endcsname\csname vcnum@#1\endcsname\else
  \errmessage{vcbench: no number #1}\fi}"""

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


@dataclass(frozen=True)
class Numbers:
    """Numbers by what follows `key`, with the runs behind them and what must be known to read them."""

    key: str
    values: Mapping[str, str]
    runs: Iterable[str] = ()
    notes: Iterable[str] = ()

    def __str__(self) -> str:
        known = {name: value for name, value in self.values.items() if value != NOT_MEASURED}
        notes = "; ".join(self.notes)
        lines = [f"% notes: {escape(notes)}"] if notes else []
        lines.append(f"% runs: {' '.join(map(escape, self.runs)) or NOT_MEASURED}")
        for name, value in known.items():
            value = value.replace(MINUS, "-").removeprefix("+")
            lines.append(rf"\expandafter\def\csname vcnum@{self.key}{name}\endcsname{{{value}}}")
        return "\n".join(lines)


def latex_macros(evidence: Evidence, header: Header) -> str:
    """Every accuracy, contrast, crossover and average of two, every cost, and speed and memory in every
    setting that was measured."""
    judged = [one.contrast for one in evidence.findings if one.pair.primary and one.result][:1]
    shared = {"alpha": f"{judged[0].alpha:g}", "m": str(judged[0].comparisons)} if judged else {}
    numbers = chain(
        [Numbers("", {"suite": escape(header.suite)} | shared)],
        _accuracies(evidence),
        _contrasts(evidence),
        _crossovers(evidence),
        _ensembles(evidence),
        _costs(evidence),
        _measured(evidence),
    )
    return "\n".join([HEAD, *map(str, numbers)]) + "\n"


def _accuracies(evidence: Evidence) -> Iterator[Numbers]:
    for cell in evidence.cells:
        score = cell.scores["top1"]
        values = {name: percent(cell.scores[name].mean) for name in ("top1", "ece", "top1_deduplicated")}
        values |= {"sd": percent(score.sd), "n": str(score.n)}
        key = f"{slug(cell.comparison)}/{slug(cell.contestant)}/{cell.shots or 'all'}/"
        yield Numbers(key, {name.replace("_", "-"): v for name, v in values.items()}, cell.runs, cell.notes)


def _contrasts(evidence: Evidence) -> Iterator[Numbers]:
    for one in evidence.findings:
        estimate, *both = (getattr(one.result, name, None) for name in ("estimate", "low", "high"))
        low, high = interval_ends(*both)
        values = {"difference": points(estimate), "low": low, "high": high, "verdict": verdict(one)}
        key = f"{_pair(one)}/{one.pair.shots or 'all'}/"
        yield Numbers(key, values, one.runs_a + one.runs_b, short_notes(one))


def _pair(finding: Finding) -> str:
    return f"{slug(finding.pair.comparison)}/{slug(finding.pair.a)}-{slug(finding.pair.b)}"


def _crossovers(evidence: Evidence) -> Iterator[Numbers]:
    """The first crossover of each primary pair that has one, in images per class."""
    for own in primary_pairs(evidence.findings):
        change = crossover_of(own)
        if change and change.crossings:
            first = change.crossings[0]
            values = {"from": first.low, "to": first.high, "about": first.point}
            runs = dict.fromkeys(run for one in own for run in one.runs_a + one.runs_b)
            yield Numbers(
                f"{_pair(own[0])}/crossover-", {name: f"{v:.3g}" for name, v in values.items()}, runs
            )


def _ensembles(evidence: Evidence) -> Iterator[Numbers]:
    """The accuracy of averaging two networks: of both models, and of two runs of each."""
    for one in complements(evidence):
        kinds = {"both": one.averaged(TWO), "first": one.averaged(TWINS_A), "second": one.averaged(TWINS_B)}
        key = f"{_pair(one.finding)}/{one.finding.pair.shots or 'all'}/average-of-"
        yield Numbers(key, kinds, one.runs)


def _costs(evidence: Evidence) -> Iterator[Numbers]:
    for row in evidence.cost.to_dict("records"):
        values = {"params-m": decimal(row["params"] / 1e6), "gmacs": decimal(row["gmacs"], 3)}
        key = f"cost/{slug(row['model'])}/{row['classes']}/{row['input_size']}/"
        yield Numbers(key, values, [row["profile"]])


def _measured(evidence: Evidence) -> Iterator[Numbers | str]:
    """Every measured row that is stable and not of a busy machine, under a key that holds its setting."""
    taken: set[str] = set()
    for platform in evidence.platforms:
        for table, columns in CITED.items():
            # The earliest of rows that differ in nothing but versions of other libraries keeps the plain key.
            rows = platform.tables[table]
            rows = rows if rows.empty else rows.sort_values(["finished", "profile"], kind="stable")
            for row in rows.to_dict("records"):
                key, notes = setting_key(platform, table, row), row_notes(row)
                if trusted(pd.DataFrame([row])).empty:
                    yield f"% no number: {key} ({escape('; '.join(notes))}; run {row['profile']})"
                    continue
                key += f"/{slug(row['profile'])}" if key in taken else ""
                taken.add(key)
                values = {name: _digits(row[column]) for column, name in columns.items()}
                yield Numbers(f"{key}/", values, [row["profile"]], notes)


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
    if row.get("runtime", TORCH) != TORCH:
        execution = [row["runtime"], row["runtime_version"], row["precision"]]
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
    if pd.isna(value):
        return NOT_MEASURED
    return f"{value:#.3g}".rstrip(".") if abs(value) < 999.5 else str(round(value))
