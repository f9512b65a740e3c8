"""Ours beside theirs: other people's accuracies, speeds and predictions, with what is known to differ."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.external import correct, paired_interval, sentence
from bench.report.blocks import Column, Content, Field, Section, Table, number
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.literature import SCRATCH, literature_file, read_literature
from bench.report.measured import Platform
from bench.report.published import published_speed
from bench.report.row_text import MODES, describe_execution, rate, row_notes
from bench.report.sections.columns import cell_size
from bench.report.text import count, decimal, interval, percent, points, split_label
from bench.store.records.external import ExternalRecord

COMPARABLE = 2.0
"""Numbers of training images further apart than this factor are not set beside each other."""
METRICS = {"top1": "top-1", "top5": "top-5", "mean_per_class": "per class"}
# The types that matrix products work in, by the words of the sources.
PRECISIONS = {"amp fp16": "fp16", "amp": "fp16"}


@dataclass(frozen=True)
class Beside:
    """One number of ours and one of others; `differs` is what is known to differ."""

    model: Content
    what: str
    ours: Content
    theirs: str
    difference: Content
    differs: str
    source: str
    runs: tuple[str, ...]


def beside(evidence: Evidence) -> Section | None:
    """A table each of predictions, accuracies and speeds; None where there is nothing comparable."""
    tables = [
        _table(
            "brought", "Networks of others on the same test images, with 95 % intervals.", _external(evidence)
        ),
        _table("literature", "Our accuracies and published ones, in percent.", _literature(evidence)),
        _table("speed-published", "Our images/s and published ones.", _speeds(evidence)),
    ]
    if not any(tables):
        return None
    return Section.of(
        "beside",
        "Beside other people's numbers",
        "None of these pairs is matched: others split, tune, crop and measure in their own ways, and on "
        "other hardware. A difference is no verdict, and a ratio of speeds tells the order of magnitude.",
        (sentence(record, evidence.names) for record in _records(evidence)),
        [table for table in tables if table],
    )


def _table(name: str, caption: str, rows: Iterable[Beside]) -> Table | None:
    rows = list(rows)
    columns = (
        Column("Model", lambda one: one.model),
        Column("What", lambda one: one.what),
        number("Ours", lambda one: one.ours),
        number("Theirs", lambda one: one.theirs),
        number("Ours over theirs" if name == "speed-published" else "Difference (points)", _difference),
        Column("What differs", lambda one: one.differs, wide=True),
        Column("Source", lambda one: one.source, under="What differs", label="theirs: "),
    )
    return Table.of(name, caption, columns, rows, runs=lambda one: one.runs) if rows else None


def _difference(one: Beside) -> Content:
    return one.difference


def _records(evidence: Evidence) -> list[ExternalRecord]:
    """The external models scored on the suite's test splits."""
    tested = {record.data.key for record in evidence.records.values()}
    return [record for record in evidence.store.externals() if record.data.key in tested]


def _external(evidence: Evidence) -> Iterator[Beside]:
    """Each cell with predictions on the same images, minus the external model, image by image."""
    for record in _records(evidence):
        for cell in evidence.cells:
            own = [one for run in cell.runs if (one := evidence.records[run]).data.key == record.data.key]
            known = [score for one in own if (score := evidence.predictions.scores(one)) is not None]
            if not known:
                continue
            difference, low, high = paired_interval(np.mean(known, axis=0), correct(evidence.store, record))
            yield Beside(
                _title(evidence, cell),
                f"top-1 at {cell_size(cell)} in {cell.comparison}",
                percent(float(np.mean(known))),
                percent(record.metrics.top1),
                Field(points(difference), spread=f"({interval(low, high)})"),
                f"how {record.id} was trained is not known",
                f"{record.id}, brought from outside",
                cell.runs,
            )


def _title(evidence: Evidence, cell: Cell) -> Field:
    return Field(cell.title, style=evidence.styles[cell.contestant], notes=cell.notes)


def _literature(evidence: Evidence) -> Iterator[Beside]:
    """Published accuracies on the suite's datasets, each with all of our cells that it may stand beside."""
    path = literature_file(evidence.store.root)
    published = [] if path is None else read_literature(path).to_dict("records")
    for theirs in published:
        for cell in (cell for cell in evidence.cells if comparable(evidence, cell, theirs)):
            score = cell.scores[theirs["metric"]]
            yield Beside(
                _title(evidence, cell),
                f"{METRICS[theirs['metric']]}, {split_label(cell.dataset, cell.split_id)}",
                score.as_percent(),
                decimal(theirs["value"], 1),
                points(score.mean - theirs["value"] / 100) if score.n else "none",
                f"{_reasons(evidence, cell, theirs)}; their protocol: {theirs['protocol']}",
                theirs["source"],
                cell.runs,
            )


def comparable(evidence: Evidence, cell: Cell, theirs: dict[str, Any]) -> bool:
    """Whether one of our cells may stand beside a published number: the same architecture and dataset, both
    from scratch or both pretrained, and numbers of training images within a factor of `COMPARABLE`."""
    if not cell.runs:
        return False
    record = evidence.records[cell.runs[0]]
    if record.model.title != theirs["model"] or record.data.dataset != theirs["dataset"]:
        return False
    if (cell.pretraining == SCRATCH) != (theirs["pretraining"] == SCRATCH):
        return False
    if pd.isna(theirs["train_images"]):
        return cell.shots is None
    ratio = record.data.train_images / theirs["train_images"]
    return 1 / COMPARABLE <= ratio <= COMPARABLE


def _reasons(evidence: Evidence, cell: Cell, theirs: dict[str, Any]) -> str:
    record = evidence.records[cell.runs[0]]
    images = "not stated" if pd.isna(theirs["train_images"]) else count(theirs["train_images"])
    facts = (
        ("input", f"{record.identity.input_size} px", f"{int(theirs['input_px'])} px"),
        ("pretraining", cell.pretraining, theirs["pretraining"]),
        ("training images", count(record.data.train_images), images),
    )
    reasons = [f"{name}: ours {ours}, theirs {other}" for name, ours, other in facts if ours != other]
    return "; ".join([*reasons, f"our recipe: {cell.recipe} ({cell.protocol})"])


def _speeds(evidence: Evidence) -> Iterator[Beside]:
    """Published rates of the models, each with our nearest row on every platform of the same kind."""
    models = evidence.in_order(evidence.measured["speed"]["model"])
    published = [row for row in published_speed().to_dict("records") if row["model"] in models]
    for theirs in sorted(published, key=lambda row: models.index(row["model"])):
        for platform in (one for one in evidence.platforms if one.kind == theirs["device"]):
            if (ours := _nearest(platform, theirs)) is None:
                continue
            how = f"precision {theirs['precision']}, layout {theirs['memory_format'].replace('_', ' ')}"
            yield Beside(
                evidence.model_title(theirs["model"]),
                MODES[theirs["mode"]],
                Field(rate(ours["images_per_s"]), notes=row_notes(ours)),
                rate(theirs["images_per_s"]),
                decimal(ours["images_per_s"] / theirs["images_per_s"], 3),
                f"ours: {platform.name}, {describe_execution(ours)}, batch {count(ours['batch_size'])}, "
                f"torch {ours['torch']}",
                f"{theirs['hardware']}, {how}, {'compiled' if theirs['compiled'] == 'yes' else 'eager'}, "
                f"batch {theirs['batch_size']} ({theirs['source']})",
                (ours["profile"],),
            )


def _nearest(platform: Platform, theirs: dict[str, Any]) -> dict[str, Any] | None:
    """Our row of the same mode and input that differs least: in precision, layout, compilation, batch."""
    timed = platform.speed
    candidates = timed[
        (timed["model"] == theirs["model"])
        & (timed["mode"] == theirs["mode"])
        & (timed["input_size"] == theirs["input_px"])
        & (timed["outcome"] == "measured")
    ].to_dict("records")

    def distance(ours: dict[str, Any]) -> tuple:
        batch = float(theirs["batch_size"]) if theirs["batch_size"].isdigit() else float("inf")
        compiled = not pd.isna(ours["compiled"]) and bool(ours["compiled"])
        return (
            PRECISIONS.get(theirs["precision"], theirs["precision"]) != ours["precision"],
            theirs["memory_format"] != ours["memory_format"],
            (theirs["compiled"] == "yes") != compiled,
            -ours["batch_size"] if batch == float("inf") else abs(ours["batch_size"] - batch),
            ours["profile"],
        )

    return min(candidates, key=distance, default=None)
