"""How many replicates a cell gets: a number, or as many as decide its contrasts."""

import math
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from bench.spec.toml import Strict

START = 3
"""The fewest replicates that are judged."""
# Beyond this a suite is a slip of the pen: the list of its trials alone would take minutes.
MOST = 1000


class Replicates(Strict):
    """`start` replicates of every cell, then more of the two models of each undecided primary contrast, up to
    `max`; a plain number is both. In a file: 5, or { start = 3, until = "decided", max = 12 }.
    """

    start: int = Field(START, ge=1)
    until: Literal["decided"]
    max: int

    @model_validator(mode="before")
    @classmethod
    def _number(cls, given: Any) -> Any:
        """A plain number is a table, too."""
        if isinstance(given, dict | cls):
            return given
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST:
            raise ValueError(
                f'should be a number from 1 to {MOST}, or {{ start = 3, until = "decided", max = 12 }}'
            )
        return {"start": given, "until": "decided", "max": given}

    @model_validator(mode="after")
    def _in_order(self) -> "Replicates":
        if self.max < self.start:
            raise ValueError(f"max = {self.max} is below start = {self.start}")
        if self.max > MOST:
            raise ValueError(f"max should be at most {MOST}, not {self.max}")
        if self.start < min(START, self.max):
            raise ValueError(
                f"start should be at least {START}, the fewest that are judged, not {self.start}"
            )
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.looks else self.start

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many replicates contrasts are judged, each half as many again as the one before (3, 5, 8,
        12, 18, ...) up to `max`; none of a plain number, which is judged once with all there are."""
        if self.start == self.max:
            return ()
        looks = [self.start]
        while looks[-1] < self.max:
            looks.append(min(math.ceil(1.5 * looks[-1]), self.max))
        return tuple(looks)
