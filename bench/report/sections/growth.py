"""The tables of the data-efficiency section: areas, images needed and crossovers."""

import math
from itertools import groupby

from bench.analysis.contrasts import Finding
from bench.analysis.efficiency import Crossover, Needed, images_needed
from bench.analysis.learning_curves import Growth, area_contrast, area_of, crossover_of, shared
from bench.files import slug
from bench.report.blocks import Block, Column, Field, Table
from bench.report.evidence import Evidence
from bench.report.text import interval, listed, noted, percent, points, subset
from bench.report.verdicts import pair_name, short_notes

TARGETS = 4
NOT_ENOUGH = "needs two sizes with three replicates"
NOT_TRAINED = "not trained at two sizes with three replicates"
NOT_COMMON = "no two sizes with three replicates in common"


def growth_tables(evidence: Evidence, name: str) -> list[Block]:
    """Area and images needed by model, and what changes with size by pair."""
    members = [evidence.growths[name, key] for key in evidence.looks if (name, key) in evidence.growths]
    if not members:
        return []
    areas, sizes = _areas(members)
    blocks: list[Block] = [_models(evidence, name, members, areas, sizes)]
    pairs = [
        list(group)
        for _, group in groupby(
            [f for f in evidence.findings if f.pair.comparison == name], key=lambda f: (f.pair.a, f.pair.b)
        )
    ]
    return blocks + ([_pairs(evidence, name, pairs, sizes)] if pairs else [])


def targets(members: list[Growth]) -> list[float]:
    """Round accuracies that some trained model reaches and some size misses, at most `TARGETS` of them."""
    means = [mean for member in members if member.trained for mean in member.trained.estimate]
    if not means:
        return []
    low, high = math.floor(10 * min(means)) + 1, math.floor(10 * max(means))
    tenths = list(range(low, high + 1))
    step = max(1, math.ceil(len(tenths) / TARGETS))
    return [tenth / 10 for tenth in tenths[::-1][::step][::-1]]


def needed_in_words(needed: Needed) -> str:
    """Images per class for an accuracy."""
    low, high, point = needed.low, needed.high, needed.point
    if needed.status == "not reached":
        return f"not reached by {low:g}"
    near = f"about {_round(point)}; " if point else ""
    if needed.status == "reached":
        return f"{near}{low:g} to {high:g}" if low else f"{near}at most {high:g}"
    return f"{near}inconclusive" + (f", over {low:g}" if low else "")


def crossover_in_words(found: Crossover | None, titles: tuple[str, str]) -> str:
    """Where the better model changes, if it does."""
    if found is None:
        return "not measured at two sizes"
    if not found.crossings:
        return found.status
    first = found.crossings[0]
    leader, other = titles if first.leader == "a" else titles[::-1]
    words = (
        f"{leader} is better at {first.low:g}, {other} at {first.high:g}; about {_round(first.point)} by "
        "interpolation"
    )
    return words + (f"; {len(found.crossings)} changes in all" if len(found.crossings) > 1 else "")


def _round(size: float) -> str:
    return f"{size:.2g}" if size < 100 else f"{size:.0f}"


def _areas(members: list[Growth]) -> tuple[dict[str, tuple[str, str]], list[float]]:
    """The area under the curve of each contestant with its interval, in words, and the sizes it is over.

    They are the same for all that could have an area alone; a model with too few runs leaves the others
    theirs.
    """
    able = [member for member in members if shared([member])[0]]
    sizes, replicates = shared(able) if able else ([], [])
    areas = {
        member.contestant: (NOT_TRAINED if member.untrained else NOT_ENOUGH, "none") for member in members
    }
    for member in able:
        found = area_of(member, sizes, replicates)
        ends = f"{percent(found.low)} to {percent(found.high)}" if found else "none"
        areas[member.contestant] = percent(found.estimate) if found else NOT_COMMON, ends
    return areas, sizes


def _models(
    evidence: Evidence,
    name: str,
    members: list[Growth],
    areas: dict[str, tuple[str, str]],
    sizes: list[float],
) -> Table:
    wanted = targets(members)
    columns = (
        Column("Model"),
        Column("Area under the curve (%)", numeric=True),
        Column("95 % interval", numeric=True),
        *(Column(f"Images per class for {100 * target:.0f} %", wide=True) for target in wanted),
        Column("Notes", under="Model"),
    )
    rows = []
    for member in members:
        contestant = evidence.suite["contestants"][member.contestant]
        rows.append(
            (
                Field(contestant["title"], look=evidence.looks[member.contestant]),
                *(Field(text) for text in areas[member.contestant]),
                *(Field(_needed(member, target)) for target in wanted),
                Field(notes=_notes(evidence, name, member.contestant)),
            )
        )
    span = f" from {sizes[0]:g} to {sizes[-1]:g} images per class" if sizes else ""
    caption = (
        f"Data efficiency in {name}. Area: mean accuracy over doublings of the data{span}. Images needed: "
        "from the size at which the whole 95 % interval is still below the accuracy to the first at which "
        "it is not; the number after about is interpolated between the means. Sizes at which a model was "
        "not trained (see the notes) count for nothing here."
    )
    return Table(f"growth-{slug(name)}", caption, columns, tuple(rows))


def _notes(evidence: Evidence, name: str, contestant: str) -> tuple[str, ...]:
    """The notes of a model's cells, with the sizes that they hold for."""
    here = [c for c in evidence.cells if (c.comparison, c.contestant) == (name, contestant) and c.runs]
    return _by_size([(cell.shots, cell.images_per_class, cell.notes) for cell in here])


def _by_size(found: list[tuple[int | None, float, tuple[str, ...]]]) -> tuple[str, ...]:
    """Notes of several sizes, given as shots, images per class and the notes there."""
    return noted({subset(shots, images): notes for shots, images, notes in found}, "at ")


def _needed(member: Growth, target: float) -> str:
    if member.trained is None:
        return "not trained"
    if not any(point.low is not None for point in member.trained.points):
        return "needs three replicates"
    return needed_in_words(images_needed(member.trained, target))


def _pairs(evidence: Evidence, name: str, pairs: list[list[Finding]], sizes: list[float]) -> Table:
    """A difference in area that is not over the `sizes` of the models' own areas says over which it is."""
    columns = (
        Column("Contrast"),
        Column("Crossover", wide=True),
        Column("Difference in area (points)", numeric=True),
        Column("95 % interval", numeric=True),
        Column("Declared"),
        Column("Notes", under="Contrast"),
    )
    rows = []
    for group in pairs:
        head = group[0]
        keys = [(name, key) for key in (head.pair.a, head.pair.b)]
        measured = all(key in evidence.growths for key in keys)
        delta = evidence.suite["delta"]
        both = [evidence.growths[key] for key in keys] if measured else []
        found, own = area_contrast(*both, delta) if both else (None, [])
        span = (f"over {listed([f'{size:g}' for size in own])} images per class",) if own != sizes else ()
        change = crossover_of(group)
        rows.append(
            (
                Field(pair_name(head)),
                Field(_crossover(group, change)),
                Field(points(found.estimate), notes=span) if found else Field(_no_area(both)),
                Field(interval(found.low, found.high) if found else "none"),
                Field("primary" if head.pair.primary else "exploratory"),
                Field(notes=_by_size([(f.pair.shots, f.images_per_class, short_notes(f)) for f in group])),
            )
        )
    caption = (
        f"What changes with the amount of data in {name}. A crossover is claimed only of primary contrasts, "
        "where one model is better at one size and the other at a larger one; sizes at which not both were "
        "trained (see the notes) are left out. Intervals of differences in "
        "area are descriptions: no verdict is given on them."
    )
    return Table(f"crossover-{slug(name)}", caption, columns, tuple(rows))


def _crossover(group: list[Finding], change: Crossover | None) -> str:
    if not group[0].pair.primary:
        return "not claimed of exploratory pairs"
    lost = [finding for finding in group if finding.untrained]
    if change is None and lost:
        return "not both were trained at two sizes"
    if change is not None and sum(finding.has_interval and not finding.untrained for finding in group) < 2:
        return NOT_ENOUGH
    words = crossover_in_words(change, group[0].titles)
    if not lost:
        return words
    sizes = listed([subset(finding.pair.shots, finding.images_per_class) for finding in lost])
    return f"{words}, where both were trained (not at {sizes})"


def _no_area(both: list[Growth]) -> str:
    return NOT_TRAINED if any(member.untrained for member in both) else NOT_ENOUGH
