"""The sections of a report: each file makes one from the evidence, and stands in `SECTIONS`."""

from collections.abc import Callable

from bench.report.blocks import Section
from bench.report.evidence import Evidence
from bench.report.sections.accuracy import accuracy
from bench.report.sections.answer import answer
from bench.report.sections.calibration import calibration
from bench.report.sections.compared import compared
from bench.report.sections.complementarity import complementarity
from bench.report.sections.contrasts import contrasts
from bench.report.sections.cost import cost
from bench.report.sections.curves import curves
from bench.report.sections.efficiency import efficiency
from bench.report.sections.end_to_end import end_to_end
from bench.report.sections.failures import failures
from bench.report.sections.literature import literature
from bench.report.sections.memory import memory
from bench.report.sections.protocol import protocol
from bench.report.sections.provenance import machines, reproduce
from bench.report.sections.scaling import scaling
from bench.report.sections.speed import speed
from bench.report.sections.tradeoffs import tradeoffs
from bench.report.sections.untrained import untrained

SECTIONS: tuple[Callable[[Evidence], Section], ...] = (
    answer,
    compared,
    contrasts,
    accuracy,
    efficiency,
    tradeoffs,
    cost,
    scaling,
    speed,
    end_to_end,
    memory,
    curves,
    calibration,
    complementarity,
    failures,
    protocol,
    literature,
    machines,
    reproduce,
)
"""In the order of the page."""

PROFILED = (untrained, cost, scaling, speed, end_to_end, memory, machines, reproduce)
"""The same for a suite that trains nothing: what it measures, and no words on accuracy but one line."""


def sections_of(evidence: Evidence) -> list[Section]:
    """The report on a suite."""
    return [section(evidence) for section in (SECTIONS if evidence.trains else PROFILED)]
