"""Costs that accuracy is set against: of each contestant one number, all under the same conditions."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from bench.report.measured import Headline, Platform, headline_rows, memory_column, trusted
from bench.report.row_text import row_notes


@dataclass(frozen=True)
class Axis:
    """A cost to draw accuracy against.

    Attributes:
        key: its part of the figure's name.
        column: its name in the data.
        label: what it is, with its unit.
        values: by contestant; those that are not known are left out.
        intervals: the ends of their 95 % intervals, of those that have one.
        notes: what must be known to read them.
        runs: ids of the profiles behind the values.
        where: the platform and setting of what was measured, as a caption has it.
        more_is_better: whether the front lies at the upper end.
    """

    key: str
    column: str
    label: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    where: str = ""
    more_is_better: bool = False


def measured_axes(
    platform: Platform, models: dict[str, str], input_size: int, headlines: Sequence[Headline]
) -> dict[str, Axis]:
    """Throughput, memory and energy of contestants on a platform, by name; unknown ones are left out.

    They are of inference as trained, at the largest batch that the suite declares; what is withheld is not
    known.

    Args:
        models: by contestant.
        input_size: in px; only what was measured at this size is used.
    """
    headline = next((h for h in headlines if (h.mode, h.input_size) == ("infer", input_size)), None)
    if headline is None:
        return {}
    memory, memory_label = memory_column(platform)
    largest = replace(headline, batch_sizes=(headline.batch_size,))
    costs = {
        "throughput": ("speed", "images_per_s", "throughput (images/s)"),
        "memory": ("memory", memory, "peak memory (MiB)"),
        "energy": ("speed", "energy_j_per_image", "energy per image (J)"),
    }
    axes = {}
    for name, (table, column, label) in costs.items():
        comparable = headline_rows(platform, table, largest)
        if comparable is None:
            continue
        rows = trusted(comparable.rows)
        rows = rows[rows["model"].isin(set(models.values())) & rows[column].notna()].set_index("model")
        if rows.empty:
            continue
        known = {key: rows.loc[model].to_dict() for key, model in models.items() if model in rows.index}
        ends = {key: (row.get(f"{column}_low"), row.get(f"{column}_high")) for key, row in known.items()}
        axes[name] = Axis(
            key=f"{name}-{platform.key}",
            column=column,
            label=label,
            values={key: float(row[column]) for key, row in known.items()},
            intervals={key: pair for key, pair in ends.items() if not pd.isna(list(pair)).any()},
            notes={key: row_notes(row) for key, row in known.items()},
            runs=tuple(sorted(rows["profile"])),
            where=f"{platform.name}: {comparable.setting}"
            + (f", {memory_label}" if name == "memory" else ""),
            more_is_better=name == "throughput",
        )
    return axes
