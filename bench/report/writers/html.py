"""The report as two web pages, each one file that needs no network."""

import re

from markupsafe import Markup

from bench.report.blocks import Figure
from bench.report.document import APPENDIX, INDEX, Document
from bench.report.style import VARIABLES, Style
from bench.report.writers.fill import environment, fill

# The markers of the figures, drawn in a square from -5 to 5.
SHAPES = {
    "o": '<circle r="4.2"/>',
    "s": '<path d="M-3.8-3.8H3.8V3.8H-3.8Z"/>',
    "^": '<path d="M0-4.6 4.6 4H-4.6Z"/>',
    "D": '<path d="M0-4.8 4.8 0 0 4.8-4.8 0Z"/>',
    "v": '<path d="M0 4.6 4.6-4H-4.6Z"/>',
    "P": '<path d="M-1.7-4.6H1.7V-1.7H4.6V1.7H1.7V4.6H-1.7V1.7H-4.6V-1.7H-1.7Z"/>',
    "X": '<path d="M0-2 2-4 4-2 2 0 4 2 2 4 0 2-2 4-4 2-2 0-4-2-2-4Z"/>',
}
# What a style may say of an element; anything else might be the name of an attribute that runs something.
SAYS = re.compile(
    r"(fill|stroke|stop|clip|opacity|color|font|text|image-rendering|shape-rendering)(-[a-z]+)*"
)
# How matplotlib has all lines joined and ended that do not say otherwise.
LINES = 'stroke-linejoin="round" stroke-linecap="butt"'


def to_html(document: Document, file: str = INDEX) -> str:
    """The page or its appendix (`file`): style, figures and text in one file."""
    return fill(PAGES, "page.html", document, file, {INDEX: "index.html", APPENDIX: "appendix.html"})


def inline(figure: Figure) -> Markup:
    """A figure as part of the page of its report."""
    return inline_svg(figure.svg, figure.name, figure.alt)


def inline_svg(svg: str, name: str, alt: str) -> Markup:
    """A figure as part of a page: its colours follow the page's, and its ids begin with its name there."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' style="([^"]*)"', lambda match: _as_attributes(match[1]), svg)
    svg = re.sub(r'(?<=\sid=")|(?<=href="#)|(?<=url\(#)', f"{name}-", svg)
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda match: _themed(match[0]), svg)
    opening, rest = svg.split(">", 1)
    (box,) = re.findall(r'viewBox="[^"]*"', opening)
    attributes = Markup('{} role="img" aria-label="{}"').format(Markup(LINES), alt)
    return Markup(f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box} {attributes}>{rest}')


def swatch(style: Style) -> Markup:
    """A model's marker in its colour, to stand before its name."""
    shape = SHAPES[style.marker]
    fill = f'fill="var(--{style.variable})"'
    return Markup(f'<svg class="swatch" viewBox="-5 -5 10 10" aria-hidden="true" {fill}>{shape}</svg>')


def _as_attributes(declarations: str) -> str:
    """What a style says of an element of SVG, as its attributes, which need no leave of the page's policy."""
    pairs = (one.split(":", 1) for one in declarations.split(";") if one.strip())
    own = {name.strip(): value.strip() for name, value in pairs}
    return "".join(f' {name}="{value}"' for name, value in own.items() if SAYS.fullmatch(name))


def _themed(colour: str) -> str:
    return f"var(--{VARIABLES[colour]},{colour})" if colour in VARIABLES else colour


PAGES = environment(inline=inline, swatch=swatch)
"""The templates of pages."""
