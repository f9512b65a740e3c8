"""Recipes: everything that decides how a model is trained on a subset."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.errors import InputError, did_you_mean, shortened
from bench.spec.toml import Strict, load_toml

FOLDER = Path(__file__).parent.parent / "recipes"

# What nobody means, and what memory or patience would not bear: a slip of the pen is told as one.
LARGEST_SIDE = 2048
LARGEST_BATCH = 65536
MOST_CLASSES = 1_000_000
# Input sizes in px at which the cost of a model is counted, to see how it grows.
SIZES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512)

Level = Annotated[float, Field(ge=-1000, le=1000)]
Triple = tuple[Level, Level, Level]
Share = Annotated[float, Field(ge=1e-4, le=1)]
Ratio = Annotated[float, Field(ge=0.01, le=100)]
Spread = Annotated[float, Field(ge=1e-6, le=1000)]
Strength = Annotated[float, Field(ge=1e-30, le=1e30)]
Decay = Annotated[float, Field(ge=0, lt=1)]
L2 = tuple(float(f"{digit}e{power}") for power in range(-9, 2) for digit in (1, 2, 5))  # 1e-9 to 50


class RandAugment(Strict):
    """`ops` operations an image, each at `magnitude` of 30 (Cubuk et al., 2020, arXiv 1909.13719).

    `std` spreads the magnitude of each operation and image around that, and `prob` is the share of operations
    that are done, both as in timm, whose magnitudes are of 10: its 9 is 27 here.
    """

    ops: int = Field(2, ge=1, le=100)
    magnitude: int = Field(9, ge=0, le=30)
    std: float = Field(0.0, ge=0, le=30)
    prob: float = Field(1.0, gt=0, le=1)


class Augment(Strict):
    """From decoded image to network input; everything random is drawn anew for every image.

    `random_crop = "resized"` cuts its boxes (`scale`, `ratio`) from the stored image, which with
    `resize = "crop"` is the centre square of the picture, at `input_size / crop_pct` px; RandomResizedCrop
    elsewhere cuts them from all of the picture.

    `repeats` is how often an image comes in a row, each time augmented anew (repeated augmentation: Hoffer et
    al., 2020, arXiv 1901.09335). An epoch has as many samples as with 1, of fewer images.
    """

    resize: Literal["crop", "squash"] = "crop"
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    crop_pct: float = Field(0.875, ge=0.1, le=1)
    random_crop: Literal["none", "pad", "resized"] = "none"
    pad: int = Field(4, ge=0, le=512)
    scale: tuple[Share, Share] = (0.35, 1.0)
    ratio: tuple[Ratio, Ratio] = (0.75, 4 / 3)
    flip: bool = True
    randaugment: RandAugment | None = None
    erase: float = Field(0.0, ge=0, le=1)
    mixup: float = Field(0.0, ge=0, le=1000)
    cutmix: float = Field(0.0, ge=0, le=1000)
    mix_prob: float = Field(1.0, ge=0, le=1)
    repeats: int = Field(1, ge=1, le=100)
    mean: Triple | None = None
    std: tuple[Spread, Spread, Spread] | None = None

    @model_validator(mode="after")
    def _ascending(self) -> "Augment":
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if low > high:
                raise ValueError(f"{name} should be [smallest, largest], not [{low}, {high}]")
        return self

    def stored_size(self, input_size: int) -> int:
        """Side in px at which images are decoded for a network input of `input_size` px."""
        return input_size if self.resize == "squash" else round(input_size / self.crop_pct)


class Budget(Strict):
    """How long to train; the same for every model of a comparison.

    With `micro_batch` a step passes its batch in parts of at most so many images and adds their gradients up,
    for less memory. It is the same step but for rounding, for what is drawn at random within the network, and
    for batch normalisation, whose statistics are then those of a part.
    """

    epochs: int = Field(ge=1, le=1_000_000)
    min_steps: int = Field(0, ge=0, le=1_000_000_000)
    batch_size: int = Field(ge=2, le=LARGEST_BATCH)
    micro_batch: int | None = Field(None, ge=1, le=LARGEST_BATCH)

    @model_validator(mode="after")
    def _parts_of_a_batch(self) -> "Budget":
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise ValueError(
                f"micro_batch should be at most batch_size, {self.batch_size}, not {self.micro_batch}"
            )
        return self

    def steps(self, images: int) -> tuple[int, int]:
        """Total steps and steps an epoch for a subset of `images` images.

        A batch is never larger than the subset; whole epochs are added until `min_steps` is met.
        """
        per_epoch = max(1, images // self.batch_size)
        epochs = max(self.epochs, -(-self.min_steps // per_epoch))
        return epochs * per_epoch, per_epoch


class Optimizer(Strict):
    """The update rule. Norms, biases, position embeddings and class tokens are never decayed."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(ge=1e-30, le=1e6)
    weight_decay: float = Field(0.05, ge=0, le=1e6)
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    momentum: float = Field(0.9, ge=0, lt=1)
    clip_grad: float | None = Field(None, ge=1e-30, le=1e30)


class Schedule(Strict):
    """Learning rate over the steps; `step_per_epoch` holds it constant within an epoch."""

    name: Literal["cosine", "onecycle", "constant"] = "cosine"
    warmup: float = Field(0.1, ge=0, lt=1)
    final: float = Field(0.0, ge=0, le=1)
    step_per_epoch: bool = False


class Probe(Strict):
    """Multinomial logistic regression on frozen features of unit length.

    `l2` are the candidate strengths (see `bench.training.probe`), compared by cross-validation over `folds`
    folds, or as many as there are images per class; in a subset of fewer than `cv_from` images, or of one
    image per class, `l2_fixed` is used.
    """

    l2: tuple[Strength, ...] = Field(L2, min_length=1)
    l2_fixed: Strength = 1e-5
    cv_from: int = Field(100, ge=4)
    folds: int = Field(5, ge=2, le=1000)


class Knn(Strict):
    """The `k` nearest training images, by the cosine of their frozen features, vote for their classes.

    Of fewer than `k` images all vote. Their weights are exp(cosine / `temperature`) (see
    `bench.training.knn`).
    """

    k: int = Field(20, ge=1, le=100_000)
    temperature: float = Field(0.07, ge=1e-3, le=1e3)


class Distill(Strict):
    """What a network learns from a teacher, which sees the same augmented images as its student.

    Loss = (1 - `weight`) * that of the labels + `weight` * that of the teacher (Touvron et al., 2021, arXiv
    2012.12877). "hard": cross-entropy to the teacher's class; "soft": Kullback-Leibler divergence from its
    probabilities, of logits divided by `temperature`, times `temperature` squared. `by` says which outputs
    follow the teacher: those of a distillation "token", whose network has a head for either loss and averages
    the two when it is evaluated, or those of the "class" token, which then follow both.

    `teacher` is the key of a contestant of the same comparison, usually set by the student's own entry in
    [models]: `set = { "distill.teacher" = "KEY" }`.
    """

    teacher: str | None = None
    kind: Literal["hard", "soft"] = "hard"
    temperature: float = Field(1.0, ge=0.01, le=1000)
    weight: float = Field(0.5, gt=0, le=1)
    by: Literal["token", "class"] = "token"

    @model_validator(mode="after")
    def _temperature_counts(self) -> "Distill":
        if self.kind == "hard" and self.temperature != 1:
            raise ValueError('temperature is for kind = "soft"; with "hard" it would change nothing')
        return self

    def loss_of_guessing(self, outputs: int) -> float:
        """The most that the loss of a student can be which says every output alike.

        The Kullback-Leibler divergence from the teacher's probabilities is at most ln `outputs`, that of a
        sure teacher, and counts times the temperature squared.
        """
        factor = self.temperature**2 if self.kind == "soft" else 1.0
        return (1 + self.weight * (factor - 1)) * math.log(outputs)


class Expect(Strict):
    """The accuracy that a recipe gave in one comparison of a suite that comes with vcbench.

    `top1` is the mean over the replicates and `spread` their standard deviation, fractions; `shots` are
    images per class, as the suite names them; `set` is what the search of a tuned comparison chose.
    """

    suite: str
    comparison: str
    contestant: str
    shots: int | Literal["all"]
    top1: float = Field(ge=0, le=1)
    spread: float | None = Field(None, ge=0, le=1)
    replicates: int = Field(ge=1)
    set: tuple[tuple[str, int | float | str], ...] = ()

    @field_validator("set", mode="before")
    @classmethod
    def _as_pairs(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return tuple(value.items())
        return tuple(map(tuple, value)) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _of_several(self) -> "Expect":
        if (self.spread is None) != (self.replicates == 1):
            raise ValueError("spread goes with more than one replicate")
        return self


class Recipe(Strict):
    """One file of `bench/recipes/`.

    `head_outputs` keeps the head of the pretrained weights, whose first outputs are then read as the
    dataset's classes; elsewhere a new head has one output a class. `keep` says which weights count: the
    last, or those of the best val epoch. `val_times` is how often val is looked at for the learning curve.
    """

    name: str
    title: str
    protocol: Literal["shared", "tuned", "own"] = "shared"
    expected: str
    expect: tuple[Expect, ...] = ()
    augment: Augment = Augment()
    budget: Budget | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule = Schedule()
    probe: Probe | None = None
    knn: Knn | None = None
    distill: Distill | None = None
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    drop_path: float = Field(0.0, ge=0, lt=1)
    keep: Literal["last", "best-val"] = "last"
    val_times: int = Field(5, ge=1, le=10_000)
    head_outputs: int | None = Field(None, ge=1, le=MOST_CLASSES)

    @model_validator(mode="after")
    def _one_kind(self) -> "Recipe":
        kinds = (self.budget, self.probe, self.knn)
        if sum(kind is not None for kind in kinds) != 1 or (self.budget is None) != (self.optimizer is None):
            raise ValueError("a recipe has either [budget] and [optimizer], or [probe], or [knn]")
        if self.frozen and self.distill is not None:
            raise ValueError("frozen features have no teacher: [distill] goes with [budget] and [optimizer]")
        return self

    def loss_of_guessing(self, outputs: int) -> float:
        """The loss of a network that says every output alike, whatever the labels are smoothed or mixed to;
        of a student the most that it can be."""
        return math.log(outputs) if self.distill is None else self.distill.loss_of_guessing(outputs)

    def idle(self, key: str) -> str | None:
        """Why a dotted key changes no number of a network; None where it can."""
        if self.frozen and key.partition(".")[0] in (
            "schedule",
            "label_smoothing",
            "drop_path",
            "keep",
            "val_times",
        ):
            return f'recipe "{self.name}" trains no network'
        sgd = self.optimizer is not None and self.optimizer.name == "sgd"
        if key == "optimizer.momentum" and not sgd:
            return 'only optimizer.name = "sgd" has it'
        if key == "optimizer.betas" and sgd:
            return 'optimizer.name = "sgd" has none'
        if key in ("schedule.warmup", "schedule.final") and self.schedule.name != "cosine":
            return 'only schedule.name = "cosine" has it'
        return None

    @property
    def frozen(self) -> bool:
        """Whether the network stays as it is, and its features are read: nothing of it is drawn at random."""
        return self.budget is None

    @property
    def training(self) -> tuple[Budget, Optimizer]:
        """How long and by which rule the network is trained.

        Raises:
            ValueError: it is not; the recipe reads frozen features.
        """
        if self.budget is None or self.optimizer is None:
            raise ValueError(f'the recipe "{self.name}" trains no network')
        return self.budget, self.optimizer

    def identity(self) -> dict[str, Any]:
        """What of a recipe can change a number: all but its name and the words about it.

        A teacher is known by what it was trained as, which the identity of its student holds, not by its key.
        """
        content = self.model_dump(mode="json", exclude={**dict.fromkeys(WORDS, True), "distill": {"teacher"}})
        augment = content["augment"]
        # These came later than trials that are stored.
        for table, defaults in (
            (content, {"distill": None, "knn": None}),
            (content["budget"] or {}, {"micro_batch": None}),
            (augment, {"repeats": 1}),
            (augment["randaugment"] or {}, {"std": 0.0, "prob": 1.0}),
        ):
            for key, default in defaults.items():
                if table.get(key, default) == default:
                    table.pop(key, None)
        return content


WORDS = ("name", "title", "expected", "expect", "protocol")
"""Keys of a recipe that change no number."""


def recipe_names() -> list[str]:
    """The names of the recipes that come with the harness."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """A recipe by its name, or by the path of a TOML file.

    Raises:
        InputError: no such recipe, or its file is wrong.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise InputError(
            f'no recipe "{shortened(name)}"{did_you_mean(name, recipe_names())} (see: vcbench recipes)'
        )
    return load_toml(path, Recipe, name=path.stem)
