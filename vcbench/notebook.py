"""The first level of a report as a notebook shows it: nothing is fetched, and no script is run."""

import base64
from collections.abc import Iterator

import pandas as pd
from markupsafe import Markup

from bench.report.blocks import Block, Field, Figure, Gallery, Prose, Table
from bench.report.evidence import Evidence
from bench.report.sections.answer import answer
from bench.report.style import house_style


def first_level(evidence: Evidence) -> str:
    """Title, recommendation, figures and table as HTML."""
    with house_style():
        blocks = answer(evidence).blocks
    title = Markup("<h3>{}</h3>").format(evidence.suite.title)
    return "\n".join([title, *(part for block in blocks for part in _html(block))])


def _html(block: Block) -> Iterator[str]:
    """A block; the form to choose by needs a script and is left out."""
    if isinstance(block, Prose):
        yield Markup("<p><b>{}</b> {}</p>").format(block.lead or "", block.text)
    elif isinstance(block, Gallery):
        yield from map(_image, block.figures)
    elif isinstance(block, Figure):
        yield _image(block)
    elif isinstance(block, Table):
        rows = [[_text(field) for field in row] for row in block.rows]
        table = pd.DataFrame(rows, columns=[column.title for column in block.columns])
        yield f'<div style="overflow-x: auto">{table.to_html(index=False, border=0)}</div>'


def _image(figure: Figure) -> str:
    """A figure as an image of its own, so that its style and the notebook's do not meet."""
    encoded = base64.b64encode(figure.svg.encode()).decode()
    return Markup('<img alt="{}" style="background: white" src="data:image/svg+xml;base64,{}">').format(
        figure.alt, encoded
    )


def _text(field: Field) -> str:
    return " ".join([field.text, *([field.spread] if field.spread else []), *field.notes])
