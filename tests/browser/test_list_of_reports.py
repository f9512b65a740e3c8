"""The page that lists reports: narrow and wide, light and dark, without serious faults or scripts."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from bench.report.index import write_index


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_and_has_no_serious_fault(chromium, report, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, trouble = context.new_page(), []
    page.on("console", lambda message: trouble.append(message.text))
    page.goto(write_index(report.parent.parent).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("section svg").count() == 1
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.get_by_role("link").first.click()
    assert page.url == report.as_uri()
    context.close()
    assert trouble == []
