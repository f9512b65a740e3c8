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
@pytest.mark.parametrize(("suite", "most"), [("cpu", 6), ("quick", 3)])
def test_a_page_is_so_many_screens_at_most(chromium, tmp_path, suite, most):
    evidence = gather(RunStore(STORE), suite)
    with house_style():
        page, appendix = sections_of(evidence)
    document = Document(header_of(evidence), page, appendix, lambda runs: "")
    (tmp_path / "index.html").write_text(to_html(document))
    context = chromium.new_context(viewport={"width": 1400, "height": SCREEN})
    sheet = context.new_page()
    sheet.goto((tmp_path / "index.html").as_uri())
    screens = sheet.evaluate("document.documentElement.scrollHeight") / SCREEN
    context.close()
    assert 2 < screens <= most


@pytest.mark.skipif(not (STORE / "suites" / "quick.json").exists(), reason="no published store here")
def test_the_first_screen_has_the_answer_and_its_figure(chromium, tmp_path):
    """On a wide screen beside each other; on a narrow one below each other."""
    evidence = gather(RunStore(STORE), "quick")
    with house_style():
        page, appendix = sections_of(evidence)
    document = Document(header_of(evidence), page, appendix, lambda runs: "")
    (tmp_path / "index.html").write_text(to_html(document))
    for width in (1400, 390):
        context = chromium.new_context(viewport={"width": width, "height": SCREEN})
        sheet = context.new_page()
        sheet.goto((tmp_path / "index.html").as_uri())
        said, drawn = (
            sheet.locator(f"#answer > {what}").last.bounding_box() for what in (".advice", ".gallery figure")
        )
        if width == 1400:
            assert drawn["x"] >= said["x"] + said["width"] and drawn["y"] + 0.9 * drawn["height"] < SCREEN
        else:
            assert drawn["y"] >= said["y"] + said["height"]
        context.close()
