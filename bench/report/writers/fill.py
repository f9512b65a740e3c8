"""Templates filled with a report: what they print is escaped unless it is markup already."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import bench
from bench.report.document import Document

TEMPLATES = Path(__file__).parent / "templates"


def fill(
    template: str,
    document: Document,
    filters: Mapping[str, Callable],
    finalize: Callable[[Any], Any] | None = None,
    **values: Any,
) -> str:
    """The text of a template.

    Args:
        finalize: escapes what the template prints; without it, as HTML.
        values: names that the template knows besides `document` and `version`.
    """
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
    return environment.get_template(template).render(document=document, version=bench.__version__, **values)
