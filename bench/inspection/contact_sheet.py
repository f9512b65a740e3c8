"""A page of small pictures with what is said of each."""

import base64
from collections.abc import Iterable
from io import BytesIO

import numpy as np
from jinja2 import Environment
from PIL import Image

from bench.report.writers.policy import policy

SIDE = 160  # px
PAGE = """{% set style %}
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax({{ side }}px, 1fr)); gap: 1rem; }
figure { margin: 0; } img { max-width: {{ side }}px; } figcaption { overflow-wrap: anywhere; }
{% endset %}
<!doctype html>
<html lang="en"><meta charset="utf-8">{{ policy(style) }}<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>{{ style }}</style>
<h1>{{ title }}</h1><p>{{ text }}</p>
<main>
{% for picture, lines in figures %}<figure><img src="{{ picture }}" alt="{{ lines[0] }}"><figcaption>
{% for line in lines %}{{ line }}<br>{% endfor %}</figcaption></figure>
{% endfor %}</main></html>
"""


def contact_sheet(title: str, text: str, figures: Iterable[tuple[np.ndarray, list[str]]]) -> str:
    """An HTML page that needs no other file.

    Args:
        figures: images uint8 (h, w, 3), and lines of text under each, of which the first says what it is.
    """
    shown = [(_thumbnail(image), lines) for image, lines in figures]
    template = Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
    return template.render(title=title, text=text, figures=shown, side=SIDE, policy=policy)


def _thumbnail(image: np.ndarray) -> str:
    """A data address of an image, at most SIDE px long."""
    small = Image.fromarray(image)
    small.thumbnail((SIDE, SIDE))
    content = BytesIO()
    small.save(content, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
