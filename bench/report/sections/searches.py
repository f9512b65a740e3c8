"""How recipe values were chosen: every learning rate that was tried, the choice, and how much it matters."""

from collections.abc import Iterator

import pandas as pd

from bench.analysis.search import CLOSE, sensitivity
from bench.files import slug
from bench.report.blocks import Column, Field, Figure, Gallery, Section, Table, number
from bench.report.cells import with_more_labels
from bench.report.evidence import Evidence
from bench.report.lines import Line, line_chart
from bench.report.style import Style
from bench.report.text import NOT_MEASURED, count, percent, size_label

TITLE = "The search of recipe values"
LARGEST, SMALLER = slice(-1, None), slice(-1)
FAINT = {"linestyle": (0, (1, 1)), "linewidth": 0.6, "alpha": 0.45}


def searches(evidence: Evidence) -> Section | None:
    """One figure a comparison, of its largest subset; None where nothing was chosen."""
    table = _comparisons(evidence.search, "chosen")
    if table.empty:
        return None
    return Section.of("search", TITLE, _how(evidence, table), Gallery.of(_figures(evidence, table, LARGEST)))


def search_details(evidence: Evidence) -> Section | None:
    """The choice of every model and subset, and the figures of the smaller ones."""
    table = _comparisons(evidence.search, "done")
    if table.empty:
        return None
    smaller = Gallery.of(_figures(evidence, table, SMALLER))
    return Section.of("search-details", "The search in numbers", _table(evidence, table), smaller)


def _comparisons(table: pd.DataFrame, having: str) -> pd.DataFrame:
    """The searches of comparisons that have any "done" job or "chosen" value; none that shares all of its
    jobs with an earlier one."""
    table = table[table.groupby("comparison")[having].transform("sum") > 0]
    seen: set[str] = set()
    kept = []
    for name, own in table.groupby("comparison", sort=False):
        jobs = set(" ".join(own["runs"]).split())
        kept += [name] if jobs - seen else []
        seen |= jobs
    return table[table["comparison"].isin(kept)]


def _figures(evidence: Evidence, table: pd.DataFrame, which: slice) -> Iterator[Figure]:
    """Of each comparison the figures of some of its subsets, of which the last is the largest."""
    for _, comparison in table.groupby("comparison", sort=False):
        known = comparison[comparison["val_top1"].notna() & comparison["lr"].notna()]
        subsets = [own for _, own in known.groupby("shots", sort=False, dropna=False)]
        yield from (_figure(evidence, own) for own in subsets[which])


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
        each = " or ".join(count(n) for n in sorted(set(jobs)))
        alike = jobs.groupby("shots", dropna=False).nunique().max() == 1
        got = (
            f"on a subset every model got as many search jobs as the others ({each}, by subset)"
            if alike
            else f"not every search has ended, so that models differ in search jobs so far ({each})"
        )
        sentences.append(
            f"{comparison.name}: {got}, which begin with the same values and are judged on {images}."
        )
        borrowed = [] if on_val else with_more_labels(evidence.cells_of(comparison.name))
        sentences += [f"Values for {one} are those of the next larger subset." for one in borrowed]
    return " ".join(sentences) + (
        " Of accuracies within a standard error of the best, the one of the smallest learning rate was "
        "taken. No search job has seen a test image."
    )


def _table(evidence: Evidence, table: pd.DataFrame) -> Table:
    """One row a model and subset: the choice, and how many of the values tried do about as well."""
    rows = [own for _, own in table.groupby(["comparison", "contestant", "shots"], sort=False, dropna=False)]
    columns = (
        Column("Model", lambda own: Field(own["title"].iloc[0], style=_style(evidence, own))),
        number("Images per class", _size),
        Column("Chosen", lambda own: _chosen(evidence, own), wide=True),
        number("Held-out top-1 (%)", _accuracy),
        number(f"Within {100 * CLOSE:.0f} points of the best", _close),
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


def _close(own: pd.DataFrame) -> str:
    known = sensitivity(own)
    return f"{known['close'].iloc[0]} of {known['tried'].iloc[0]}" if len(known) else NOT_MEASURED


def _style(evidence: Evidence, own: pd.DataFrame) -> Style:
    return evidence.styles[own["contestant"].iloc[0]]


def _size(own: pd.DataFrame) -> str:
    return size_label(own["shots"].iloc[0])


def _chosen(evidence: Evidence, own: pd.DataFrame) -> Field:
    chosen = own[own["chosen"]]
    if chosen.empty:
        return Field(f"not yet: {_waits_for(evidence, own)}")
    edge = chosen["edge"].iloc[0]
    notes = (
        () if pd.isna(edge) else (f"at the {edge} end of what was tried, after one step beyond the range",)
    )
    return Field(chosen["values"].iloc[0], notes=notes)


def _waits_for(evidence: Evidence, own: pd.DataFrame) -> str:
    """Why nothing was chosen: jobs are missing, a later rung is, or other models are not as far."""
    if own["done"].sum() < own["jobs"].sum():
        return "jobs are missing"
    by_name = {one.name: one.search or {} for one in evidence.suite.comparisons}
    rungs = len(by_name[own["comparison"].iloc[0]].get("rungs", [1]))
    tried = int(own["rung"].max()) + 1
    if tried < rungs:
        return f"rung {tried} of {rungs} is done, and the next is not listed"
    return "the same search of other models is not finished"


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
    subset = "all training images" if size == "all" else f"{size} image{'' if size == '1' else 's'} per class"
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
    x, y, se = tried["lr"].to_numpy(), *(100 * tried[name].to_numpy() for name in ("val_top1", "se"))
    drawn = {} if last else FAINT
    title = tried["title"].iloc[0] if last else ""
    chosen = tried["chosen"].to_numpy(dtype=bool)
    return Line(title, _style(evidence, tried), x, y, y - se, y + se, ringed=chosen, drawn=drawn)
