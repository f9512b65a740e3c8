"""The chooser asked for throughput, memory and energy, on a report whose machines are known."""

from pathlib import Path

import pytest

pytest.importorskip("browser.conftest")

from report import make_store
from report.make_profiles import CPU, add_profiles, images_per_s, peak_mib

from bench.report.render import render
from bench.report.row_text import rate
from bench.store.run_store import RunStore

# The batch at which models are compared where a suite declares none.
BATCH = 32
NETWORKS = {
    "vit": ("deit_tiny_patch16_224", "DeiT-Ti", "DeiT", "transformer", "scratch", 0.6, 0.5),
    "resnet": ("resnet18", "ResNet-18", "ResNet", "cnn", "scratch", 0.8, 0.7),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """Takes the place of the other tests' report."""
    root = tmp_path_factory.mktemp("chooser")
    comparison = {"input_size": 224, "contrasts": [["vit", "resnet"]], "exploratory": []}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_store, "NETWORKS", NETWORKS)
        make_store.make_store(root / "store", shots=(5, 20), comparison=comparison)
    add_profiles(root / "store", [network[0] for network in NETWORKS.values()])
    render(RunStore(root / "store"), "tiny", root / "out")
    return root / "out" / "index.html"


@pytest.fixture
def ask(open_page):
    """Fills in the form; returns what it says, a paragraph or row a line."""
    page = open_page()

    def asked(matters: str, size: str = "5 images per class") -> list[str]:
        select = page.get_by_label("What matters most")
        (name,) = [text for text in select.locator("option").all_inner_texts() if text.startswith(matters)]
        page.locator("#chooser [name=size]").select_option(label=size)
        select.select_option(label=name)
        return page.locator("#chooser .answer :is(p, li)").all_inner_texts()

    return asked


def test_the_fastest_leads_and_the_advice_stays(ask):
    advice, lead, first, second = ask("Speed, CPU")
    best, other = (rate(images_per_s(gmacs, BATCH)) for gmacs in (1.254, 1.814))
    assert advice.startswith("Take ResNet-18 with 5 images per class")
    assert lead == f"Fastest: DeiT-Ti ({best} images/s)."
    assert first.startswith(f"DeiT-Ti: {best} images/s; accuracy ")
    assert second.startswith(f"ResNet-18: {other} images/s; accuracy ")


def test_the_least_memory_leads(ask):
    assert f"Least memory: DeiT-Ti ({peak_mib(1.254, BATCH):.0f} MiB)." in ask("Little memory")


def test_only_what_was_measured_is_offered_and_the_largest_size_comes_first(open_page):
    page = open_page()
    names = page.get_by_label("What matters most").locator("option").all_inner_texts()
    on = f", CPU ({CPU['machine']})"
    assert names == ["Accuracy", "Few parameters", f"Speed{on}", f"Little memory{on}"]
    sizes = page.locator("#chooser [name=size]")
    assert sizes.locator("option").all_inner_texts() == ["5 images per class", "20 images per class"]
    assert sizes.evaluate("select => select.selectedOptions[0].textContent") == "20 images per class"


def test_equals_are_named_together(chromium, tmp_path):
    store = RunStore(make_store.make_store(tmp_path / "store", shots=(5, 20)))
    render(store, "tiny", tmp_path / "out")
    page = chromium.new_page()
    page.goto((tmp_path / "out" / "index.html").as_uri())
    page.get_by_label("What matters most").select_option(label="Few parameters")
    said = page.locator("#chooser .answer").inner_text()
    page.close()
    assert "Fewest parameters: ViT-Ti/4, DeiT-Ti/4, ResNet-18 (11.2 million parameters)." in said
