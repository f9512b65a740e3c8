"""What the JSON files of a run store hold: frozen models, checked when they are read and when written.

Every file carries the number of its format. What an older version wrote is brought up to date when it is
read (`upgrade`); the file itself stays as it was written. Keys that a model does not name are kept.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.metrics.accuracy import at_chance
from bench.spec.job import CLEAN, evaluation_id

# 2: what a trial gave on the test split has a record of its own.
FORMAT = 2

ID = "[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
"""An id names a folder, and stands in LaTeX, HTML and commands; those made here are hexadecimal."""
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""The name of an external model."""

Id = Annotated[str, Field(pattern=f"^{ID}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a file as the present format has it, step by step from the one it was written in."""
    for number in range(content["format"], FORMAT):
        content = UPGRADES[number](content) | {"format": number + 1}
    return content


def _evaluation_apart(content: dict[str, Any]) -> dict[str, Any]:
    """Of format 1, where a trial and its only evaluation were one record."""
    metrics, data = content.get("metrics"), content.get("data")
    if content.get("kind", "trial") != "trial" or not isinstance(metrics, dict) or not isinstance(data, dict):
        return content
    before, content = content, {name: value for name, value in content.items() if name not in MOVED}
    content["metrics"] = {name: value for name, value in metrics.items() if name in WHILE_CHOOSING}
    if content.get("outcome") != "finished":
        return content
    evaluation = {name: before[name] for name in (*CIRCUMSTANCES, *MOVED) if name in before}
    evaluation |= {
        "kind": "evaluation",
        "id": evaluation_id(str(content.get("id")), CLEAN),
        "trial": content.get("id"),
        "condition": CLEAN,
        "outcome": "finished",
        "data": {name: value for name, value in data.items() if name in OF_TEST_DATA},
        "metrics": {name: value for name, value in metrics.items() if name not in WHILE_CHOOSING},
        "wall_s": 0.0,
    }
    return content | {"evaluation": evaluation}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _evaluation_apart}
"""What makes of a file's content of one format that of the next, by the older format."""


class Stored(BaseModel):
    """Read by attribute; `content` is what a file of it holds."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )

    def content(self) -> dict[str, Any]:
        """As plain data: what it was made from, without defaults."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Versioned(Stored):
    """A file of its own."""

    format: Count = FORMAT


class Data(Stored):
    """The test images something was measured on; `data_copy` says whether they are the published ones."""

    dataset: str
    split_id: str
    fingerprint: str
    data_copy: str = Field(alias="copy")
    classes: Annotated[Count, Field(ge=1)]
    test_images: Count

    @property
    def key(self) -> tuple[str, str, str]:
        """What two records have in common whose test images are the same."""
        return self.dataset, self.split_id, self.fingerprint


class SubsetData(Data):
    """With the images of the training subset."""

    train_images: Count


class TrialData(SubsetData):
    """With the val images; `overlap` counts what is wrong with one's own images."""

    val_images: Count
    overlap: dict[str, Count] = {}


class Identity(Stored):
    """The fields that make the id of a trial: everything that decides its result."""

    recipe: dict[str, Any]
    input_size: Count
    precision: str
    shots: Count | None
    draw_seed: Count | None
    seed: Count | None
    model: dict[str, Any] = {}
    weights: str | None = None
    dataset: str | None = None
    split_id: str | None = None


class TrialModel(Stored):
    """The network of a trial."""

    name: str
    title: str
    family: str
    pretraining: str
    params: Count
    kind: str | None = None
    carded: bool = True
    upstream_top1: Share | None = None
    weights: str | None = None
    weights_source: str | None = None


class TestMetrics(Stored):
    """On the test split: shares of images, NLL in nats, and other numbers by name; None if not measured."""

    __pydantic_extra__: dict[str, float | None] = Field(init=False)
    top1: Share | None = None
    top5: Share | None = None
    mean_per_class: Share | None = None
    nll: Amount | None = None
    ece: Share | None = None
    top1_deduplicated: Share | None = None


class TrainMetrics(Stored):
    """The same on what may be looked at while choosing: val, and the training subset."""

    val_top1: Share | None = None
    val_nll: Amount | None = None
    train_top1: Share | None = None
    train_nll: Amount | None = None


class Metrics(TestMetrics, TrainMetrics):
    """All of a trial."""


class Circumstances(Versioned):
    """When, where and with what something was measured."""

    machine: str | None = None
    device: str | None = None
    threads: Count | None = None
    versions: dict[str, str | None] = {}
    commit: str | None = None
    started: str | None = None
    finished: str | None = None


class EvaluationRecord(Circumstances):
    """What the model of a trial gave on the test split under one condition; `wall_s` in seconds.

    `test_evaluations` counts how often outputs met the labels for it: a process may have been killed between
    that and its record. The outcome is "diverged" where outputs are not all finite.
    """

    kind: Literal["evaluation"] = "evaluation"
    id: Id
    trial: Id
    condition: str
    outcome: Literal["finished", "diverged"]
    reason: str | None = None
    data: Data
    metrics: TestMetrics
    details: dict[str, Any] = {}
    test_evaluations: Count | None = None
    wall_s: Amount
    weights_sha256: str | None = None
    predictions_sha256: str | None = None

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.outcome == "finished":
            needed = ("top1", "top5", "mean_per_class", "nll")
            if lacking := [name for name in needed if getattr(self.metrics, name) is None]:
                raise ValueError(f"metrics.{lacking[0]} is missing")
        return self


class TrialRecord(Circumstances):
    """A trained model; `wall_s` in seconds.

    `evaluation` is the one that format 1 stored with the trial, and its predictions beside it.
    """

    kind: Literal["trial"] = "trial"
    id: Id
    outcome: Literal["finished", "diverged"]
    reason: str | None = None
    identity: Identity
    model: TrialModel
    recipe: str
    protocol: str
    selection: str | None = None
    data: TrialData
    metrics: TrainMetrics
    images_seen: Count | None = None
    steps: Count | None = None
    epochs: Amount | None = None
    train_images_per_s: Amount | None = None
    weights_sha256: str | None = None
    details: dict[str, Any] = {}
    wall_s: Amount
    versions: dict[str, str | None]
    evaluation: EvaluationRecord | None = None


class Result(TrialRecord):
    """A trial with its evaluation under one condition, which a trial that diverged while it trained lacks.

    It is not stored: the store joins it. Outcome, reason and metrics are those of both, and `wall_s` is
    their sum.
    """

    condition: str
    metrics: Metrics

    @staticmethod
    def of(trial: TrialRecord, evaluation: EvaluationRecord | None, condition: str) -> "Result":
        """The two joined."""
        values = _given(trial) | {"evaluation": evaluation, "condition": condition}
        metrics = _given(trial.metrics)
        if evaluation is not None:
            metrics |= _given(evaluation.metrics)
            values |= {
                "outcome": evaluation.outcome,
                "reason": evaluation.reason,
                "wall_s": round(trial.wall_s + evaluation.wall_s, 3),
            }
        values["metrics"] = Metrics.model_construct(**metrics)
        return Result.model_construct(**values)

    def content(self) -> dict[str, Any]:
        """As plain data; of the evaluation only its id, as all else of it is there."""
        own = self.model_dump(by_alias=True, exclude_unset=True, exclude={"evaluation"})
        looks = {"test_evaluations": self.test_evaluations}
        return own | ({"evaluation": self.evaluation.id} | looks if self.evaluation else looks)

    @property
    def top1(self) -> float:
        """Test accuracy; that of guessing where the trial diverged."""
        top1 = self.metrics.top1 if self.outcome == "finished" else None
        return at_chance(self.data.classes)["top1"] if top1 is None else top1

    @property
    def test_evaluations(self) -> int | None:
        """How often the test split was looked at."""
        return self.evaluation.test_evaluations if self.evaluation else 0


def _given(stored: Stored) -> dict[str, Any]:
    """The fields that a record has of its own, without defaults."""
    return {name: getattr(stored, name) for name in stored.model_fields_set}


# What of a trial's record of format 1 is its evaluation's, or both records'.
WHILE_CHOOSING = frozenset(TrainMetrics.model_fields)
OF_TEST_DATA = ("dataset", "split_id", "fingerprint", "copy", "classes", "test_images")
MOVED = ("test_evaluations", "predictions_sha256")
CIRCUMSTANCES = tuple(Circumstances.model_fields)


class BaselineRecord(Circumstances):
    """What needs no training, on the images of one subset; `pixels` is a side in px."""

    kind: Literal["baseline"] = "baseline"
    id: Id
    shots: Count | None
    draw_seed: Count | None
    data: SubsetData
    chance_top1: Share
    majority_top1: Share
    nearest_top1: Share
    pixels: Count | None = None


class ExternalRecord(Versioned):
    """Predictions that were made elsewhere; `sha256` is that of the file they came in."""

    kind: Literal["brought"] = "brought"
    id: Annotated[str, Field(pattern=f"^{NAME}$")]
    origin: str | None = None
    file: str | None = None
    sha256: str
    given: Literal["predicted", "probabilities"]
    data: Data
    metrics: Metrics
    top1_wilson: Annotated[list[Share], Field(min_length=2, max_length=2)]
    vcbench: str
    scored: str | None = None
    predictions_sha256: str | None = None

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.metrics.top1 is None:
            raise ValueError("metrics.top1 is missing")
        return self

    @property
    def top1(self) -> float:
        """Test accuracy."""
        assert self.metrics.top1 is not None
        return self.metrics.top1


class ProfileRecord(Circumstances):
    """A measurement of a network, or of the path of images to one."""

    kind: Literal["profile"] = "profile"
    id: Id
    what: str
    model: str | None = None
    title: str | None = None
    family: str | None = None
    pretraining: str | None = None
    classes: Count | None = None
    input_size: Count | None = None


class CostRecord(ProfileRecord):
    """Counts of a network with one head at one input size; `gmacs` in 10^9, `activations_m` in millions."""

    what: Literal["cost"]
    model: str
    classes: Count
    input_size: Count
    params: Count
    flops: Count
    gmacs: Amount
    trainable_params: Count | None = None
    gmacs_all: Amount | None = None
    flops_train_step: Count | None = None
    activations_m: Amount | None = None
    counter: str | None = None
    by_part: dict[str, Count] = {}
    elementwise: dict[str, Count] = {}


class ScalingRow(Stored):
    """The cost of a network at one of several input sizes."""

    input_size: Count
    params: Count | None = None
    flops: Count | None = None
    gmacs: Amount | None = None
    tokens: Count | None = None
    attention_matrices_flops: Count | None = None
    attention_share: Share | None = None
    activations_m: Amount | None = None


class MeasuredRecord(ProfileRecord):
    """What was measured in one setting; the columns of `bench.tables.measured` say what the fields are."""

    versions: dict[str, str | None]
    outcome: str | None = None
    reason: str | None = None
    mode: str | None = None
    precision: str | None = None
    memory_format: str | None = None
    allocator: str | None = None
    path: str | None = None
    batch_size: Count | None = None
    largest_batch: Count | None = None
    compiled: bool | None = None
    as_trained: bool | None = None
    cudnn_benchmark: bool | None = None
    best: bool | None = None
    # of speed, end to end and loading
    images_per_s: Amount | None = None
    images_per_s_low: Amount | None = None
    images_per_s_high: Amount | None = None
    earlier_images_per_s: Amount | None = None
    latency_ms_median: Amount | None = None
    latency_ms_q1: Amount | None = None
    latency_ms_q3: Amount | None = None
    latency_ms_p95: Amount | None = None
    latency_ms_p99: Amount | None = None
    samples: Count | None = None
    processes: Count | None = None
    unstable: bool | None = None
    busy: bool | None = None
    steady: bool | None = None
    other_cores: float | None = None
    clock: str | None = None
    casting: str | None = None
    optimizer: str | None = None
    error: Amount | None = None
    gpu_processes: Count | None = None
    flops_per_s: Amount | None = None
    fraction_of_matmul_peak: Amount | None = None
    matmul_peak: dict[str, Any] | None = None
    memory_bandwidth: dict[str, Any] | None = None
    jpeg_px: str | None = None
    jpeg_kib: Amount | None = None
    model_images_per_s: Amount | None = None
    decode_ms: Amount | None = None
    transform_ms: Amount | None = None
    model_ms: Amount | None = None
    decode_share: Share | None = None
    transform_share: Share | None = None
    model_share: Share | None = None
    # of memory and energy
    peak_allocated_mib: float | None = None
    peak_reserved_mib: float | None = None
    peak_rss_mib: float | None = None
    baseline_mib: float | None = None
    resting_mib: float | None = None
    energy_j_per_image: float | None = None
    energy_net_j_per_image: float | None = None
    energy_windows: Count | None = None
    energy_scope: str | None = None
    # of scaling
    rows: list[ScalingRow] = []
    attention_outgrows_rest_px: Count | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.outcome is None and self.what in ("speed", "memory", "energy", "end_to_end", "loading"):
            raise ValueError("outcome is missing")
        return self


class Contestant(Stored):
    """One model of a suite; a recipe of its own, where it has one."""

    title: str
    model: str
    weights: str
    recipe: str | None


class ComparisonEntry(Stored):
    """Contestants on one split by one recipe; `images` is where one's own lie, as folder:PATH.

    `conditions` are those beside "clean".
    """

    name: str
    dataset: str
    split_id: str | None
    input_size: Count
    recipe: str
    contestants: list[str]
    contrasts: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    exploratory: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    unmatched: str
    conditions: list[str] = []
    images: str | None = None


class TrialEntry(Stored):
    """A trial that a suite asks for; without an id where data or weights were not there."""

    id: Id | None
    comparison: str
    contestant: str
    shots: Count | None
    replicate: Count
    draw_seed: Count | None
    seed: Count | None


class HeadlineEntry(Stored):
    """A setting in which a suite compares its models by the clock."""

    mode: str
    input_size: Count
    classes: Count
    precision: str
    batch_sizes: Annotated[list[Count], Field(min_length=1)]
    scaling_batch_size: Count | None


class Listing(Versioned):
    """What a store keeps of a suite: enough to tabulate and report it without the suite's file."""

    suite: str
    title: str
    description: str
    fingerprint: str
    settings: list[str]
    headlines: list[HeadlineEntry] = []
    delta: Amount
    contestants: dict[str, Contestant]
    comparisons: list[ComparisonEntry]
    trials: list[TrialEntry]
    profiles: list[Id]
    keep_weights: bool = True
    file: str | None = None

    def conditions_of(self, entry: TrialEntry) -> list[str]:
        """Under which conditions a trial is evaluated beside "clean"."""
        return next(one.conditions for one in self.comparisons if one.name == entry.comparison)

    @model_validator(mode="after")
    def _of_itself(self) -> Self:
        members = {one.name: one.contestants for one in self.comparisons}
        for one in self.comparisons:
            for key in (*one.contestants, *sum(one.contrasts + one.exploratory, [])):
                if key not in self.contestants:
                    raise ValueError(f'comparisons: no contestant "{key}"')
        for entry in self.trials:
            if entry.contestant not in members.get(entry.comparison, ()):
                raise ValueError(f'trials: no "{entry.contestant}" in "{entry.comparison}"')
        return self

    @property
    def runs(self) -> dict[str, list[TrialEntry]]:
        """The entries of each trial that has an id, by it: one trial may be in several comparisons."""
        runs: dict[str, list[TrialEntry]] = {}
        for entry in self.trials:
            if entry.id:
                runs.setdefault(entry.id, []).append(entry)
        return runs

    @property
    def planned(self) -> int:
        """How many different trials there are; each entry without an id counts as one."""
        return len(self.runs) + sum(entry.id is None for entry in self.trials)


class StoreMark(Versioned):
    """That a folder is a run store."""


class Failure(Versioned):
    """What went wrong when a trial was last tried, and how often it has been tried."""

    attempts: Count
    message: str


class Looks(Versioned):
    """How often the test set has been looked at for a trial that is not finished."""

    test: Count


class Elapsed(Versioned):
    """Seconds that earlier processes spent on a trial before they were stopped."""

    seconds: Amount


class Processes(Versioned):
    """What the processes so far gave for a profile that is not finished."""

    results: list[dict[str, Any]]


class ClassNames(Versioned):
    """The names of the classes of a split, in the order of their labels."""

    classes: list[str]
