"""What training took: images seen and FLOPs of every model and subset, those of a teacher among them."""

from collections.abc import Callable
from itertools import groupby

import pandas as pd

from bench.analysis.regimes import frozen_by
from bench.report.blocks import Column, Table, number
from bench.report.evidence import Evidence
from bench.report.row_text import three_digits
from bench.report.sections.columns import cell_size
from bench.report.text import NOT_MEASURED, count, listed

Unknown = Callable[[pd.DataFrame], str]
NO_EPOCHS = "–"
"""Of a network that is not trained but read once."""
TRAINING = 3
"""A training step in forward passes: one, and a backward pass that costs twice as much."""


def budget(evidence: Evidence) -> Table:
    """One row a comparison and subset."""
    by_subset = groupby(evidence.cells, key=lambda cell: (cell.comparison, cell.shots))
    cells = {subset: list(own) for subset, own in by_subset}
    spent = _spent(evidence)
    rows = {
        (name, None if pd.isna(shots) else int(shots)): own
        for (name, shots), own in spent.groupby(["comparison", "shots"], dropna=False, sort=False)
    }
    nothing = spent.iloc[:0]

    def by_model(title: str, column: str, parts: int, unknown: Unknown = lambda _: NOT_MEASURED) -> Column:
        def content(subset: tuple[str, int | None]) -> str:
            own = rows.get(subset, nothing)
            return _by_model(own, column, parts) or unknown(own)

        return Column(title, content, wide=True)

    def no_epochs(own: pd.DataFrame) -> str:
        frozen = len(own) and all(frozen_by(evidence.records[run]) for run in own["run"])
        return NO_EPOCHS if frozen else NOT_MEASURED

    def runs(subset: tuple[str, int | None]) -> str:
        return "; ".join(f"{cell.title}: {len(cell.runs)} of {cell.planned}" for cell in cells[subset])

    return Table.of(
        "budget",
        "What every model was trained with, of trials that finished. One number: the same for all models. A "
        "student's images and FLOPs include those of its teacher: its training, and its outputs for the "
        "student. A training step counts as three forward passes, reading a frozen network as one.",
        [
            Column("Comparison", lambda subset: subset[0]),
            number("Images per class", lambda subset: cell_size(cells[subset][0])),
            by_model("Training images seen", "seen", 1),
            by_model("Training FLOPs (10¹²)", "tflop", 0),
            by_model("Epochs", "epochs", 10, no_epochs),
            Column("Training runs", runs, wide=True),
        ],
        cells,
        group_by=lambda subset: subset[0],
    )


def _spent(evidence: Evidence) -> pd.DataFrame:
    """The trials that are done, with the images that were seen for each and the FLOPs (10¹²) that it took."""
    done = evidence.done
    images, taught = done["images_seen"].astype(float), done["teacher_images_seen"].astype(float).fillna(0)
    outputs = done["teacher_forward_flops"].astype(float).fillna(0)
    pairs = zip(done["comparison"], done["contestant"], strict=True)
    forward = pd.Series([evidence.match.flops(*pair) for pair in pairs], done.index, dtype=float)
    steps = [1 if frozen_by(evidence.records[run]) else TRAINING for run in done["run"]]
    flops = steps * forward * images + outputs + TRAINING * outputs / images * taught
    return done.assign(seen=images + taught, tflop=flops / 1e12)


def _by_model(rows: pd.DataFrame, column: str, parts: int) -> str:
    """The one value of all models, or that of each; rounded to 1 / parts, or to three digits. Empty without
    any."""
    values = {
        title: listed(list(dict.fromkeys(_number(value, parts) for value in sorted(own[column].dropna()))))
        for title, own in rows.groupby("title", sort=False)
    }
    values = {title: text for title, text in values.items() if text}
    if len(set(values.values())) <= 1:
        return next(iter(values.values()), "")
    return "; ".join(f"{title}: {text}" for title, text in values.items())


def _number(value: float, parts: int) -> str:
    if not parts:
        return three_digits(value)
    rounded = round(value * parts) / parts
    return count(rounded) if rounded == int(rounded) else f"{rounded:g}"
