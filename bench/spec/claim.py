"""Claims: sentences that are said of ViTs and CNNs, each with the measurements and the rule that judge it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from bench.errors import InputError, did_you_mean
from bench.spec.toml import Strict, load_toml

FOLDER = Path(__file__).parent.parent / "claims"

Value = str | int | bool
FACTS = (
    "kind",
    "family",
    "model",
    "regime",
    "pretraining",
    "augmentation",
    "distilled",
    "budget",
    "depth",
    "heads",
    "width",
    "position",
)
"""What is known of a contestant (`bench.analysis.claims.contestants`)."""
ALIKE = ("regime", "pretraining", "augmentation", "distilled", "budget")
KEYS = ("evidence", "regime", "pretraining", "dataset", "images per class", "setting", "models")
"""What the estimates of a claim may differ in, and a verdict depend on."""


class Evidence(Strict):
    """One measurement of a claim: what it says of every pair of contestants, or of models, that fits.

    Attributes:
        name: what is measured, in a few words.
        expect: whether the claim says that the number is more or less than `than`.
        than: the number that separates holding from failing: a difference (fractions, nats), an exponent, or
            of ratios the ratio.
        margin: a number that is shown to lie within this of `than` fails as well; None: that decides nothing.
        a, b: facts of the contestants that are compared, each with one value or several. The number is a
            minus b, or a over b, or that of a `alone`.
        alike: the facts in which a and b must agree.
        images_per_class: the smallest and the largest subset that counts.
        sizes: of each comparison all subsets, or the largest alone.
        flops: by which factor the FLOPs of a and b may differ; None does not ask.
    """

    name: str
    expect: Literal["more", "less"]
    than: float = 0.0
    margin: float | None = Field(None, gt=0)
    a: dict[str, Value | tuple[Value, ...]] = {"kind": "transformer"}
    b: dict[str, Value | tuple[Value, ...]] = {"kind": "cnn"}
    alone: bool = False
    alike: tuple[str, ...] = ALIKE
    images_per_class: tuple[float, float] = (0, 1e9)
    sizes: Literal["all", "largest"] = "all"
    flops: float | None = Field(None, gt=1)

    @field_validator("a", "b", "alike")
    @classmethod
    def _known(cls, given: dict[str, Value] | tuple[str, ...]) -> object:
        for name in given:
            if name not in FACTS:
                raise ValueError(
                    f'no fact "{name}"{did_you_mean(name, FACTS)} (there are {", ".join(FACTS)})'
                )
        return given


class Scores(Evidence):
    """Of trained networks, replicate by replicate, and where images have scores, image by image.

    Attributes:
        of: "top1"; "loss", the share of its accuracy above chance that a network loses under `conditions`;
            "nll" on test images, in nats; "ece"; "gap", training minus test accuracy; "nll_rise", of val
            above its lowest in the same run, of runs that looked at it twice or more; "gradient" and
            "attention", how far layers look as a share of looking everywhere alike
            (`bench.inspection.reach`), averaged over those within `depth`, from 0 to 1.
            Trials that diverged are left out of "loss", "ece" and "gap"; of others they count at chance.
        conditions: names of conditions or of their families, over which is averaged; "corruptions" are all of
            them. `each`: every condition gives a number of its own.
        versus: what a and b are both changed to, and how much less their difference is then: the number is
            (a - b) minus that of the changed ones, which are otherwise like a and b.
    """

    kind: Literal["scores"]
    of: Literal["top1", "loss", "nll", "ece", "gap", "nll_rise", "gradient", "attention"] = "top1"
    depth: tuple[float, float] = (0.0, 1.0)
    conditions: tuple[str, ...] = ()
    each: bool = False
    versus: dict[str, Value | tuple[Value, ...]] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Scores":
        if (self.of == "loss") != bool(self.conditions):
            raise ValueError('conditions go with of = "loss"')
        if self.versus is not None and self.alone:
            raise ValueError("versus needs a and b, not alone = true")
        return self


class Ensembles(Evidence):
    """The accuracy of averaging two networks, a with b, less that of two of a, two of b, or one network that
    costs as much as both."""

    kind: Literal["ensembles"]
    against: Literal["a", "b", "one"]


class Spread(Evidence):
    """The ratio of the standard deviations of top-1 over replicates."""

    kind: Literal["spread"]
    than: float = Field(1.0, gt=0)


class Failures(Evidence):
    """The shares of networks, by subset, most of whose trials failed (`bench.analysis.trained`), over all of
    a comparison."""

    kind: Literal["failures"]


class LearningRates(Evidence):
    """How many decades of the learning rates that were searched come within 2 points of the best: the means
    over the networks of a comparison, each over the sizes on which all of them were searched."""

    kind: Literal["learning_rates"]


class Cost(Evidence):
    """The ratio of what two models cost in the same setting, each as it is trained."""

    kind: Literal["cost"]
    of: Literal["time", "memory", "energy"]
    mode: Literal["infer", "train"]
    than: float = Field(1.0, gt=0)


class EqualAccuracy(Evidence):
    """The ratio of costs at the accuracy that both kinds reach, from a line through three sizes or more of
    each: accuracy against the logarithm of the cost."""

    kind: Literal["equal_accuracy"]
    of: Literal["flops", "time", "memory"]
    mode: Literal["infer", "train"] = "infer"
    than: float = Field(1.0, gt=0)


class Exponent(Evidence):
    """The exponent with which the cost of a model grows with its number of tokens: the slope of a line
    through three input sizes or more, both in logarithms; `tokens` are the fewest and the most that count."""

    kind: Literal["exponent"]
    of: Literal["time", "memory"]
    mode: Literal["infer", "train"] = "infer"
    tokens: tuple[int, int] = (1, 1_000_000)
    alone: bool = True


Measurement = Annotated[
    Scores | Ensembles | Spread | Failures | LearningRates | Cost | EqualAccuracy | Exponent,
    Field(discriminator="kind"),
]


class Claim(Strict):
    """One file of `bench/claims/`.

    Attributes:
        sentence: as tutorials say it; `source` is what kind of text says it.
        estimand, control: what is measured, and what it is set against, in words.
        families: whether it speaks of all ViTs and CNNs, so that one pair supports it for that pair alone.
        depends: what the verdict may depend on, the first that explains it first.
        section: of the report in which its figure stands.
        missing: what would belong to it and is measured by none of the evidence.
    """

    name: str
    number: int = Field(ge=1)
    sentence: str
    source: str
    estimand: str
    control: str
    families: bool = True
    depends: tuple[Literal[KEYS], ...] = KEYS  # type: ignore[valid-type]
    section: str
    missing: str = ""
    evidence: tuple[Measurement, ...] = Field(min_length=1)


def claim_names(folder: Path = FOLDER) -> list[str]:
    """The names of all claims, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_claims(folder: Path = FOLDER) -> list[Claim]:
    """All claims, by their number.

    Raises:
        InputError: a file is wrong, or two claims have one number.
    """
    claims = [load_toml(folder / f"{name}.toml", Claim, name=name) for name in claim_names(folder)]
    numbers = [claim.number for claim in claims]
    for claim in claims:
        if numbers.count(claim.number) > 1:
            raise InputError(
                f"{folder / claim.name}.toml: number {claim.number} is that of another claim too"
            )
    return sorted(claims, key=lambda claim: claim.number)
