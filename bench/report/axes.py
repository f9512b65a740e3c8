"""Costs that accuracy is set against: of each contestant one number, all under the same conditions."""

from dataclasses import dataclass, field

import pandas as pd

from bench.report.measured import Place, alike, memory_column, state


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


def measured_axes(place: Place, models: dict[str, str], input_size: int) -> dict[str, Axis]:
    """Throughput, memory and energy of contestants at one setting of a place, by name; without those that
    nothing is known of.

    Args:
        models: by contestant.
        input_size: in px; only what was measured at this size is used.
    """
    wanted = set(models.values())
    memory, memory_words = memory_column(place)
    speed_rows = place.speed[place.speed["model"].isin(wanted)]
    speed = alike(speed_rows, input_size=input_size)
    energetic = (
        speed_rows[speed_rows["energy_j_per_image"].notna()] if "energy_j_per_image" in speed_rows else None
    )
    found = {
        "throughput": (speed, "images_per_s", "throughput (images/s)"),
        "memory": (
            alike(place.memory[place.memory["model"].isin(wanted)], input_size=input_size),
            memory,
            "peak memory (MiB)",
        ),
        "energy": (
            alike(energetic, input_size=input_size) if energetic is not None else None,
            "energy_j_per_image",
            "energy per image (J)",
        ),
    }
    axes = {}
    for name, (alike_rows, column, words) in found.items():
        if alike_rows is None:
            continue
        rows = alike_rows.rows[alike_rows.rows[column].notna()].set_index("model")
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
