"""The chooser asked for throughput, memory and energy, on a report whose machines are known."""

from pathlib import Path

import numpy as np
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
    """Fills in the form; returns what it says, and the page."""
    page = open_page()

    def asked(matters: str, device: str = "CPU", images: str = "5") -> str:
        page.get_by_label("Runs on").select_option(label=device)
        page.get_by_label("What matters most").select_option(label=matters)
        page.get_by_label("Images per class", exact=True).fill(images)
        return page.locator("#chooser .answer").inner_text()

    asked.page = page
    return asked


def test_throughput_with_its_interval_and_rows(ask):
    said = ask("Throughput")
    best = images_per_s(1.254, BATCH)
    assert f"DeiT-Ti has the highest throughput: {rate(best)} images/s" in said
    assert f"(95 % interval {rate(0.97 * best)} to {rate(1.03 * best)})" in said
    assert CPU["machine"] in said and "fp32, as trained, batch 32, 224 px" in said
    tables = [link.get_attribute("href") for link in ask.page.locator("#chooser .answer a").all()]
    assert {"#table-accuracy-from-scratch", "#table-speed-cpu"} <= set(tables)
    assert all(ask.page.locator(table).count() == 1 for table in tables)


def test_the_least_memory_leads(ask):
    assert f"DeiT-Ti takes the least memory: {peak_mib(1.254, BATCH):.0f} MiB (no interval)" in ask("Memory")


def test_accuracy_leads_with_another_model(ask):
    assert "ResNet-18 has the highest mean accuracy" in ask("Accuracy")


def test_only_what_was_measured_is_offered_and_the_largest_size_comes_first(open_page):
    page = open_page()
    options = {
        name: page.get_by_label(name).locator("option").all_inner_texts()
        for name in ("Runs on", "What matters most")
    }
    assert options == {
        "Runs on": ["CPU"],
        "What matters most": ["Accuracy", *options["What matters most"][1:]],
    }
    assert not {"Energy"} & set(options["What matters most"])
    assert page.get_by_label("Images per class", exact=True).input_value() == "20"


def test_outside_the_measured_range(ask):
    assert ask("Throughput", images="21").startswith("Outside what was measured, 5 to 20")
    said = ask("Throughput", images="10")
    assert "10 was not measured" in said and "With 5 images" in said and "With 20 images" in said


def test_equal_models_and_those_that_are_missing_are_named(chromium, tmp_path):
    missing = tuple(("vit", 5, replicate) for replicate in range(3))
    store = RunStore(make_store.make_store(tmp_path / "store", shots=(5, 20), missing=missing))
    for run in store.names("runs"):
        make_store.set_predicted(store.folder_of("runs", run), np.arange(make_store.TEST_IMAGES) % 10)
    render(store, "tiny", tmp_path / "out")
    page = chromium.new_page()
    page.goto((tmp_path / "out" / "index.html").as_uri())
    page.get_by_label("Images per class", exact=True).fill("5")
    said = page.locator("#chooser .answer").inner_text()
    page.close()
    assert "DeiT-Ti/4 has the highest mean accuracy" in said and "Equal to it: ResNet-18. " in said
    assert "ViT-Ti/4: not measured at this size." in said
