"""Costs of a model at several input sizes, counted in this process."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.profiling.config import ScalingConfig
from bench.profiling.job import ProfileJob, Request
from bench.profiling.kind import Fields, Kind
from bench.profiling.kinds.cost import COUNT_S

if TYPE_CHECKING:
    from bench.profiling.session import Session


class Scaling(Kind[ScalingConfig]):
    name, config = "scaling", ScalingConfig
    columns = ("model", "input_size", "tokens", "gmacs", "attention_share", "attention_outgrows_rest_px")

    def rows(self, record: Fields) -> list[Fields]:
        return [record | row for row in record["rows"]]

    def jobs(self, request: Request) -> Iterator[ProfileJob[ScalingConfig]]:
        for model, config in request.first_configs().items() if self.name in request.kinds else ():
            yield request.job(self.name, ScalingConfig(model, config.classes, tuple(request.sizes)))

    def profile(self, job: ProfileJob[ScalingConfig], session: "Session") -> Fields:
        from bench.networks import find_card
        from bench.profiling.scaling import scaling

        config = job.config
        card = find_card(config.model)
        return scaling(card, config.sizes, lambda size: session.cost(card.name, config.classes, size))

    def expected_seconds(self, job: ProfileJob[ScalingConfig], step_s: float) -> float:
        return COUNT_S * len(job.config.sizes)


KIND = Scaling()
