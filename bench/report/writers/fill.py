"""Templates filled with a report: what they print is escaped unless it is markup already."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import bench
from bench.report.document import INDEX, Document
from bench.report.style import SERIES
from bench.report.writers.policy import policy

TEMPLATES = Path(__file__).parent / "templates"


def environment(
    *folders: Path, finalize: Callable[[Any], Any] | None = None, **filters: Callable[..., Any]
) -> Environment:
    """The templates of reports, after those of other folders; each is compiled once.

    Args:
        finalize: escapes what a template prints; without it, as HTML.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(filters)
    made.globals.update(policy=policy, series=SERIES, version=bench.__version__)
    return made


def fill(templates: Environment, template: str, document: Document, here: str, names: dict[str, str]) -> str:
    """One of the two files of a report.

    Args:
        here: which of them, INDEX or APPENDIX.
        names: the names of both.
    """
    links = names | {here: ""}
    sections = document.page if here == INDEX else document.appendix
    return templates.get_template(template).render(
        document=document, sections=sections, here=here, links=links
    )
