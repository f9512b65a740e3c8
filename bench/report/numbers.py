"""Every headline number of a report as a macro, so that a paper's text follows the benchmark."""

from collections.abc import Iterator
from itertools import chain, product

import pandas as pd

from bench.files import slug
from bench.report.blocks import Header
from bench.report.escape import latex as escape
from bench.report.evidence import Evidence
from bench.report.measured import alike, brief, memory_column, state
from bench.report.text import MINUS, NARROW_SPACE, NOT_MEASURED, decimal, ends, percent, points
from bench.report.verdicts import short_notes, verdict

HEAD = r"""% Numbers of a VCBench report, by their keys: \vcnum{KEY}. Rendering again updates them.
% The runs behind them and the notes on them stand above; the commands below the tables of the report.
% In text, \num{\vcnum{KEY}} of siunitx sets signs; accuracies are in percent, differences in points.
\providecommand{\vcnum}[1]{\ifcsname vcnum@#1\endcsname\csname vcnum@#1\endcsname\else
  \errmessage{vcbench: no number #1}\fi}
"""


def numbers(evidence: Evidence, header: Header) -> str:
    """Every accuracy and contrast, every cost, and speed and memory at the setting that most models share."""
    parts = chain(_accuracies(evidence), _contrasts(evidence), _costs(evidence), _places(evidence))
    return "\n".join([HEAD.rstrip(), _define("suite", escape(header.suite)), *parts]) + "\n"


def _accuracies(evidence: Evidence) -> Iterator[str]:
    for cell in evidence.cells:
        key = f"{slug(cell.comparison)}/{slug(cell.contestant)}/{cell.shots or 'all'}"
        score = cell.scores["top1"]
        yield from _behind(cell.runs, cell.notes)
        yield _define(f"{key}/top1", percent(score.mean))
        yield _define(f"{key}/sd", percent(score.sd) if score.n > 1 else NOT_MEASURED)
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


def _places(evidence: Evidence) -> Iterator[str]:
    """What most models of each device have in common, as the tables of the report show it."""
    for place in evidence.places:
        column, _ = memory_column(place)
        kinds = {"speed": {"images_per_s": "images-per-s", "latency_ms_median": "latency-ms"}}
        kinds["memory"] = {column: "peak-mib"}
        for kind, mode in product(kinds, ("infer", "train")):
            found = alike(place.tables[kind], mode=mode)
            if found is None:
                continue
            yield f"% {escape(place.name)}: {escape(found.words)}"
            for row in found.rows.to_dict("records"):
                yield from _behind((row["profile"],), state(row))
                for name, word in kinds[kind].items():
                    known = row["outcome"] == "measured" and not pd.isna(row[name])
                    value = brief(row[name]).replace(NARROW_SPACE, "") if known else NOT_MEASURED
                    yield _define(f"{kind}/{place.key}/{mode}/{slug(row['model'])}/{word}", value)


def _behind(ids: tuple[str, ...], notes: tuple[str, ...] = ()) -> Iterator[str]:
    """Comments: the runs behind the numbers that follow, and what must be known to read these."""
    if notes:
        yield f"% notes: {escape('; '.join(notes))}"
    yield f"% runs: {' '.join(ids) or NOT_MEASURED}"


def _define(key: str, value: str) -> str:
    return rf"\expandafter\def\csname vcnum@{key}\endcsname{{{value}}}"
