"""How long the page of a real report is."""

from pathlib import Path

import pytest

from bench.report.document import Document
from bench.report.evidence import gather
from bench.report.render import header_of
from bench.report.sections import sections_of
from bench.report.style import house_style
from bench.report.writers.html import to_html
from bench.store.run_store import RunStore

STORE = Path(__file__).parents[2] / "results" / "published"
SCREEN = 900


@pytest.mark.skipif(not (STORE / "suites" / "cpu.json").exists(), reason="no published store here")
def test_the_page_of_cpu_is_six_screens_at_most(chromium, tmp_path):
    evidence = gather(RunStore(STORE), "cpu")
    with house_style():
        page, appendix = sections_of(evidence)
    document = Document(header_of(evidence), page, appendix, lambda runs: "")
    (tmp_path / "index.html").write_text(to_html(document))
    context = chromium.new_context(viewport={"width": 1400, "height": SCREEN})
    sheet = context.new_page()
    sheet.goto((tmp_path / "index.html").as_uri())
    screens = sheet.evaluate("document.documentElement.scrollHeight") / SCREEN
    context.close()
    assert 2 < screens <= 6
