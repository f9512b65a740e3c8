"""Predictions that were made elsewhere."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bench.store.records.base import Data, Share, Versioned
from bench.store.records.trials import Metrics

NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""The name of an external model."""


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
    groups: Annotated[int, Field(ge=1)] | None = None
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
