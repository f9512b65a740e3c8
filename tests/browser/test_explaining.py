"""The page of `vcbench explain` in Chromium: by pointer and keyboard, narrow, dark, on paper, offline."""

import io

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from pypdf import PdfReader

from bench.inspection.images import example, sample
from bench.inspection.loading import load
from bench.inspection.view import View
from bench.inspection.walkthrough import explain


@pytest.fixture
def show(chromium, page_file):
    """Opens the page; what it logs, or requests beyond itself, fails the test."""
    contexts, trouble = [], []

    def opened(file=page_file, **options):
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: trouble.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: request.url.startswith(("data:", file.as_uri())) or trouble.append(request.url),
        )
        page.goto(file.as_uri())
        expect(page.locator("#status-0")).not_to_be_empty()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []


def until(page, words, model=0):
    """Wait until the line below a picture has these words."""
    # The page's policy forbids the `eval` by which Playwright would poll a function.
    expect(page.locator(f"#status-{model}")).to_contain_text(words)


ORANGE = """(canvas) => {
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const orange = (k) => [255, 154, 61].every((value, one) => Math.abs(data[4 * k + one] - value) < 9);
  const found = [...Array(data.length / 4).keys()].filter(orange);
  return Math.min(...found.map((k) => k % width));
}"""  # the column of the first pixel of the frame


def painted(page, what):
    """What a canvas shows."""
    return page.locator(what).first.evaluate("(canvas) => canvas.toDataURL()")


def test_pointing_at_a_place_chooses_it_on_both_sides(show):
    page = show()
    canvas = page.locator("canvas.place").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    before = painted(page, "#layers article:nth-child(2) canvas.place")
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.9 * box["height"])
    until(page, "Patch 8,3, block 1")
    assert painted(page, "#layers article:nth-child(2) canvas.place") != before


def test_the_patch_that_is_looked_at_most_is_that_of_the_attention_itself(show, views):
    page, attention = show(), views[0].attention
    page.locator("canvas.place").first.focus()
    query = 2 + 4 * 8 + 4  # patch 5,5 of 8 x 8, after two tokens in front
    for head in range(1 + attention.shape[1]):
        row = attention[0, head - 1, query] if head else attention[0, :, query].mean(0)
        down, across = divmod(int(row[2:].argmax()), 8)
        page.locator("input.head").first.fill(str(head))
        which = f"head {head}" if head else "mean of the heads"
        until(page, f"Patch 5,5, block 1, {which}: looks most at patch {down + 1},{across + 1}.")


def test_places_are_right_where_squares_of_patches_hang_over_the_edge(show, tmp_path):
    """17 x 17 patches of 4 px in squares of 2 x 2: half of the ninth row and column is in the image."""
    model = load("vit_micro_patch4_32", weights="none", weights_dir=tmp_path, results=tmp_path, input_size=68)
    view = View(model, example("flower"), sample(None, "val", 4))
    page = show(explain([view], [view.picture], tmp_path / "page.html"))
    box = page.locator("canvas.place").bounding_box()
    for share, square in ((0.93, 8), (0.95, 9), (0.03, 1), (0.13, 2)):  # their edges: 16 / 17, 2 / 17
        page.locator("canvas.place").hover(position={"x": share * box["width"], "y": share * box["height"]})
        until(page, f"Square {square},{square}, block 1")
    page.locator("canvas.place").focus()
    for key in (*["ArrowRight"] * 9, "ArrowLeft"):
        page.keyboard.press(key)
    until(page, "Square 2,8, block 1")
    left = page.locator("canvas.place").evaluate(ORANGE)
    assert abs(left - 448 * 14 / 17) < 2


def test_everything_is_reached_by_keyboard(show):
    page = show()
    page.locator("canvas.place").first.focus()
    until(page, "Patch 5,5, block 1, mean of the heads")
    for key in ("ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    until(page, "Patch 3,6")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    until(page, "block 2")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    until(page, "head 1")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(page, "The class token, block 2, head 1")
    assert page.locator("button.token").first.get_attribute("aria-pressed") == "true"
    page.locator("input.layer").nth(1).focus()
    page.keyboard.press("End")
    until(page, "stage 4, one of 4 x 4", model=1)
    assert "stage 4" in page.locator("#layers article").nth(1).inner_text()


def test_another_image_changes_pictures_and_answer(show):
    page = show()
    before = painted(page, "canvas.evidence"), page.locator("img.shown").first.get_attribute("src")
    page.locator("input[name=image]").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert page.locator("img.shown").first.get_attribute("src") != before[1]
    assert painted(page, "canvas.evidence") != before[0]


def test_steps_add_up_where_they_are_shown(show):
    page = show()
    for table in page.locator("table.steps").all():
        for column in (4, 5):
            rows = table.locator(f"tbody td:nth-child({column})").all()
            total = sum(int(cell.get_attribute("data-value")) for cell in rows)
            assert total == int(table.locator(f"tfoot td:nth-child({column})").get_attribute("data-value"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violation_of_wcag(show, scheme):
    found = Axe().run(show(color_scheme=scheme), options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]})
    assert found.violations_count == 0, found.generate_report()


def test_a_phone_shows_all_of_it(show):
    page = show(viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for canvas in page.locator("canvas").all():
        assert canvas.bounding_box()["width"] <= 390


def test_on_paper(show):
    text = "".join(p.extract_text() for p in PdfReader(io.BytesIO(show().pdf())).pages)
    assert "What it costs" in text and "RANDOM WEIGHTS" in text
