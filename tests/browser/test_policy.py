"""What somebody else puts into a page neither runs nor loads: each kind of page keeps to its policy."""

import re

import pytest

pytest.importorskip("browser.conftest")

from bench.report.index import write_index

# Each sets the title, or would load or show something from elsewhere.
INJECTED = """
<script>document.title = 'ran'</script>
<img src=x onerror="document.title = 'ran'">
<img src="http://example.invalid/x.png">
<svg onload="document.title = 'ran'"></svg>
<svg><script>document.title = 'ran'</script></svg>
<a id="link" href="javascript:void(document.title = 'ran')">x</a>
<iframe srcdoc="<script>parent.document.title = 'ran'</script>"></iframe>
<iframe src="http://example.invalid/"></iframe>
<object data="http://example.invalid/"></object>
<link rel="stylesheet" href="http://example.invalid/x.css">
<style>h1 { color: rgb(1, 2, 3) }</style>
<p id="styled" style="color: rgb(1, 2, 3)">x</p>
<base href="http://example.invalid/">
<form action="http://example.invalid/"><button id="send">x</button></form>
"""


def page_of(kind, request):
    """A page of a kind, as a file."""
    report = request.getfixturevalue("report")
    if kind == "reports":
        return write_index(report.parent.parent)
    if kind == "explain":
        return request.getfixturevalue("page_file")
    return report.with_name(f"{kind}.html")


@pytest.mark.parametrize("kind", ["index", "appendix", "reports", "explain"])
def test_what_is_injected_does_not_run(chromium, request, tmp_path, kind):
    text = page_of(kind, request).read_text()
    file, page, reached = tmp_path / "page.html", chromium.new_page(), []
    page.route("http://**", lambda route: (reached.append(route.request.url), route.abort()))

    def opened(text):
        file.write_text(text.replace('<main id="content">', f'<main id="content">{INJECTED}'))
        page.goto(file.as_uri())
        title = page.title()
        page.locator("#link").evaluate("link => link.click()")
        page.wait_for_timeout(100)
        colours = [
            page.locator(what).first.evaluate("e => getComputedStyle(e).color") for what in ("h1", "#styled")
        ]
        page.locator("#send").evaluate("button => button.click()")
        page.wait_for_timeout(100)
        return title, "rgb(1, 2, 3)" in colours, len(reached)

    title, styled, count = opened(text)
    assert title in text and title != "ran" and (styled, count) == (False, 0), reached
    title, styled, count = opened(re.sub("<meta http-equiv=.Content-Security-Policy[^>]*>", "", text))
    assert (title, styled) == ("ran", True) and count, "the policy is what holds it back"
    page.close()
