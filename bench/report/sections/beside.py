"""Ours beside theirs: other people's predictions, accuracies and speeds, with what is known to differ."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.external import correct, paired_interval, sentence
from bench.report.blocks import Column, Field, Section, Table, number
from bench.report.cells import Cell
from bench.report.evidence import Evidence
from bench.report.literature import SCRATCH, literature_file, read_literature
from bench.report.measured import Platform, trusted
from bench.report.published import published_speed
from bench.report.row_text import MODES, describe_execution, rate, row_notes
from bench.report.sections.columns import cell_size
from bench.report.text import count, counted, decimal, interval, percent, points
from bench.runtimes import TORCH
from bench.store.records.external import ExternalRecord

METRICS = {"top1": "top-1", "top5": "top-5", "mean_per_class": "per class"}
# The types that matrix products work in, by the words of the sources.
PRECISIONS = {"amp fp16": "fp16", "amp": "fp16"}
MUST_AGREE = ("model", "dataset", "input_px", "pretraining")
SAME_IMAGES = 0.02
"""Numbers of training images that differ by a smaller share are the same: splits leave out some."""


Row = dict[str, Any]
"""One number of ours and one of others, by the titles of the columns, with the `runs` behind ours."""
DIFFERENCE, RATIO = "Difference (points)", "Ours over theirs"


def beside(evidence: Evidence) -> Section | None:
    """A table each of predictions, accuracies and speeds; None where there is nothing comparable."""
    externals, literature = _records(evidence), list(_literature(evidence))
    tables = [
        _table(
            "brought", "Networks of others on the same test images, with 95 % intervals.", _external(evidence)
        ),
        _table("literature", "Our accuracies and published ones, in percent.", literature),
        _table("speed-published", "Our images/s and published ones.", _speeds(evidence), RATIO),
    ]
    published, any_row = _published(evidence), any(table.rows for table in tables)
    if not any_row and not published:
        return None
    some = len({(one["Source"], one["What"]) for one in literature})
    can = (
        f"{some} can stand beside ours: of the same network and pretraining, on as many training images at "
        "the same input size."
        if some
        else "none is of the same network, pretraining, number of training images and input size."
    )
    return Section.of(
        "beside",
        "Beside other people's numbers",
        "Others split, tune, crop and measure in their own ways, and on other hardware. A difference is no "
        "verdict, and a ratio of speeds tells the order of magnitude."
        if any_row
        else None,
        f"Of {counted(len(published), 'published result')} on these data sets, {can}" if published else None,
        (sentence(record, evidence.names) for record in externals),
        tables,
    )


def _table(name: str, caption: str, rows: Iterable[Row], compared: str = DIFFERENCE) -> Table:
    columns = (
        Column("Model"),
        Column("What"),
        number("Ours"),
        number("Theirs"),
        number(compared),
        Column("What differs", wide=True),
        Column("Source", under="What differs", label="theirs: "),
    )
    return Table.of(name, caption, columns, rows, runs=lambda row: row["runs"])


def _records(evidence: Evidence) -> list[ExternalRecord]:
    """The external models scored on the suite's test splits."""
    tested = {record.data.key for record in evidence.records.values()}
    return [record for record in evidence.store.externals() if record.data.key in tested]


def _external(evidence: Evidence) -> Iterator[Row]:
    """Each cell with predictions on the same images, minus the external model, image by image."""
    for record in _records(evidence):
        for cell in evidence.cells:
            own = [one for one in cell.records if one.data.key == record.data.key]
            known = [score for one in own if (score := evidence.predictions.scores(one)) is not None]
            if not known:
                continue
            difference, low, high = paired_interval(
                np.mean(known, axis=0),
                evidence.predictions.independent(correct(evidence.store, record).astype(float), record.data),
            )
            yield {
                "Model": _title(evidence, cell),
                "What": f"top-1 at {cell_size(cell)} in {cell.comparison}",
                "Ours": percent(float(np.mean(known))),
                "Theirs": percent(record.metrics.top1),
                DIFFERENCE: Field(points(difference), spread=f"({interval(low, high)})"),
                "What differs": f"how {record.id} was trained is not known",
                "Source": f"{record.id}, brought from outside",
                "runs": cell.runs,
            }


def _title(evidence: Evidence, cell: Cell) -> Field:
    return Field(cell.title, style=evidence.styles[cell.contestant], notes=cell.notes)


def _published(evidence: Evidence) -> list[dict[str, Any]]:
    """Published accuracies on the suite's datasets."""
    path, datasets = literature_file(evidence.store.root), {one.dataset for one in evidence.suite.comparisons}
    rows = [] if path is None else read_literature(path)
    return [row for row in rows if row["dataset"] in datasets]


def _literature(evidence: Evidence) -> Iterator[Row]:
    """Published accuracies, each with all of our cells that it may stand beside."""
    for theirs in _published(evidence):
        for cell in (cell for cell in evidence.cells if comparable(cell, theirs)):
            score = cell.scores[theirs["metric"]]
            yield {
                "Model": _title(evidence, cell),
                "What": f"{METRICS[theirs['metric']]}, {cell.split}",
                "Ours": score.as_percent(),
                "Theirs": decimal(theirs["value"], 1),
                DIFFERENCE: points(score.mean - theirs["value"] / 100) if score.n else "none",
                "What differs": f"our recipe: {cell.recipe} ({cell.protocol}); "
                f"their protocol: {theirs['protocol']}",
                "Source": theirs["source"],
                "runs": cell.runs,
            }


def comparable(cell: Cell, theirs: dict[str, Any]) -> bool:
    """Whether one of our cells may stand beside a published number: the same network, pretraining, input size
    and dataset, and as many training images."""
    if not cell.runs:
        return False
    data, model = cell.records[0].data, cell.records[0].model
    ours = (model.title, data.dataset, cell.input_size, cell.pretraining or SCRATCH)
    images = abs((theirs["train_images"] or 0) - data.train_images) / data.train_images
    return ours == tuple(theirs[name] for name in MUST_AGREE) and images <= SAME_IMAGES


def _speeds(evidence: Evidence) -> Iterator[Row]:
    """Published rates of the models, each with our nearest row on every platform of the same kind."""
    models = evidence.in_order(evidence.measured["speed"]["model"])
    published = [row for row in published_speed().to_dict("records") if row["model"] in models]
    for theirs in sorted(published, key=lambda row: models.index(row["model"])):
        for platform in (one for one in evidence.platforms if one.kind == theirs["device"]):
            if (ours := _nearest(platform, theirs)) is None:
                continue
            how = f"precision {theirs['precision']}, layout {theirs['memory_format'].replace('_', ' ')}"
            compiled = "compiled" if theirs["compiled"] == "yes" else "eager"
            yield {
                "Model": evidence.model_title(theirs["model"]),
                "What": MODES[theirs["mode"]],
                "Ours": Field(rate(ours["images_per_s"]), notes=row_notes(ours)),
                "Theirs": rate(theirs["images_per_s"]),
                RATIO: decimal(ours["images_per_s"] / theirs["images_per_s"], 3),
                "What differs": f"ours: {platform.name}, {describe_execution(ours)}, "
                f"batch {count(ours['batch_size'])}, torch {ours['torch']}",
                "Source": f"{theirs['hardware']}, {how}, {compiled}, batch {theirs['batch_size']} "
                f"({theirs['source']})",
                "runs": (ours["profile"],),
            }


def _nearest(platform: Platform, theirs: dict[str, Any]) -> dict[str, Any] | None:
    """Our row of the same mode and input that differs least: in precision, layout, compilation, batch."""
    rows = trusted(platform.speed)
    rows = rows[rows["runtime"] == TORCH]
    for name, value in (("model", "model"), ("mode", "mode"), ("input_size", "input_px")):
        rows = rows[rows[name] == theirs[value]]

    def distance(ours: dict[str, Any]) -> tuple:
        known = theirs["batch_size"].isdigit()
        return (
            PRECISIONS.get(theirs["precision"], theirs["precision"]) != ours["precision"],
            theirs["memory_format"] != ours["memory_format"],
            (theirs["compiled"] == "yes") != (not pd.isna(ours["compiled"]) and bool(ours["compiled"])),
            abs(ours["batch_size"] - int(theirs["batch_size"])) if known else -ours["batch_size"],
            ours["profile"],
        )

    return min(rows.to_dict("records"), key=distance, default=None)
