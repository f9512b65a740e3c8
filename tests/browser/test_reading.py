"""The page for every reader: by keyboard, in words, dark and light, narrow, on paper, without scripts."""

import io
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser.conftest import NASTY
from pypdf import PdfReader

FILES = ["index.html", "appendix.html"]
FOCUSABLE = "a[href], button, input, select, summary, [tabindex='0']"

# WCAG 2.1: relative luminance, and the contrast of every visible text with what is behind it.
CONTRASTS = """() => {
    const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
    const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const ratio = (a, b) => {
        const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
        return (high + 0.05) / (low + 0.05);
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    const note = (element, colour, text) =>
        found.push([ratio(parse(colour), behind(element)), text.trim().slice(0, 40)]);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
        if (!element.checkVisibility()) continue;
        note(element, getComputedStyle(element).color, walker.currentNode.data);
    }
    const glyphs = document.querySelectorAll("figure > svg [id*=text_] :is(use, path)");
    glyphs.forEach((glyph) => {
        if (!glyph.closest("defs")) note(glyph, getComputedStyle(glyph).fill, "text of a figure");
    });
    return found;
}"""


@pytest.mark.parametrize("file", FILES)
def test_every_control_is_reached_in_order_and_shows_its_focus(open_page, file):
    page = open_page(file)
    page.evaluate(
        "(what) => [...document.querySelectorAll(what)].filter((e) => e.checkVisibility())"
        ".forEach((e, place) => e.dataset.place = place)",
        FOCUSABLE,
    )
    count = page.locator("[data-place]").count()
    assert count > 20
    for place in range(count):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const e = document.activeElement, style = getComputedStyle(e);"
            "const { top, right, bottom } = e.getBoundingClientRect();"
            "return [e.dataset.place, style.outlineStyle, parseFloat(style.outlineWidth),"
            "right > 0 && bottom > 0, top < innerHeight, e.outerHTML.slice(0, 80)] }"
        )
        assert found[0] == str(place), found
        assert found[1] != "none" and found[2] >= 2, found
        assert found[3] and found[4], found


def test_the_skip_link_and_sorting_by_keys(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    page = open_page("appendix.html")
    head = page.locator("#table-accuracy-from-scratch th", has_text="Top-1")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.textContent") == "Top-1 (%)"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None


@pytest.mark.parametrize("file", FILES)
def test_every_picture_has_words_and_every_field_a_name(open_page, file):
    page = open_page(file)
    pictures = page.locator("figure > svg")
    assert pictures.count() >= 2
    for picture in pictures.all():
        assert picture.get_attribute("role") == "img"
        assert len(picture.get_attribute("aria-label")) > 40
    assert page.locator("svg:not([role=img]):not([aria-hidden=true])").count() == 0
    unnamed = "(e) => e.filter((field) => !field.labels.length).map((field) => field.outerHTML)"
    assert page.eval_on_selector_all("input, select", unnamed) == []
    levels = page.eval_on_selector_all("h1, h2, h3, h4", "(e) => e.map((head) => Number(head.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_all_text(open_page, scheme, file):
    page = open_page(file, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => fold.open = true)")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) > 3 * 128) == (scheme == "light")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100 and any(text == "text of a figure" for _, text in found)
    assert [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5] == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_has_no_serious_fault(open_page, width, file):
    page = open_page(file, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => fold.open = true)")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:80]) for one in serious] == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("width", [390, 768])
def test_a_narrow_screen_does_not_scroll_sideways(open_page, width, file):
    page = open_page(
        file, viewport={"width": width, "height": 844}, is_mobile=width < 500, device_scale_factor=2
    )
    page.evaluate("document.querySelectorAll('details').forEach((fold) => fold.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("visualViewport.scale") == 1
    outside = page.evaluate(
        "(width) => [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()"
        " && !e.closest('.scroll, nav, pre, svg, .skip') && e.getBoundingClientRect().right > width + 1)"
        ".map((e) => e.outerHTML.slice(0, 80))",
        width,
    )
    assert outside == []
    reachable = (
        "(e) => e.filter((box) => getComputedStyle(box).overflowX === 'auto' && box.tabIndex < 0).length"
    )
    assert page.eval_on_selector_all(".scroll, pre", reachable) == 0


@pytest.mark.parametrize("file", FILES)
def test_print(open_page, file):
    page = open_page(file, color_scheme="dark")
    pdf = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True, print_background=True)))
    texts = [sheet.extract_text() for sheet in pdf.pages]
    flat = re.sub(r"\s+", " ", " ".join(texts))
    assert 2 <= len(pdf.pages) <= 30
    assert all(text.strip() for text in texts), "no empty page"
    titles = page.eval_on_selector_all("h2", "(e) => e.map((head) => head.textContent)")
    for words in (*titles, *([NASTY] if file == "appendix.html" else [])):
        assert words in flat, words
    folded = page.eval_on_selector_all("details code", "(e) => e.map((code) => code.textContent)")
    assert (len(folded) > 30) == (file == "appendix.html")
    unbroken = re.sub(r"\s+", "", flat)
    assert [text for text in folded if re.sub(r"\s+", "", text) not in unbroken] == []
    assert "Choose for your own data" not in flat and "Filter rows" not in flat
    first = pdf.pages[0].get_contents().get_data()
    assert not re.search(rb"0?\.0784\d* 0?\.0941\d* 0?\.1098\d* rg", first), "paper stays white in dark mode"


def test_headings_of_a_table_stand_on_each_of_its_pages(open_page):
    page = open_page("appendix.html")
    pdf = PdfReader(io.BytesIO(page.pdf(width="210mm", height="120mm")))
    found = [sheet.extract_text() for sheet in pdf.pages]
    model = [text for text in found if "pretraining none" in text]
    assert len(model) >= 2
    assert all(re.search(r"Per\s+class\s+\(%\)", text) for text in model)


def test_all_of_it_is_there_without_scripts(open_page):
    text = open_page(java_script_enabled=False).locator("body").inner_text()
    assert "This form needs JavaScript" in text and "What this cannot tell you" in text
    text = open_page("appendix.html", java_script_enabled=False).locator("body").inner_text()
    assert "Top-1 (%)" in text and "How to reproduce" in text
