"""What was measured of a suite's models by the clock and in bytes, machine by machine.

Numbers of two machines never share a figure or a comparison: a `Place` is one device of one machine. Models
are compared in the setting that their suite declares (`Headline`), each as trials train it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.files import slug
from bench.frames import frame
from bench.report.text import NOT_MEASURED, count, decimal
from bench.tables.measured import measured_tables

if TYPE_CHECKING:
    from bench.store.records import Listing, ProfileRecord

TIMED = ("speed", "memory", "end_to_end", "loading")
# What tells one place from another.
WHERE = ("device", "machine", "threads", "torch")
WITHHELD = "withheld"


@dataclass(frozen=True)
class Headline:
    """The setting in which a suite compares its models: each as trials train it, in one mode at one size.

    It is the suite's own (`bench.spec.suite`): what else lies in the store does not change it.
    """

    mode: str
    input_size: int
    classes: int
    precision: str
    batch_sizes: tuple[int, ...]
    scaling_batch_size: int

    @property
    def batch_size(self) -> int:
        """The batch of what has one number a model."""
        return max(self.batch_sizes)


def headlines_of(suite: "Listing") -> list[Headline]:
    """Those of a suite's listing, inference first, then by input size.

    Where a listing has none, an earlier version wrote it, which measured nothing as trained: then what
    `vcbench profile` has measured since by default is compared, in fp32.
    """
    found = {(one.mode, one.input_size): one for one in suite.headlines}
    sizes = sorted({comparison.input_size for comparison in suite.comparisons}) or [224]
    if not found:
        return [
            Headline(mode, size, 1000, "fp32", (1, 32), 1) for mode in ("infer", "train") for size in sizes
        ]
    return [
        Headline(
            one.mode,
            one.input_size,
            one.classes,
            one.precision,
            tuple(sorted(one.batch_sizes)),
            one.scaling_batch_size or min(one.batch_sizes),
        )
        for _, one in sorted(found.items(), key=lambda item: item[0])
    ]


@dataclass(frozen=True)
class Place:
    """One device of one machine, as used by so many threads of one torch, with the rows measured there.

    Attributes:
        key: a short name, safe in a file name; the same for the same set of places.
        several: whether its device and machine are those of other places too.
        tables: speed, memory, end_to_end and loading; empty where nothing was measured.
    """

    key: str
    machine: str
    device: str
    threads: int | None
    torch: str | None
    several: bool
    tables: dict[str, pd.DataFrame] = field(repr=False)

    @property
    def kind(self) -> str:
        """CPU or GPU."""
        return "CPU" if self.device == "cpu" else "GPU"

    @property
    def name(self) -> str:
        """The device with its machine, as a reader sees it."""
        own = f"; {self.threads} threads, torch {self.torch}" if self.several else ""
        return f"{'CPU' if self.kind == 'CPU' else self.device} ({self.machine}{own})"

    @property
    def cited(self) -> str:
        """Device and machine as part of a key, which no other place changes."""
        return f"{slug(self.device)}/{slug(self.machine)}"

    @property
    def speed(self) -> pd.DataFrame:
        """The rows of the speed table."""
        return self.tables["speed"]

    @property
    def memory(self) -> pd.DataFrame:
        """The rows of the memory table."""
        return self.tables["memory"]


@dataclass(frozen=True)
class Alike:
    """Rows of several models measured under the same conditions, and these in words."""

    rows: pd.DataFrame
    words: str


def tables_of(profiles: "Iterable[ProfileRecord]") -> dict[str, pd.DataFrame]:
    """The tables of `bench.tables.measured`, all of `TIMED` and scaling, empty ones too."""
    found = measured_tables(profiles)
    nothing = frame([], {"machine": "str", "device": "str", "model": "str"})
    return {name: found.get(name, nothing) for name in (*TIMED, "scaling")}


def places(tables: dict[str, pd.DataFrame]) -> list[Place]:
    """Every place that something was measured at, CPUs first, in order of their names."""
    rows = pd.concat([tables[name].reindex(columns=WHERE) for name in TIMED]).drop_duplicates()
    ways: list[tuple[Any, ...]] = [
        tuple(None if pd.isna(value) else value for value in row) for row in rows.itertuples(index=False)
    ]
    found: list[Place] = []
    for way in sorted(ways, key=lambda way: (way[0] != "cpu", *map(str, way))):
        device, machine, threads, torch = way
        key, same = slug(device), sum(place.device == device for place in found)
        here = {name: _where(tables[name], way).reset_index(drop=True) for name in TIMED}
        several = sum(other[:2] == way[:2] for other in ways) > 1
        found.append(
            Place(f"{key}-{same + 1}" if same else key, machine, device, threads, torch, several, here)
        )
    return found


def headline_rows(place: Place, table: str, headline: Headline) -> Alike | None:
    """The rows of a table at a place that are in the setting of a headline; None where nothing was measured.

    Rows that failed are among them, and those that are withheld. Of one setting measured more than once, by
    other versions of libraries, the latest stands.
    """
    return _alike(place.tables[table], headline, headline.batch_sizes, [headline.input_size])


def rows_over_sizes(place: Place, table: str, headline: Headline) -> Alike | None:
    """As `headline_rows`, at the one batch of rows over input sizes."""
    return _alike(place.tables[table], headline, [headline.scaling_batch_size], None)


def _alike(
    rows: pd.DataFrame, headline: Headline, batch_sizes: Sequence[int], input_sizes: Sequence[int] | None
) -> Alike | None:
    if "mode" in rows:
        rows = rows[rows["mode"] == headline.mode]
    elif headline.mode != "infer":  # from JPEG to label there is inference alone
        return None
    if rows.empty:
        return None
    rows = rows[rows["as_trained"].fillna(value=False).astype(bool)]
    rows = rows[(rows["precision"] == headline.precision) & (rows["classes"] == headline.classes)]
    rows = rows[rows["batch_size"].isin(batch_sizes)]
    rows = rows if input_sizes is None else rows[rows["input_size"].isin(input_sizes)]
    if not (rows["outcome"] == "measured").any():
        return None
    first = rows.iloc[0].to_dict()
    one_batch = rows["batch_size"].nunique() == 1
    words = in_words(
        {
            "mode": headline.mode,
            "how": f"{headline.precision}, as trained",
            "batch_size": first["batch_size"] if one_batch else None,
            "input_size": headline.input_size if input_sizes else None,
            **{name: first[name] for name in ("classes", "threads", "torch")},
        }
    )
    return Alike(_latest(rows), words)


def trusted(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose numbers are shown: measured, and not withheld."""
    rows = rows[rows["outcome"] == "measured"]
    return rows[~rows["unstable"].fillna(value=False).astype(bool)] if "unstable" in rows else rows


def other_rows(place: Place, table: str, headlines: Sequence[Headline]) -> pd.DataFrame:
    """The rows of a table at a place that are in the setting of no headline."""
    rows = place.tables[table]
    found = [headline_rows(place, table, headline) for headline in headlines]
    shown = {profile for one in found if one is not None for profile in one.rows["profile"]}
    return rows if rows.empty else rows[~rows["profile"].isin(shown)]


def in_words(setting: dict[str, Any]) -> str:
    """Everything that a number depends on, for a caption."""
    mode = "training step" if setting["mode"] == "train" else "inference"
    parts = [mode, setting.get("how") or how(setting)]
    if not pd.isna(setting.get("batch_size")):
        parts.append(f"batch {count(setting['batch_size'])}")
    if not pd.isna(setting.get("input_size")):
        parts.append(f"{int(setting['input_size'])} px")
    if not pd.isna(setting.get("classes")):
        parts.append(f"{count(setting['classes'])} classes")
    if not pd.isna(setting.get("threads")):
        threads = int(setting["threads"])
        parts.append(f"{threads} thread{'' if threads == 1 else 's'}")
    if isinstance(setting.get("torch"), str):
        parts.append(f"torch {setting['torch']}")
    return ", ".join(parts)


def how(setting: dict[str, Any]) -> str:
    """Precision, memory layout, eager or compiled, and what else differs from how trials run."""
    layout = {"channels_last": "channels last"}.get(setting["memory_format"], setting["memory_format"])
    words = [setting["precision"], layout, "compiled" if _is(setting, "compiled", True) else "eager"]
    if setting.get("device") == "cpu" and setting.get("allocator") != "keep_freed":
        words.append("freed memory returned")
    if setting.get("device", "cpu") != "cpu" and not _is(setting, "cudnn_benchmark", True):
        words.append("cuDNN's first choice of algorithm")
    return ", ".join(words)


def state(row: dict[str, Any]) -> tuple[str, ...]:
    """What must be known to read a row: why it has no number, or what disturbed it."""
    outcome = row.get("outcome")
    if isinstance(outcome, str) and outcome != "measured":
        reason = row.get("reason")
        return (reason if isinstance(reason, str) else outcome.replace("_", " "),)
    notes = []
    if _is(row, "busy", True):
        cores = row.get("other_cores")
        known = isinstance(cores, float) and not pd.isna(cores)
        notes.append("machine busy" + (f": {cores:.1f} cores of other work" if known else ""))
    if _is(row, "unstable", True):
        earlier, now = row.get("earlier_images_per_s"), row.get("images_per_s")
        known = earlier is not None and not pd.isna(earlier)
        if withheld(row):
            notes.append(f"{WITHHELD}: unstable" + (", far from an earlier measurement" if known else ""))
        else:
            notes.append(
                "unstable" + (f": {rate(now)} images/s now, {rate(earlier)} earlier" if known else "")
            )
    if _is(row, "steady", False):
        notes.append("warm-up did not settle")
    return tuple(notes)


def withheld(row: dict[str, Any]) -> bool:
    """Whether a row that models would be compared by has no number to be shown, as it is unstable."""
    return _is(row, "as_trained", True) and _is(row, "unstable", True)


def missing_of(rows: pd.DataFrame, titles: dict[str, str]) -> str:
    """What follows the caption of a figure whose models include some with a number that is withheld."""
    held = sorted({titles[row["model"]] for row in rows.to_dict("records") if withheld(row)})
    return f" Withheld, as unstable: {', '.join(held)}." if held else ""


def marked(rows: pd.DataFrame) -> str:
    """What follows the caption of a figure of rows of which some were disturbed; nothing if none was."""
    rows = rows.to_dict("records")
    notes = sorted({note.split(":")[0] for row in rows if not withheld(row) for note in state(row)})
    return f" Some rows are marked: {'; '.join(notes)}." if notes else ""


def brief(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if abs(value) < 999.5 else count(round(value))


def rate(value: float | None) -> str:
    """Images/s with three digits at least."""
    if value is None or pd.isna(value):
        return NOT_MEASURED
    return (
        count(round(value)) if value >= 1000 else decimal(value, 2 if value < 10 else 1 if value < 100 else 0)
    )


def memory_column(place: Place) -> tuple[str, str]:
    """The column that tells peak memory at a place, and what it is."""
    if place.kind == "GPU":
        return "peak_allocated_mib", "peak allocated memory"
    return "peak_rss_mib", "peak resident memory over the baseline"


def ordered(models: Iterable[str], looks: Sequence[str]) -> list[str]:
    """Models in the order in which they are drawn."""
    present = set(models)
    return [model for model in looks if model in present]


def _is(row: dict[str, Any], name: str, value: bool) -> bool:
    """Whether a column that may be missing has this value."""
    found = row.get(name)
    return found is not None and not pd.isna(found) and bool(found) == value


def _where(rows: pd.DataFrame, way: Sequence[Any]) -> pd.DataFrame:
    """The rows of a place."""
    for name, value in zip(WHERE, way, strict=True):
        if name in rows:
            rows = rows[rows[name].isna() if value is None else rows[name] == value]
    return rows


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    place = ["model", "batch_size", "input_size"]
    kept = rows.sort_values(["finished", "profile"], kind="stable").drop_duplicates(place, keep="last")
    return kept.sort_values(place, kind="stable", ignore_index=True)
