"""The sections of a report, each made from the evidence, in the order of the page.

A file here may add one without standing in the lists below: its `SECTION` is a function of the evidence that
gives a section, or None where there is nothing to show. It comes after all other results.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module

from bench.report.blocks import Section
from bench.report.evidence import Evidence
from bench.report.sections.accuracy import accuracy
from bench.report.sections.answer import answer
from bench.report.sections.calibration import calibration
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
from bench.report.sections.robustness import robustness
from bench.report.sections.scaling import scaling
from bench.report.sections.speed import speed
from bench.report.sections.tradeoffs import tradeoffs
from bench.report.sections.untrained import untrained

Make = Callable[[Evidence], Section | None]

RESULTS: tuple[Make, ...] = (
    answer,
    contrasts,
    accuracy,
    efficiency,
    robustness,
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
)
METHODS: tuple[Make, ...] = (protocol, literature, machines, reproduce)

# Of a suite that trains nothing: what it measures, and one line on accuracy.
PROFILES: tuple[Make, ...] = (untrained, cost, scaling, speed, end_to_end, memory)
PROFILE_METHODS: tuple[Make, ...] = (machines, reproduce)


def sections_of(evidence: Evidence) -> list[Section]:
    """The report on a suite."""
    results, methods = (RESULTS, METHODS) if evidence.trains else (PROFILES, PROFILE_METHODS)
    sections = [make(evidence) for make in (*results, *added_sections(), *methods)]
    return [section for section in sections if section is not None]


def added_sections() -> list[Make]:
    """Those of files that have a `SECTION`, in the order of their names."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return [module.SECTION for module in modules if hasattr(module, "SECTION")]
