"""Costs that accuracy is set against: of each contestant one number, all under the same conditions."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from bench.report.measured import Headline, Place, headline_rows, memory_column, state, trusted


@dataclass(frozen=True)
class Axis:
    """A cost to draw accuracy against.

    Attributes:
        key: its part of the figure's name, and its column in the data.
        values: by contestant; those that are not known are left out.
        intervals: the ends of their 95 % intervals, of those that have one.
        notes: what must be known to read them.
        runs: ids of the profiles behind the values.
        where: the place and setting of what was measured there, in words.
        more_is_better: whether the front lies at the upper end.
    """

    key: str
    column: str
    words: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    where: str = ""
    more_is_better: bool = False


def measured_axes(
    place: Place, models: dict[str, str], input_size: int, headlines: Sequence[Headline]
) -> dict[str, Axis]:
    """Throughput, memory and energy of contestants at a place, by name; unknown ones are left out.

    They are of inference as trained, at the largest batch that the suite declares; what is withheld is not
    known.

    Args:
        models: by contestant.
        input_size: in px; only what was measured at this size is used.
    """
    headline = next((h for h in headlines if (h.mode, h.input_size) == ("infer", input_size)), None)
    if headline is None:
        return {}
    wanted = set(models.values())
    memory, memory_words = memory_column(place)
    largest = replace(headline, batch_sizes=(headline.batch_size,))
    speed = headline_rows(place, "speed", largest)
    found = {
        "throughput": (speed, "images_per_s", "throughput (images/s)"),
        "memory": (headline_rows(place, "memory", largest), memory, "peak memory (MiB)"),
        "energy": (speed, "energy_j_per_image", "energy per image (J)"),
    }
    axes = {}
    for name, (alike_rows, column, words) in found.items():
        if alike_rows is None:
            continue
        rows = trusted(alike_rows.rows)
        rows = rows[rows["model"].isin(wanted) & rows[column].notna()].set_index("model")
        if rows.empty:
            continue
        known = {key: rows.loc[model].to_dict() for key, model in models.items() if model in rows.index}
        ends = {key: (row.get(f"{column}_low"), row.get(f"{column}_high")) for key, row in known.items()}
        axes[name] = Axis(
            key=f"{name}-{place.key}",
            column=column,
            words=words,
            values={key: float(row[column]) for key, row in known.items()},
            intervals={key: pair for key, pair in ends.items() if not pd.isna(list(pair)).any()},
            notes={key: state(row) for key, row in known.items()},
            runs=tuple(sorted(rows["profile"])),
            where=f"{place.name}: {alike_rows.words}" + (f", {memory_words}" if name == "memory" else ""),
            more_is_better=name == "throughput",
        )
    return axes
