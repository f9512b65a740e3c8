"""One number that bears on a claim, with where it was measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING, Literal

from bench.analysis.claims.contestants import Contestant
from bench.analysis.claims.uncertain import Uncertain

if TYPE_CHECKING:
    from bench.spec.claim import Evidence

Unit = Literal["points", "percent", "nats", "ratio", "exponent", "decades", "share"]
SCALE = {"points": 100.0, "percent": 100.0}
"""What a unit is multiplied with to be shown."""


@dataclass(frozen=True)
class Estimate:
    """A number that an evidence gives.

    Attributes:
        number: of ratios the logarithm.
        case: where it was measured, by the keys of `bench.spec.claim.KEYS`.
        models: names of the networks of a, and of b, which has none where a is alone.
        titles: what is compared, for a reader.
        runs: the ids behind it.
        flops_ratio: of a over b; None where it is not known.
        diverged: how many trials are left out as they diverged, and of how many.
    """

    evidence: "Evidence"
    number: Uncertain
    unit: Unit
    case: Mapping[str, str]
    models: tuple[frozenset[str], frozenset[str]]
    titles: str
    runs: tuple[str, ...] = ()
    flops_ratio: float | None = None
    diverged: tuple[int, int] = (0, 0)

    def shown(self, value: float | None) -> float | None:
        """A number in the estimate's unit."""
        if value is None:
            return None
        return exp(value) if self.unit == "ratio" else SCALE.get(self.unit, 1.0) * value


def compared(a: Contestant, b: Contestant) -> str:
    """Such as "ViT-micro/4 against ResNet-18"; the title of one alone."""
    return a.cell.title if a is b else f"{a.cell.title} against {b.cell.title}"


def diverged(contestants: Iterable[Contestant]) -> tuple[int, int]:
    """How many trials diverged, and of how many."""
    cells = [one.cell for one in contestants]
    return sum(cell.diverged for cell in cells), sum(len(cell.records) for cell in cells)


def of_pair(
    evidence: "Evidence",
    number: Uncertain,
    unit: Unit,
    a: Contestant,
    b: Contestant,
    runs: tuple[str, ...],
    case: Mapping[str, str] | None = None,
    sides: Iterable[Iterable[Contestant]] | None = None,
) -> Estimate:
    """The estimate of a pair of contestants, or of one that is both.

    Args:
        case: adds to where it was measured.
        sides: all contestants of either side, where these are more than a and b.
    """
    cell = a.cell
    models = [frozenset(one.cell.model for one in side) for side in sides or ([a], [b])]
    where = {
        "evidence": evidence.name,
        "regime": str(a.facts["regime"]),
        "pretraining": str(a.facts["pretraining"]),
        "dataset": cell.dataset,
        "images per class": f"{cell.images_per_class:.4g}",
        "models": compared(a, b),
        **(case or {}),
    }
    return Estimate(
        evidence,
        number,
        unit,
        where,
        (models[0], models[1] if a is not b else frozenset()),
        where["models"],
        tuple(dict.fromkeys(runs)),
        a.flops / b.flops if a is not b and a.flops and b.flops else None,
    )
