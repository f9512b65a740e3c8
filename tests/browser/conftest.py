"""A report of a synthetic store in headless Chromium, opened from disk."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from report.make_store import make_store

from bench.inspection.examples import EXAMPLES
from bench.inspection.images import example, sample
from bench.inspection.loading import load
from bench.inspection.view import View
from bench.inspection.walkthrough import explain
from bench.report.render import render
from bench.store.run_store import RunStore

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "<script>alert(1)</script> 100%_of & more"
# What keeps Chromium itself from using the network.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium():
    """The browser, or one line that says that there is none."""
    if not CHROMIUM:
        pytest.exit("the browser tests need Chromium: apt-get install chromium", returncode=2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """The page of a report: a trial that diverged, one missing, a cell without any, a title of markup."""
    root = tmp_path_factory.mktemp("browser")
    missing = (("resnet", None, 2), *(("vit", 1, replicate) for replicate in range(3)))
    store = make_store(root / "store", diverged=(("vit", 5, 1),), missing=missing, titles={"vit": NASTY})
    render(RunStore(store), "tiny", root / "out")
    return root / "out" / "index.html"


@pytest.fixture(scope="session")
def views(tmp_path_factory) -> list[View]:
    """A small ViT with a distillation token and a ResNet, neither trained."""
    folder = tmp_path_factory.mktemp("explain")
    averaged, picture = sample(None, "val", 16), example(next(iter(EXAMPLES)))
    return [
        View(load(name, weights="none", weights_dir=folder, results=folder), picture, averaged)
        for name in ("vit_micro_distilled_patch4_32", "resnet18_quarter_cifar")
    ]


@pytest.fixture(scope="session")
def page_file(views, tmp_path_factory) -> Path:
    """The page of `explain` of both beside each other."""
    pictures = [example(name) for name in EXAMPLES]
    return explain(views, pictures, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def open_page(chromium, report):
    """Opens the page, or its appendix (`file`), in a window of its own; what it logs or requests beyond the
    two fails the test."""
    contexts, trouble = [], []
    own = {report.with_name(name).as_uri() for name in ("index.html", "appendix.html")}

    def opened(file="index.html", **options):
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: trouble.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: request.url.partition("#")[0] in own or trouble.append(f"request: {request.url}"),
        )
        page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(report.with_name(file).as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []
