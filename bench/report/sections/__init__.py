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
from bench.report.sections.failures import failures
from bench.report.sections.protocol import protocol
from bench.report.sections.provenance import machines, reproduce

SECTIONS: tuple[Callable[[Evidence], Section], ...] = (
    answer,
    compared,
    contrasts,
    accuracy,
    efficiency,
    cost,
    curves,
    calibration,
    complementarity,
    failures,
    protocol,
    machines,
    reproduce,
)
"""In the order of the page."""
