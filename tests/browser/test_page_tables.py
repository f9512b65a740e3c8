"""Sorting, filtering and the chooser, with their values."""

import pytest
from browser.conftest import NASTY
from report.make_store import true_top1

APPENDIX = "appendix.html"
ACCURACY = "#table-accuracy-from-scratch"
NAMES = {"vit": NASTY, "deit": "DeiT-Ti/4", "resnet": "ResNet-18"}


def column(page, title: str, table: str = ACCURACY) -> list[str]:
    """The visible texts of one column, without what stands beneath or is noted."""
    return page.eval_on_selector(
        table,
        """(table, title) => {
            const heads = [...table.querySelectorAll("th")];
            const place = heads.findIndex((head) => head.textContent.trim() === title);
            return [...table.querySelectorAll("tbody tr")].filter((row) => !row.hidden).map((row) => {
                const cell = row.cells[place].cloneNode(true);
                cell.querySelectorAll(".beneath, .note, .spread").forEach((part) => part.remove());
                return cell.textContent.trim();
            });
        }""",
        title,
    )


def head(page, title: str, table: str = ACCURACY):
    return page.locator(f"{table} th", has_text=title)


def mean(name: str, shots: int | None) -> float | None:
    """Mean accuracy of a cell of the report in percent; a trial that diverged counts as 10 %."""
    if (name, shots) == ("vit", 1):
        return None
    replicates = range(2) if (name, shots) == ("resnet", None) else range(3)
    diverged = {("vit", 5): 1}.get((name, shots))
    scores = [0.1 if r == diverged else true_top1(name, shots, r) for r in replicates]
    return 100 * sum(scores) / len(scores)


def test_sorting_by_a_number_with_what_is_missing_last_and_back(open_page):
    page = open_page(APPENDIX)
    before = column(page, "Top-1 (%)")
    expected = [mean(name, shots) for shots in (1, 5, 20, None) for name in NAMES]
    known = sorted(value for value in expected if value is not None)

    def shown() -> list[float | None]:
        return [None if text == "not measured" else float(text) for text in column(page, "Top-1 (%)")]

    assert shown() == [value if value is None else pytest.approx(value, abs=0.0501) for value in expected]
    button = head(page, "Top-1 (%)").get_by_role("button")
    for order, now in (("descending", known[::-1]), ("ascending", known)):
        button.click()
        assert head(page, "Top-1 (%)").get_attribute("aria-sort") == order
        assert shown()[:-1] == pytest.approx(now, abs=0.0501) and shown()[-1] is None
    button.click()
    assert head(page, "Top-1 (%)").get_attribute("aria-sort") is None
    assert column(page, "Top-1 (%)") == before


def test_sorting_by_words_and_by_sizes(open_page):
    page = open_page(APPENDIX)
    head(page, "Model").get_by_role("button").click()
    assert column(page, "Model") == sorted(column(page, "Model"), key=str.lower)
    assert column(page, "Model")[-1] == "ResNet-18"
    head(page, "Images per class").get_by_role("button").click()
    assert column(page, "Images per class")[::3] == ["all (80)", "20", "5", "1"]


def test_sorting_by_numbers_after_a_sign_or_words(open_page):
    page, table = open_page(APPENDIX), "#table-contrasts-from-scratch"
    button = head(page, "p (Holm)", table).get_by_role("button")
    place = (
        "[...body.closest('table').tHead.rows[0].cells].findIndex((head) => head.textContent === 'p (Holm)')"
    )
    page.eval_on_selector(
        f"{table} tbody", f"(body) => {{ body.rows[0].cells[{place}].textContent = '0.200'; }}"
    )
    page.eval_on_selector(
        f"{table} tbody", f"(body) => {{ body.rows[1].cells[{place}].textContent = '< 0.001'; }}"
    )
    for row in (0, -1):
        button.click()
        values = [text for text in column(page, "p (Holm)", table) if text in ("0.200", "< 0.001")]
        assert values[row] == "0.200" and set(values) == {"0.200", "< 0.001"}


def test_filtering(open_page):
    page = open_page(APPENDIX)
    field = page.locator(f"{ACCURACY} input[type=search]")
    field.fill("resnet 5")
    assert set(column(page, "Model")) == {"ResNet-18"}
    found = page.locator(f"{ACCURACY} .tools [role=status]")
    assert found.inner_text() == f"{len(column(page, 'Model'))} of 12 rows"
    field.fill("no such model")
    assert column(page, "Model") == [] and found.inner_text() == "0 of 12 rows"
    field.fill("")
    assert len(column(page, "Model")) == 12 and found.inner_text() == ""
    field.fill(NASTY.lower())
    assert column(page, "Model") == [NASTY] * 4


def test_the_chooser_orders_the_networks_by_accuracy(open_page):
    page = open_page()
    said = page.locator("#chooser .answer")
    for shots, label in ((1, "1 image"), (5, "5 images"), (20, "20 images"), (None, "all 80 images")):
        page.locator("#chooser [name=size]").select_option(label=f"{label} per class")
        measured = {name: value for name in NAMES if (value := mean(name, shots)) is not None}
        listed = said.locator("li").all_inner_texts()
        order = sorted(measured, key=measured.get, reverse=True)
        assert [text.partition(": ")[0] for text in listed] == [NAMES[name] for name in order]
        assert all(f": {measured[name]:.1f} %" in text for name, text in zip(order, listed, strict=True))
        assert said.locator("p").count() == 1


def test_the_table_of_the_answer_is_sorted_by_keys(open_page):
    page = open_page()
    head = page.locator("#table-answer th", has_text="80 (all)")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    values = [float(text) for text in column(page, "80 (all)", "#table-answer")]
    assert values == sorted(values, reverse=True) and len(values) == 3


def test_links_lead_to_the_runs_behind_a_figure(open_page):
    page = open_page()
    page.locator("figure .files a", has_text="runs").first.click()
    assert page.url.partition("#")[0].endswith("appendix.html")
    box = page.locator("#" + page.url.partition("#")[2]).bounding_box()
    assert box["height"] > 20 and 0 <= box["y"] < 900, "unfolded, and in sight"
    assert box["y"] >= page.locator("nav").bounding_box()["height"]
