"""How recipe values were chosen: every learning rate that was tried, the choice, and how much it matters."""

import pandas as pd

from bench.analysis.search import CLOSE, search_table, sensitivity
from bench.files import slug
from bench.report.blocks import Column, Field, Figure, Gallery, Section, Table, number
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_chart
from bench.report.text import NOT_MEASURED, count, listed, percent

TITLE = "The search of recipe values"
FAINT = {"linestyle": (0, (1, 1)), "linewidth": 0.6, "alpha": 0.45}


def searches(evidence: Evidence) -> Section | None:
    """One figure a comparison and subset, the largest first; None where nothing was searched."""
    table = _begun(evidence)
    if table.empty:
        return None
    return Section.of("search", TITLE, _how(evidence, table), Gallery.of(_figures(evidence, table)[0]))


def search_details(evidence: Evidence) -> Section | None:
    """The choice of every model and subset, and the figures of the smaller ones."""
    table = _begun(evidence)
    if table.empty:
        return None
    smaller = Gallery.of(_figures(evidence, table)[1])
    return Section.of("search-details", "The search in numbers", _table(evidence, table), smaller)


def _begun(evidence: Evidence) -> pd.DataFrame:
    """The search table of the comparisons of which a search job is done."""
    table = search_table({evidence.name: evidence.suite}, evidence.store)
    return table[table.groupby("comparison")["done"].transform("sum") > 0]


def _figures(evidence: Evidence, table: pd.DataFrame) -> tuple[list[Figure], list[Figure]]:
    """Of each comparison the figure of its largest subset; and those of all smaller ones."""
    largest, smaller = [], []
    for _, comparison in table.groupby("comparison", sort=False):
        known = comparison[comparison["val_top1"].notna() & comparison["lr"].notna()]
        figures = [_figure(evidence, own) for _, own in known.groupby("shots", sort=False, dropna=False)]
        largest += figures[-1:]
        smaller += figures[:-1]
    return largest, smaller


def _how(evidence: Evidence, table: pd.DataFrame) -> str:
    """What was searched, by how many jobs, and judged on what."""
    sentences = []
    for comparison in evidence.suite.comparisons:
        own = table[table["comparison"] == comparison.name]
        if own.empty:
            continue
        jobs = own.groupby(["contestant", "shots"], dropna=False)["jobs"].sum()
        on_val = (comparison.search or {}).get("judge") == "val"
        images = "the val split" if on_val else "images held out of the subset itself"
        each = listed([count(n) for n in sorted(set(jobs))])
        sentences.append(
            f"{comparison.name}: each model got the same number of search jobs on a subset ({each}) with the "
            f"same values, judged on {images}."
        )
    return " ".join(sentences) + (
        " Of accuracies within a standard error of the best, the one of the smallest learning rate was "
        "taken. No search job has seen a test image."
    )


def _table(evidence: Evidence, table: pd.DataFrame) -> Table:
    """One row a model and subset: the choice, and how many of the values tried do about as well."""
    close = sensitivity(table).set_index(["comparison", "contestant", "shots"])
    rows = [
        own.assign(close=_close(close, key))
        for key, own in table.groupby(["comparison", "contestant", "shots"], sort=False, dropna=False)
    ]
    columns = (
        Column("Model", lambda own: _model(evidence, own)),
        number("Images per class", lambda own: _size(own)),
        Column("Chosen", lambda own: _chosen(own), wide=True),
        number("Held-out top-1 (%)", lambda own: _accuracy(own)),
        number(f"Within {100 * CLOSE:.0f} points of the best", lambda own: own["close"].iloc[0]),
        number("Jobs", lambda own: f"{own['done'].sum()} of {own['jobs'].sum()}"),
    )
    caption = (
        "What was chosen for each model and subset. How many of the learning rates first tried come within "
        f"{100 * CLOSE:.0f} points of the best says how much a model depends on the choice: the fewer, the "
        "harder it is to train."
    )
    return Table.of(
        "search",
        caption,
        columns,
        rows,
        group_by=lambda own: own["comparison"].iloc[0],
        runs=lambda own: " ".join(own["runs"]).split(),
    )


def _close(close: pd.DataFrame, key: tuple[object, ...]) -> str:
    known = [row for index, row in close.iterrows() if _same(index, key)]
    return f"{known[0]['close']} of {known[0]['tried']}" if known else NOT_MEASURED


def _same(a: object, b: tuple[object, ...]) -> bool:
    """Whether two keys are the same; all images are missing shots."""
    assert isinstance(a, tuple)
    return all(x == y or (pd.isna(x) and pd.isna(y)) for x, y in zip(a, b, strict=True))


def _model(evidence: Evidence, own: pd.DataFrame) -> Field:
    return Field(own["title"].iloc[0], style=evidence.styles[own["contestant"].iloc[0]])


def _size(own: pd.DataFrame) -> str:
    shots = own["shots"].iloc[0]
    return "all" if pd.isna(shots) else count(shots)


def _chosen(own: pd.DataFrame) -> Field:
    chosen = own[own["chosen"]]
    if chosen.empty:
        return Field("still searched")
    edge = chosen["edge"].iloc[0]
    notes = (
        () if pd.isna(edge) else (f"at the {edge} end of what was tried, after one step beyond the range",)
    )
    return Field(chosen["values"].iloc[0], notes=notes)


def _accuracy(own: pd.DataFrame) -> tuple[str, str] | str:
    chosen = own[own["chosen"] & own["val_top1"].notna()]
    if chosen.empty:
        return NOT_MEASURED
    return percent(chosen["val_top1"].iloc[0]), percent(chosen["se"].iloc[0])


def _figure(evidence: Evidence, own: pd.DataFrame) -> Figure:
    """Accuracy against learning rate, a line a model and rung, the choice ringed."""
    shown = [key for key in evidence.styles if key in set(own["contestant"])]
    tried = [rows for key in shown for _, rows in own[own["contestant"] == key].groupby("rung", sort=True)]
    lines = [_line(evidence, rows.sort_values("lr")) for rows in tried]
    name, size = own["comparison"].iloc[0], _size(own)
    subset = "all training images" if size == "all" else f"{size} images per class"
    caption = (
        f"{name}, {subset}: top-1 accuracy on the images held out against the learning rate. Bars: ± one "
        "standard error. Rings: what was chosen."
    )
    if own["rung"].max() > 0:
        caption += " Faint: earlier rungs, with a smaller share of the budget; the better half went on."
    values = [
        f"{line.title}: "
        + ", ".join(
            f"{y:.1f} % at {x:g}{' (chosen)' if chosen else ''}"
            for x, y, chosen in zip(line.x, line.y, line.ringed, strict=True)
        )
        for line in lines
        if line.title
    ]
    return Figure(
        line_chart(lines, "Learning rate", "Held-out top-1 accuracy (%)"),
        f"search-{slug(name)}-{size}",
        caption=caption,
        alt=f"Line chart of {name}, {subset}: held-out accuracy by learning rate. {'. '.join(values)}.",
        data=own,
        runs=" ".join(own["runs"]).split(),
    )


def _line(evidence: Evidence, tried: pd.DataFrame) -> Line:
    """One model in one rung; only the last has its name."""
    last = bool(tried["last_rung"].iloc[0])
    y, se = (100 * tried[name].to_numpy() for name in ("val_top1", "se"))
    style = evidence.styles[tried["contestant"].iloc[0]]
    drawn = {} if last else FAINT
    title = tried["title"].iloc[0] if last else ""
    chosen = tried["chosen"].to_numpy(dtype=bool)
    return Line(title, style, tried["lr"].to_numpy(), y, y - se, y + se, ringed=chosen, drawn=drawn)
