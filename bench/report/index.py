"""One page that lists the reports in a folder: what each says to take, and its headline figures.

It is made from their MANIFEST.json and figures alone, so that the run stores need not be there.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.errors import InputError, StoreError, shortened
from bench.files import read_regular, slug, within, write_text
from bench.report.blocks import Figure, walk
from bench.report.document import INDEX, Document
from bench.report.evidence import Evidence
from bench.report.manifest import read_manifest
from bench.report.recommendation import takes
from bench.report.writers.html import PAGES, inline_svg

# What matplotlib draws a figure of a report with. A figure becomes a part of the page.
DRAWN = {"?xml", "!DOCTYPE", "svg", "metadata", "defs", "style", "g", "path", "clipPath", "rect", "use"}
DRAWN |= {"image", "rdf:RDF", "cc:Work", "cc:Agent", "dc:type", "dc:title", "dc:date", "dc:format"}
DRAWN |= {"dc:creator"}
# Attributes that run something or lead away.
HANDLER = re.compile(r"""\bon\w+\s*=|href\s*=\s*(?!"(#|data:image/png;))|url\((?!#)""", re.IGNORECASE)
LARGEST_FIGURE = 2**24  # bytes; ours have 100,000 at most
BESIDE = {
    "inside.html": "What the networks look at, and what their layers hold (vcbench inspect)",
    "explain.html": "One image through two networks, layer by layer (vcbench explain)",
}
"""Pages that may lie beside the reports, with what they show."""
TIMED = "throughput-"
"""How the names of figures of throughput begin."""
FACTS = ("Trials", "Machines", "Dates")


def summary(evidence: Evidence, document: Document) -> dict[str, Any]:
    """What a report says in short, for its manifest.

    Headline figures are those of the first section; where it has none, the first of throughput, or else of
    all.
    """
    first = [block for block in walk(document.page[0].blocks) if isinstance(block, Figure)]
    return {
        "title": document.header.title,
        "answer": takes(evidence),
        "trains": evidence.trains,
        "facts": {term: value for term, value in document.header.facts if term in FACTS},
        "figures": [
            {"name": one.name, "alt": one.alt, "caption": one.caption}
            for one in first or sorted(document.figures, key=lambda one: not one.name.startswith(TIMED))[:1]
        ],
    }


def write_index(folder: Path) -> Path:
    """Write the page that lists the reports in the folders of a folder; returns its path.

    Raises:
        InputError: there are none, or one was rendered before reports had a summary.
        StoreError: a file cannot be read or written.
    """
    reports = sorted(path.parent for path in folder.glob("*/MANIFEST.json"))
    if not reports:
        raise InputError(
            f"{folder}: no report in it; make one: vcbench report SUITE --out {folder / 'SUITE'}"
        )
    entries = sorted(map(_entry, reports), key=lambda entry: (not entry["trains"], entry["folder"]))
    page = folder / f"{INDEX}.html"
    beside = [(name, title) for name, title in BESIDE.items() if (folder / name).is_file()]
    write_text(page, PAGES.get_template("reports.html").render(entries=entries, beside=beside))
    return page


def _entry(report: Path) -> dict[str, Any]:
    """A report as the list shows it; those on networks that were trained come first.

    It is called by its folder, with which the address of its page begins; figures are with their captions.
    """
    content = read_manifest(report / "MANIFEST.json")
    short = content.get("summary")
    if not isinstance(short, Mapping):
        suite = content.get("suite", report.name)
        raise InputError(f"{report}: has no summary; render it again: vcbench report {suite} --out {report}")
    try:
        return {
            "folder": report.name,
            "title": str(short["title"]),
            "trains": bool(short["trains"]),
            "answer": [str(sentence) for sentence in short["answer"]],
            "facts": [f"{term}: {short['facts'][term]}" for term in FACTS[not short["trains"] :]],
            "figures": [(_figure(report, one), str(one["caption"])) for one in short["figures"]],
        }
    except (KeyError, TypeError) as error:
        raise InputError(f"{report}: its summary is damaged ({error!r}); render the report again") from error


def _figure(report: Path, one: Mapping[str, Any]) -> Markup:
    path = within(report / "figures", f"{one['name']}.svg")
    try:
        svg = read_regular(path, LARGEST_FIGURE).decode()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error
    foreign = [tag for tag in re.findall(r"<\s*([^\s/>]+)", svg) if tag not in DRAWN]
    if foreign or HANDLER.search(svg) or not svg.count("<svg") == svg.count("viewBox=") == 1:
        what = f" (<{shortened(foreign[0], 20)}>)" if foreign else ""
        raise InputError(f"{path}: holds what no figure of a report has{what}; render the report again")
    return inline_svg(svg, slug(f"{report.name}-{one['name']}"), str(one["alt"]))
