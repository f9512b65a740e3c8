"""Each page allows its own style and script by their hashes, and nothing else."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from report.make_store import make_store

from bench.report.index import write_index
from bench.report.render import render
from bench.report.writers.html import inline_svg
from bench.store.run_store import RunStore


class Page(HTMLParser):
    """The policy of a page, and what it has of its own that a policy may allow."""

    def __init__(self, text):
        super().__init__()
        self.policy, self.inline, self.attributes = "", {"style": [], "script": []}, set()
        self.within = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if values.get("http-equiv") == "Content-Security-Policy":
            assert not any(self.inline.values()), "the policy comes first"
            self.policy = values["content"]
        if tag in self.inline and values.get("type") != "application/json":
            self.within = tag
            self.inline[tag].append("")
        self.attributes |= set(values)

    def handle_data(self, data):
        if self.within:
            self.inline[self.within][-1] += data

    def handle_endtag(self, tag):
        self.within = None


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One page of each kind but `explain`, which tests/browser opens."""
    root = tmp_path_factory.mktemp("pages")
    render(RunStore(make_store(root / "store")), "tiny", root / "out")
    return {
        "index": (root / "out" / "index.html").read_text(),
        "appendix": (root / "out" / "appendix.html").read_text(),
        "reports": write_index(root).read_text(),
    }


@pytest.mark.parametrize(("kind", "scripts"), [("index", 1), ("appendix", 1), ("reports", 0)])
def test_a_page_allows_what_is_its_own(pages, kind, scripts):
    page = Page(pages[kind])
    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    (style,) = page.inline["style"]
    assert rules.pop("style-src") == hashed(style)
    assert len(page.inline["script"]) == scripts
    assert rules.pop("script-src", None) == (hashed(page.inline["script"][0]) if scripts else None)
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}


def test_styles_within_a_figure_are_its_attributes():
    svg = (
        '<?xml version="1.0"?><svg viewBox="0 0 9 9"><defs><style type="text/css">*{x: y}</style></defs>'
        '<path id="a" d="M0 0" style="fill: none; stroke: #123456; stroke-width: 0.5"/></svg>'
    )
    inline = inline_svg(svg, "f", "words")
    assert 'fill="none" stroke="#123456" stroke-width="0.5"' in inline
    assert not re.search("style|\\*", inline)
