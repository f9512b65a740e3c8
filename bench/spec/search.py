"""A search of recipe values: the same for every contestant of a comparison."""

import math
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from bench.spec.toml import Strict

LEARNING_RATE = "optimizer.lr"
# On smaller subsets too few images can be held out, and what was chosen on the next larger one is taken over.
FEWEST_SHOTS = 5
Values = tuple[tuple[str, float], ...]
"""Recipe keys with the values to try, in the order of the search space."""


MEANT = 5
"""How many learning rates are tried where no space is given."""


class LogRange(Strict):
    """Values from `low` to `high` in equal ratios, with three significant digits."""

    low: float = Field(gt=0, le=1e30)
    high: float = Field(gt=0, le=1e30)
    values: int = Field(5, ge=2, le=1000)

    @model_validator(mode="after")
    def _ascending(self) -> "LogRange":
        if self.low >= self.high:
            raise ValueError(f"low should be below high, not {self.low:g} and {self.high:g}")
        if len(set(self.grid)) < self.values:
            raise ValueError(
                f"{self.values} values from {self.low:g} to {self.high:g} are not all different, "
                "with three digits each"
            )
        return self

    @property
    def grid(self) -> tuple[float, ...]:
        """All of them, ascending."""
        return tuple(_rounded(value) for value in np.geomspace(self.low, self.high, self.values).tolist())

    def beyond(self, side: Literal["low", "high"]) -> float:
        """The value one step outside the range."""
        step = (self.high / self.low) ** (1 / (self.values - 1))
        return _rounded(self.low / step if side == "low" else self.high * step)


def _kind(values: Any) -> str:
    return "range" if isinstance(values, dict | LogRange) else "list"


Axis = Annotated[
    Annotated[tuple[int | float, ...], Tag("list")] | Annotated[LogRange, Tag("range")], Discriminator(_kind)
]
"""The values of one key, as a list or as a range; an error names which of the two it was read as."""


class Search(Strict):
    """How the values of a recipe are chosen, by the same number of jobs for every contestant.

    Attributes:
        space: recipe keys, each with a list of values or a `LogRange`. None is a range of five learning
            rates around the one of the comparison's recipe, from a tenth to ten times it. Where the best
            value of a contestant ends a range, the range is extended by one step on that side, for all.
        jobs: how many combinations are tried, drawn from all of them, the same for every contestant; None
            tries all.
        judge: "subset" holds out images of the subset itself (of the next larger subset below 5 images per
            class); "val" uses the whole val split, which may hold more labels than the subset.
        folds: into how many parts a subset is divided, at most as many as it has images per class, and
            groups of them; each is held out once, until `held_out` images have been.
        rungs: successive halving: shares of the budget, ascending. All combinations are trained for the
            first share; after each rung the better half, rounded up, goes on to the next.
    """

    space: dict[str, Axis] | None = None
    jobs: int | None = Field(None, ge=2, le=10_000)
    judge: Literal["subset", "val"] = "subset"
    folds: int = Field(5, ge=2, le=1000)
    held_out: int = Field(500, ge=1)
    rungs: tuple[float, ...] = Field((1.0,), min_length=1, max_length=20)

    @model_validator(mode="after")
    def _sensible(self) -> "Search":
        if any(not 0 < share <= 1 for share in self.rungs) or list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError(f"rungs should ascend, from above 0 to at most 1, not {list(self.rungs)}")
        unused = [
            name
            for name in ("folds", "held_out")
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if self.judge == "val" and unused:
            raise ValueError(f'judge = "val" holds nothing out of the subset; leave out {unused[0]}')
        if self.space is None:
            if self.jobs is not None and self.jobs > MEANT:
                raise ValueError(f"jobs = {self.jobs}, but without space there are {MEANT} learning rates")
            return self
        for key, values in self.space.items():
            if isinstance(values, tuple) and len(set(values)) < len(values):
                raise ValueError(f'space: "{key}" has a value twice')
        combinations = math.prod(len(_grid(values)) for values in self.space.values())
        if not self.space or combinations < 2:
            raise ValueError("space should hold at least two values or combinations of values to choose from")
        if self.jobs is not None and self.jobs > combinations:
            raise ValueError(f"jobs = {self.jobs}, but space has only {combinations} combinations of values")
        return self

    def with_space(self, lr: float) -> "Search":
        """The search with the range of learning rates that is meant where no space is given."""
        around = {LEARNING_RATE: LogRange(low=_rounded(lr / 10), high=_rounded(lr * 10), values=MEANT)}
        return self if self.space else self.model_copy(update={"space": around})

    def candidates(self) -> list[Values]:
        """The combinations of values to try; the space has to be known."""
        assert self.space is not None
        grids = [[(key, value) for value in _grid(values)] for key, values in self.space.items()]
        every = list(product(*grids))
        if self.jobs is None:
            return every
        drawn = np.random.default_rng(0).choice(len(every), self.jobs, replace=False)
        return [every[number] for number in sorted(drawn.tolist())]

    @property
    def ranges(self) -> dict[str, LogRange]:
        """The keys whose values are a range; it may be extended."""
        return {key: values for key, values in (self.space or {}).items() if isinstance(values, LogRange)}


def values_text(values: Values | Mapping[str, float]) -> str:
    """Such as "optimizer.lr = 0.001, optimizer.weight_decay = 0.05"."""
    return ", ".join(f"{key} = {value:g}" for key, value in dict(values).items())


def _grid(values: tuple[int | float, ...] | LogRange) -> tuple[int | float, ...]:
    return values.grid if isinstance(values, LogRange) else values


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
