"""Templates filled with a report: what they print is escaped unless it is markup already."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import bench
from bench.report.document import APPENDIX, INDEX, Document
from bench.report.writers.policy import policy

TEMPLATES = Path(__file__).parent / "templates"


def fill(
    template: str,
    document: Document,
    filters: Mapping[str, Callable],
    finalize: Callable[[Any], Any] | None = None,
    *,
    here: str,
    ending: str,
    **values: Any,
) -> str:
    """The text of a template.

    Args:
        finalize: escapes what the template prints; without it, as HTML.
        here: which of the two files of a report is written, without its ending.
        ending: that of the names of both files.
        values: names that the template knows besides these, `document`, `sections` and `version`.
    """
    names = {INDEX: "report" if ending == ".md" else INDEX, APPENDIX: APPENDIX}
    links = {file: "" if file == here else f"{name}{ending}" for file, name in names.items()}
    sections = document.page if here == INDEX else document.appendix
    values |= {"document": document, "sections": sections, "here": here, "links": links}
    return filled(template, filters, finalize, **values)


def filled(
    template: str,
    filters: Mapping[str, Callable],
    finalize: Callable[[Any], Any] | None = None,
    **values: Any,
) -> str:
    """The text of a template that knows these values and `version`; `finalize` as for `fill`."""
    template_file = _environment(tuple(filters.items()), finalize).get_template(template)
    return template_file.render(version=bench.__version__, **values)


@cache
def _environment(
    filters: tuple[tuple[str, Callable], ...], finalize: Callable[[Any], Any] | None
) -> Environment:
    """Compiles each template once."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    environment.globals["policy"] = policy
    return environment
