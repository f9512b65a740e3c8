"""Models where they will run: in PyTorch as trained, and exported to other runtimes, in fp32 and in int8."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.cells import Cell, cells, paired
from bench.analysis.decisions import PairedScores, judge
from bench.analysis.statistics import Contrast
from bench.report.cells import Cell as ReportCell
from bench.report.evidence import Evidence
from bench.report.leads import kind_of, lead, turned
from bench.report.measured import Platform, headline_rows
from bench.report.row_text import withheld
from bench.report.text import decimal, interval, points, size_phrase
from bench.runtimes import TORCH, runtime_names, runtime_title
from bench.store.records.listing import HeadlineEntry

Row = dict[str, Any]
# A runtime and a precision; PyTorch as trained has that of its headline.
Setting = tuple[str, str]
KINDS = ("transformer", "cnn")
EQUAL = ("equivalent", "not told apart")


def setting_name(setting: Setting) -> str:
    """As a reader sees it; PyTorch is that of training."""
    return f"{runtime_title(setting[0])}, {setting[1]}" + (", as trained" if setting[0] == TORCH else "")


def settings_of(headline: HeadlineEntry) -> list[Setting]:
    """PyTorch as trained, and the runtimes of a headline."""
    return [(TORCH, headline.precision), *((name, precision) for name, precision in headline.runtimes)]


def rows_where_run(platform: Platform, headline: HeadlineEntry) -> list[tuple[Setting, str, Row]]:
    """By setting and model: the numbers at the largest batch, the latency of the smallest, and memory. Empty
    where no exported network was measured."""
    found: dict[tuple[Setting, str], Row] = {}
    settings = settings_of(headline)
    smallest, largest = min(headline.batch_sizes), max(headline.batch_sizes)
    for setting in settings:
        for table, at, prefix in (
            ("speed", largest, "speed"), ("speed", smallest, "latency"), ("memory", largest, "memory"),
        ):  # fmt: skip
            runtime = None if setting[0] == TORCH else setting
            own = headline_rows(platform, table, headline, batch_sizes=[at], runtime=runtime)
            for row in own.rows.to_dict("records") if own else ():
                found.setdefault((setting, row["model"]), {})[prefix] = row
    if all(setting[0] == TORCH for setting, _ in found):
        return []
    return [(setting, model, row) for (setting, model), row in found.items()]


@dataclass(frozen=True)
class Cost:
    """What a network loses in int8: its cell, both accuracies over the same runs, and the difference."""

    cell: ReportCell
    runtime: str
    clean: float
    int8: float
    difference: Contrast


def _in_int8(evidence: Evidence, runtime: str) -> dict[tuple[str, int | None, str], Cell]:
    """The cells under the condition of a runtime."""
    name = f"int8_{runtime}"
    own = cells(evidence.suite, evidence.under(name), name)
    return {(cell.comparison, cell.shots, cell.contestant): cell for cell in own}


def costs_of_int8(evidence: Evidence) -> Iterator[Cost]:
    """Of every comparison at its largest size, each network that was evaluated in int8 as well."""
    for runtime in runtime_names():
        int8 = _in_int8(evidence, runtime)
        for cell in _largest(evidence, untrained=True):
            other = int8.get((cell.comparison, cell.shots, cell.contestant))
            both = _paired(evidence, other, cell, same_networks=True) if other else None
            if both is not None:
                int8_top1, clean_top1 = (float(np.asarray(scores).mean()) for scores in both.scores)
                yield Cost(cell, runtime, clean_top1, int8_top1, _judged(evidence, both))


def _largest(evidence: Evidence, *, untrained: bool = False) -> list[ReportCell]:
    """The cells of every comparison at its largest size that was measured; `untrained` ones too or not."""
    done = [cell for cell in evidence.cells if cell.runs and (untrained or not cell.untrained)]
    return [
        cell
        for cell in done
        if cell.images_per_class
        == max(one.images_per_class for one in done if one.comparison == cell.comparison)
    ]


def _paired(evidence: Evidence, a: Cell, b: Cell, *, same_networks: bool = False) -> PairedScores | None:
    """What is right, image by image, in the replicates that two cells have in common; None without any.

    Of the `same_networks` under two conditions a single run has an interval too, over test images alone.
    """
    first, second = paired(a, b, evidence.predictions.has_scores)
    if not first:
        return None
    several = len(first) > 1
    return PairedScores(
        (evidence.predictions.scores_of(first), evidence.predictions.scores_of(second)),
        deterministic=same_networks and not several,
        images=first[0].data.test_images,
        fold_of=evidence.predictions.fold_of(first, second) if several else None,
    )


def _judged(evidence: Evidence, scores: PairedScores) -> Contrast:
    """The difference with its plain interval, without a verdict."""
    return judge([scores], delta=evidence.suite.delta, comparisons=0)[0]


@dataclass(frozen=True)
class Race:
    """A transformer and a CNN of one comparison in one setting on one platform.

    Attributes:
        difference: in accuracy, of the transformer minus the CNN; `basis`, its interval.
        accuracy: what follows: of `EQUAL`, or which is ahead, or that there are too few runs.
        ratio: images/s of the transformer over those of the CNN; None where one was not measured.
        sure: whether the 95 % intervals of the two rates leave each other out.
    """

    platform: Platform
    setting: Setting
    transformer: ReportCell
    cnn: ReportCell
    difference: float
    basis: str
    accuracy: str
    ratio: float | None
    sure: bool
    profiles: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether they are equally accurate there, as far as that is known."""
        return self.accuracy in EQUAL

    @property
    def faster(self) -> str:
        """The title of the faster one; empty where that is not known."""
        if self.ratio is None or not self.sure:
            return ""
        return (self.transformer if self.ratio > 1 else self.cnn).title

    @property
    def sentence(self) -> str:
        """Of two networks that are equally accurate."""
        assert self.ratio is not None
        both = f"{self.transformer.title} and {self.cnn.title}"
        size = size_phrase(self.cnn.shots, self.cnn.images_per_class)
        speed = (
            f"{self.transformer.title} runs {decimal(self.ratio)} times the images/s of {self.cnn.title}"
            + ("" if self.sure else ", which the intervals do not tell apart")
        )
        return (
            f"{setting_name(self.setting)} on the {self.platform.name}: in {self.cnn.comparison}, trained on "
            f"{size}, {both} are {self.accuracy} in accuracy (difference {points(self.difference)} points, "
            f"{self.basis}); {speed}."
        )


def races_of(
    evidence: Evidence, platform: Platform, headline: HeadlineEntry, rows: list[tuple[Setting, str, Row]]
) -> Iterator[Race]:
    """Every transformer against every CNN that its suite contrasts it with, at the comparison's largest size,
    in every setting in which both were measured."""
    speed = {(setting, model): row["speed"] for setting, model, row in rows if "speed" in row}
    own = [cell for cell in _largest(evidence) if cell.input_size == headline.input_size]
    for a, b in product(own, repeat=2):
        if a.comparison != b.comparison or (kind_of(a), kind_of(b)) != KINDS or not _declared(evidence, a, b):
            continue
        for setting in dict.fromkeys(setting for setting, _ in speed):
            both = [speed.get((setting, cell.model)) for cell in (a, b)]
            result = _accuracy(evidence, setting, a, b)
            if result is None or None in both:
                continue
            difference, basis, accuracy = result
            known = [row for row in both if row and row["outcome"] == "measured" and not withheld(row)]
            ratio, sure = None, False
            if len(known) == 2:
                ratio = known[0]["images_per_s"] / known[1]["images_per_s"]
                ends = [(row["images_per_s_low"], row["images_per_s_high"]) for row in known]
                sure = not pd.isna(ends).any() and (ends[0][0] > ends[1][1] or ends[1][0] > ends[0][1])
            profiles = tuple(row["profile"] for row in both if row)
            yield Race(platform, setting, a, b, difference, basis, accuracy, ratio, sure, profiles)


def _declared(evidence: Evidence, a: ReportCell, b: ReportCell) -> bool:
    """Whether the suite contrasts two contestants."""
    both = {a.contestant, b.contestant}
    return any(
        one.pair.comparison == a.comparison and {one.pair.a, one.pair.b} == both for one in evidence.findings
    )


def _accuracy(
    evidence: Evidence, setting: Setting, a: ReportCell, b: ReportCell
) -> tuple[float, str, str] | None:
    """The difference in accuracy of a minus b where they run so, its basis, and what follows from it, in
    words; None where it was not measured. Outputs in fp32 are those of PyTorch."""
    if setting[1] != "int8":
        one = lead(evidence, a, b)
        result = one.result and (one.result if one.ahead is a else turned(one.result))
        if result is None or one.strength == "unclear":
            return (one.difference if one.ahead is a else -one.difference), one.remark, "too few runs"
        even = "equivalent" if result.verdict == "equivalent" else "not told apart"
        what = even if one.strength == "even" else f"{one.ahead.title} ahead"
        remark = one.remark
    else:
        int8 = _in_int8(evidence, setting[0])
        first, second = (int8.get((cell.comparison, cell.shots, cell.contestant)) for cell in (a, b))
        both = _paired(evidence, first, second) if first and second else None
        if both is None:
            return None
        result, remark = _judged(evidence, both), "exploratory"
        if result.low is None or result.high is None:
            return result.estimate, "no interval", "too few runs"
        ahead = f"{(a if result.low > 0 else b).title} ahead"
        what = "not told apart" if result.low <= 0 <= result.high else ahead
    known = f"95 % interval {interval(result.low, result.high)}"
    known += ", over test images alone" if result.images_only else ""
    return result.estimate, "; ".join(filter(None, [known, remark])), what
