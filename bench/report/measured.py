"""What was measured of a suite's models by the clock and in bytes, machine by machine.

Numbers of two machines never share a figure or a comparison: a `Platform` is one device of one machine.
Models are compared in the setting that their suite declares (`HeadlineEntry`), each as trials train it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.files import slug
from bench.frames import frame
from bench.report.row_text import WITHHELD, describe_execution, describe_setting, rate, three_digits, withheld
from bench.report.text import NOT_MEASURED, count
from bench.store.records.listing import HeadlineEntry, Listing
from bench.store.records.profiles import ProfileRecord
from bench.tables.measured import measured_tables

RATE = "images_per_s"
"""The column of rates; those of the ends of its 95 % interval begin with it."""
AS_TRAINED = "as trained"
TIMED = ("speed", "memory", "end_to_end", "loading")
# What tells one platform from another.
PLATFORM = ("device", "machine", "threads", "torch")


def headlines_of(suite: Listing) -> list[HeadlineEntry]:
    """The settings in which a suite compares its models, inference first, then by input size.

    They are the suite's own (`bench.spec.suite`): what else lies in the store does not change them. Where a
    listing has none, an earlier version wrote it, which measured nothing as trained: then what
    `vcbench profile` has measured since by default is compared, in fp32.
    """
    declared = {(one.mode, one.input_size): one for one in suite.headlines}
    if not declared:
        sizes = {comparison.input_size for comparison in suite.comparisons} or {224}
        declared = {
            (mode, size): HeadlineEntry(
                mode=mode,
                input_size=size,
                classes=1000,
                precision="fp32",
                batch_sizes=[1, 32],
                scaling_batch_size=1,
            )
            for mode in ("infer", "train")
            for size in sizes
        }
    return [one for _, one in sorted(declared.items())]


@dataclass(frozen=True)
class Platform:
    """One device of one machine, as used by so many threads of one torch, with the rows measured there.

    Attributes:
        key: a short name, safe in a file name; the same for the same set of platforms.
        several: whether its device and machine are those of other platforms too.
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
    def speed(self) -> pd.DataFrame:
        """The rows of the speed table."""
        return self.tables["speed"]


@dataclass(frozen=True)
class ComparableRows:
    """Rows of several models measured in the same setting, and that setting as a caption has it."""

    rows: pd.DataFrame
    setting: str


def tables_of(profiles: Iterable[ProfileRecord]) -> dict[str, pd.DataFrame]:
    """The tables of `bench.tables.measured`, all of `TIMED` and scaling, empty ones too."""
    tables = measured_tables(profiles)
    nothing = frame([], {"machine": "str", "device": "str", "model": "str"})
    return {name: tables.get(name, nothing) for name in (*TIMED, "scaling")}


def platforms(tables: dict[str, pd.DataFrame]) -> list[Platform]:
    """Every platform that something was measured on, CPUs first, in order of their names."""
    rows = pd.concat([tables[name].reindex(columns=PLATFORM) for name in TIMED]).drop_duplicates()
    keys: list[tuple[Any, ...]] = [
        tuple(None if pd.isna(value) else value for value in row) for row in rows.itertuples(index=False)
    ]
    keys.sort(key=lambda key: (key[0] != "cpu", *map(str, key)))
    return [
        Platform(
            slug(device) + (f"-{same + 1}" if same else ""),
            machine,
            device,
            threads,
            torch,
            sum(key[:2] == (device, machine) for key in keys) > 1,
            {name: _rows_on(tables[name], keys[k]).reset_index(drop=True) for name in TIMED},
        )
        for k, (device, machine, threads, torch) in enumerate(keys)
        for same in [sum(key[0] == device for key in keys[:k])]
    ]


def headline_rows(
    platform: Platform,
    table: str,
    headline: HeadlineEntry,
    *,
    batch_sizes: Sequence[int] | None = None,
    any_input: bool = False,
    runtime: Sequence[str] | None = None,
) -> ComparableRows | None:
    """The rows of a table that are in the setting of a headline; None where nothing was measured.

    Rows that failed are among them, and those that are withheld. Of one setting measured more than once, by
    other versions of libraries, the latest stands.

    Args:
        batch_sizes: others than those of the headline.
        any_input: whether rows of all input sizes count.
        runtime: one of the headline's, by which exported networks run, with its precision; without it,
            networks run in PyTorch as they are trained.
    """
    rows = platform.tables[table]
    if rows.empty or ("mode" not in rows and headline.mode != "infer"):
        return None  # from JPEG to label there is inference alone
    own = rows["batch_size"].isin(batch_sizes or headline.batch_sizes)
    own &= rows["classes"] == headline.classes
    if runtime is None:
        own &= rows["as_trained"].fillna(value=False).astype(bool) & (rows["precision"] == headline.precision)
    else:
        own &= (rows["runtime"] == runtime[0]) & (rows["precision"] == runtime[1])
    if "mode" in rows:
        own &= rows["mode"] == headline.mode
    if not any_input:
        own &= rows["input_size"] == headline.input_size
    rows = rows[own.fillna(value=False)]
    if runtime is not None and len(rows):  # of several versions of the library the latest alone
        latest = rows.sort_values(["finished", "profile"], kind="stable")["runtime_version"].iloc[-1]
        rows = rows[rows["runtime_version"] == latest]
    if not (rows["outcome"] == "measured").any():
        return None
    first = rows.iloc[0]
    setting = {
        "mode": headline.mode,
        "batch_size": first["batch_size"] if rows["batch_size"].nunique() == 1 else None,
        "input_size": None if any_input else headline.input_size,
        **{name: first[name] for name in ("classes", "threads", "torch")},
    }
    execution = (
        f"{headline.precision}, {AS_TRAINED}" if runtime is None else describe_execution(first.to_dict())
    )
    return ComparableRows(_latest(rows), describe_setting(setting, execution))


def trusted(rows: pd.DataFrame, *, busy: bool = False) -> pd.DataFrame:
    """The rows whose numbers are used: measured, stable, and not of a busy machine.

    Args:
        busy: whether those of a busy machine are among them, for a figure that says so.
    """
    rows = rows[rows["outcome"] == "measured"]
    for name in ("unstable", *(() if busy else ("busy",))):
        if name in rows:
            rows = rows[~rows[name].fillna(value=False).astype(bool)]
    return rows


def other_rows(platform: Platform, table: str, headlines: Sequence[HeadlineEntry]) -> pd.DataFrame:
    """The rows of a table that are in the setting of no headline; those of its runtimes are among them."""
    rows = platform.tables[table]
    comparable = [headline_rows(platform, table, headline) for headline in headlines]
    shown = {profile for one in comparable if one is not None for profile in one.rows["profile"]}
    return rows if rows.empty else rows[~rows["profile"].isin(shown)]


@dataclass(frozen=True)
class Quantity:
    """What models are compared by: a column of the table speed or memory, at the largest batch that the suite
    declares, or at the `smallest`; `which` says more where the title does not say all."""

    title: str
    unit: str
    table: str
    column: str
    show: Callable[[float], str]
    smallest: bool = False
    which: str = ""

    @property
    def timed(self) -> bool:
        """Whether it follows from the rate of a row, so that the interval of this tells two rows apart."""
        return self.column in (RATE, "latency_ms_median")


def quantities(platform: Platform) -> dict[str, Quantity]:
    """Throughput, latency, memory and energy of inference."""
    peak, which = "peak_rss_mib", "peak resident memory over the baseline"
    if platform.kind == "GPU":
        peak, which = "peak_allocated_mib", "peak allocated memory"
    return {
        "speed": Quantity("Images/s", "images/s", "speed", RATE, rate),
        "latency": Quantity("Latency (ms)", "ms", "speed", "latency_ms_median", rate, smallest=True),
        "memory": Quantity("Memory (MiB)", "MiB", "memory", peak, lambda mib: count(round(mib)), which=which),
        "energy": Quantity("Energy (J/image)", "J per image", "speed", "energy_j_per_image", three_digits),
    }


@dataclass(frozen=True)
class Compared:
    """A quantity of models as trained: its `rows` by model and input size, the `settings` in words."""

    quantity: Quantity
    rows: dict[tuple[str, int], dict[str, Any]]
    settings: tuple[str, ...]

    def row(self, model: str, input_size: int | None = None) -> dict[str, Any]:
        """Of a model, at its largest input size unless told; empty where it was not measured."""
        own = {size: row for (name, size), row in self.rows.items() if name == model}
        return own.get(max(own, default=0) if input_size is None else input_size, {})

    def value(self, model: str, input_size: int | None = None) -> float | None:
        """The number; None where it was not measured, or is withheld."""
        row = self.row(model, input_size)
        return float(row[self.quantity.column]) if self._known(row) and not withheld(row) else None

    def withheld(self, model: str, input_size: int | None = None) -> str:
        """Why there is no number though it was measured; empty where there is one, or was none."""
        row = self.row(model, input_size)
        return withheld(row) if self._known(row) else ""

    def _known(self, row: dict[str, Any]) -> bool:
        value = row.get(self.quantity.column)
        return value is not None and not pd.isna(value)

    def text(self, model: str, input_size: int | None = None, otherwise: str = NOT_MEASURED) -> str:
        """The number as text, or that it is withheld."""
        value = self.value(model, input_size)
        if value is not None:
            return self.quantity.show(value)
        return WITHHELD if self.withheld(model, input_size) else otherwise


def compared(platform: Platform, headlines: Iterable[HeadlineEntry], quantity: Quantity) -> Compared:
    """A quantity on a platform, in the setting of each headline."""
    rows, settings = {}, []
    for headline in headlines:
        batch = min(headline.batch_sizes) if quantity.smallest else headline.batch_size
        comparable = headline_rows(platform, quantity.table, headline, batch_sizes=[batch])
        if comparable:
            settings.append(comparable.setting)
            for row in comparable.rows.to_dict("records"):
                rows[row["model"], headline.input_size] = row
    return Compared(quantity, rows, tuple(settings))


def _rows_on(rows: pd.DataFrame, key: Sequence[Any]) -> pd.DataFrame:
    """The rows of a platform, by its values of `PLATFORM`."""
    for name, value in zip(PLATFORM, key, strict=True):
        if name in rows:
            rows = rows[rows[name].isna() if value is None else rows[name] == value]
    return rows


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    setting = ["model", "batch_size", "input_size"]
    kept = rows.sort_values(["finished", "profile"], kind="stable").drop_duplicates(setting, keep="last")
    return kept.sort_values(setting, kind="stable", ignore_index=True)
