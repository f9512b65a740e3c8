"""The sections of a report, each made from the evidence: on its page or in its appendix, in this order.

A file here may add one without standing in the lists below: its `SECTION` is a function of the evidence that
gives a section, or None where it does not apply, and its `LEVEL` says where it stands: "index" (the page) or
"appendix", where none is given. It comes after all other results.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module

from bench.report.blocks import Section
from bench.report.document import APPENDIX, INDEX
from bench.report.evidence import Evidence
from bench.report.sections.accuracy import accuracy
from bench.report.sections.answer import answer
from bench.report.sections.beside import beside
from bench.report.sections.calibration import calibration
from bench.report.sections.claims import claim_numbers, claims
from bench.report.sections.complementarity import complementarity
from bench.report.sections.contrasts import contrast_tables, contrasts
from bench.report.sections.cost import cost
from bench.report.sections.crossovers import crossovers
from bench.report.sections.curves import curves
from bench.report.sections.failures import failures
from bench.report.sections.limits import limits
from bench.report.sections.measured_cost import measured_cost, untrained
from bench.report.sections.measurements import end_to_end, memory, speed
from bench.report.sections.protocol import protocol
from bench.report.sections.provenance import machines, reproduce
from bench.report.sections.robustness import conditions, robustness
from bench.report.sections.scaling import scaling
from bench.report.sections.searches import search_details, searches

Make = Callable[[Evidence], Section | None]

# Of a suite that trains: the page, and its appendix.
PAGE: tuple[Make, ...] = (answer, claims, contrasts, crossovers, measured_cost, robustness)
DETAILS: tuple[Make, ...] = (
    claim_numbers,
    accuracy,
    contrast_tables,
    conditions,
    searches,
    search_details,
    curves,
    calibration,
    complementarity,
    failures,
    beside,
    cost,
    scaling,
    speed,
    end_to_end,
    memory,
)
METHODS: tuple[Make, ...] = (protocol, machines, reproduce)

# Of a suite that trains nothing.
COSTS: tuple[Make, ...] = (untrained,)
COST_DETAILS: tuple[Make, ...] = (cost, scaling, speed, end_to_end, memory, beside)
COST_METHODS: tuple[Make, ...] = (machines, reproduce)


def sections_of(evidence: Evidence) -> tuple[list[Section], list[Section]]:
    """The report on a suite: the sections of its page and of its appendix.

    Where a section has nothing to show, it is left out, and the page ends with the names of all of these. One
    of the page that says little this time comes first in the appendix.
    """
    page, details, methods = (
        (PAGE, DETAILS, METHODS) if evidence.trains else (COSTS, COST_DETAILS, COST_METHODS)
    )
    wanted = _made(evidence, (*page, *added_sections(INDEX)))
    moved = [section for section in wanted if section.says_little and section.blocks]
    on_page = [section for section in wanted if section not in moved]
    in_appendix = [*moved, *_made(evidence, (*details, *added_sections(APPENDIX), *methods))]
    absent = [section.title for section in (*on_page, *in_appendix) if not section.blocks]
    last = limits(evidence, list(dict.fromkeys(absent)))
    return [*(one for one in on_page if one.blocks), last], [one for one in in_appendix if one.blocks]


def _made(evidence: Evidence, makes: tuple[Make, ...]) -> list[Section]:
    return [section for make in makes if (section := make(evidence)) is not None]


def added_sections(level: str) -> list[Make]:
    """Those of files that have a `SECTION` of this level, in the order of their names."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return [
        module.SECTION
        for module in modules
        if hasattr(module, "SECTION") and getattr(module, "LEVEL", APPENDIX) == level
    ]
