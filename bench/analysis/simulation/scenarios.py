"""The simulated suites that `simulation` analyses: worlds with a known truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.simulation.synthetic import World

SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""Images per class of the curves."""


@dataclass(frozen=True)
class Scenario:
    """A world, analysed cell by cell (the first model against each other one) or as curves of two models.

    `shares` says how many of the R replicates each cell has: this share of them, but at least three. 0 stands
    for one deterministic run.
    """

    name: str
    world: World
    curves: bool = False
    shares: tuple[float, ...] | None = None

    def replicates(self, most: int) -> list[int]:
        """How many replicates each cell has, where the fullest has `most`."""
        shares = self.shares or (1.0,) * len(self.world.accuracy)
        return [max(3, round(share * most)) if share else 1 for share in shares]


def _cells(*below: float, base: Sequence[float] = (0.6, 0.8, 0.9)) -> tuple[tuple[float, ...], ...]:
    """Cells with the first model at `base` and the others this much below."""
    return tuple((p, *(p - difference for difference in below)) for p in base)


def _lines(*models: tuple[float, float]) -> tuple[tuple[float, ...], ...]:
    """Accuracies that rise in a line over log2(size), from (start, slope) of each model."""
    return tuple(tuple(start + slope * float(np.log2(n)) for start, slope in models) for n in SIZES)


def _by_size(*spreads: float) -> tuple[tuple[float, ...], ...]:
    """The same spread for all models of a cell, another one in each cell."""
    return tuple((spread,) for spread in spreads)


RISING = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
NEAR_1 = (0.99, 0.995, 0.998)
FALLING = _by_size(0.06, 0.04, 0.03, 0.02, 0.01, 0.005)

SCENARIOS = (
    Scenario("one contrast, equal", World(((0.8, 0.8),))),
    Scenario("one deterministic contrast, equal", World(((0.8, 0.8),), replicate_sd=0.0), shares=(0.0,)),
    Scenario("equal models", World(_cells(0, 0))),
    Scenario("equal models, no spread over replicates", World(_cells(0, 0), replicate_sd=0.0)),
    Scenario("equal models, spread of 4 points", World(_cells(0, 0), replicate_sd=0.04)),
    Scenario(
        "equal models, spreads of 0.2, 4 and 1 points", World(_cells(0, 0), replicate_sd=(0.002, 0.04, 0.01))
    ),
    Scenario(
        "equal models, spreads of 0.2, 4 and 0.2 points",
        World(_cells(0, 0), replicate_sd=(0.002, 0.04, 0.002)),
    ),
    Scenario(
        "equal models, spreads of 0.2, 4 and 1 points by size",
        World(_cells(0, 0), replicate_sd=_by_size(0.002, 0.04, 0.01)),
    ),
    Scenario("equal models, spread falling with size", World(_cells(0, base=RISING), replicate_sd=FALLING)),
    Scenario(
        "equal models, one size deterministic",
        World(_cells(0, base=RISING[:4]), replicate_sd=_by_size(0.03, 0.02, 0.01, 0.0)),
        shares=(1, 1, 1, 0),
    ),
    Scenario(
        "equal models, fewer replicates at larger sizes",
        World(_cells(0, base=RISING), replicate_sd=FALLING),
        shares=(1, 1, 0.5, 0.5, 0.3, 0.3),
    ),
    Scenario("equal models, shared draws of 5 points", World(_cells(0, 0), draw_sd=0.05)),
    Scenario("equal models near 1", World(_cells(0, 0, base=NEAR_1), replicate_sd=0.001)),
    Scenario("one of two different by delta near 1", World(_cells(0, 0.01, base=NEAR_1), replicate_sd=0.001)),
    Scenario("both different by delta near 1", World(_cells(0.01, 0.01, base=NEAR_1), replicate_sd=0.001)),
    Scenario("one of two different by delta", World(_cells(0.01, 0), replicate_sd=0.003)),
    Scenario("one of two different by 3 points", World(_cells(0.03, 0))),
    Scenario("six sizes, 5 points apart", World(_cells(0.05, base=RISING), replicate_sd=0.02)),
    Scenario("three sizes, 30 points apart, spread of 6 points", World(_cells(0.3), replicate_sd=0.06)),
    Scenario("one run in ten diverges, all models", World(_cells(0, 0), diverged=0.1)),
    Scenario("one run in twenty diverges, one model", World(_cells(0, 0), diverged=(0.0, 0.05, 0.0))),
    Scenario("curves that cross at 8", World(_lines((0.35, 0.07), (0.26, 0.10)), draw_sd=0.02), curves=True),
    Scenario("curves that are equal", World(_lines((0.35, 0.07), (0.35, 0.07)), draw_sd=0.02), curves=True),
    Scenario("curves 2 points apart", World(_lines((0.35, 0.07), (0.33, 0.07)), draw_sd=0.02), curves=True),
)
