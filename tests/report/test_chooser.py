"""What the chooser reads agrees with the tables, and reaches the page whole and escaped."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from report.make_profiles import GPU, add_profiles, images_per_s, peak_mib
from report.make_regimes import plant
from report.make_store import TEST_IMAGES, make_store, true_top1

from bench.analysis.statistics import mean_interval
from bench.report.chooser import chooser
from bench.report.data_sets import data_sets
from bench.report.evidence import gather
from bench.report.recommendation import answer
from bench.report.render import render
from bench.store.run_store import RunStore

NASTY = "</script><script>alert(1)</script> & 100%"


class Scripts(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        if self.inside:
            self.found.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1] += data


def made(root, **changes):
    return form(gather(RunStore(make_store(root, **changes)), "tiny"))


def form(evidence):
    return chooser(evidence, data_sets(evidence)).data["data"]


def test_rows_at_a_size(tmp_path):
    (own,) = made(tmp_path, missing=(("vit", 5, 0),))
    names = ["1 image", "5 images", "20 images", "all 80 images"]
    assert [size["label"] for size in own["sizes"]] == [f"{name} per class" for name in names]
    assert [criterion["name"] for criterion in own["criteria"]] == ["Accuracy", "Few parameters"]
    rows = {row["name"]: row for row in own["sizes"][1]["rows"]}
    mean = sum(true_top1("resnet", 5, r) for r in range(3)) / 3
    assert rows["ResNet-18"]["values"] == [pytest.approx(mean), pytest.approx(11.173962)]
    # In this store a network is right on the first so many images.
    right = [round(true_top1("resnet", 5, r) * TEST_IMAGES) for r in range(3)]
    point = mean_interval([[1] * n + [0] * (TEST_IMAGES - n) for n in right])
    ends = f"{100 * point.low:.1f} to {100 * point.high:.1f}"
    assert rows["ResNet-18"]["accuracy"] == f"{100 * mean:.1f} % (95 % interval {ends})"
    assert "interval" not in rows["ViT-Ti/4"]["accuracy"]


def test_it_starts_at_the_largest_size(tmp_path):
    (own,) = made(tmp_path)
    assert own["start"] == 3


def test_a_subset_as_large_as_the_whole_split_is_one_size(tmp_path):
    (own,) = made(tmp_path, shots=(5, 80, None))
    assert [size["label"] for size in own["sizes"]] == ["5 images per class", "all 80 images per class"]
    assert [len(size["rows"]) for size in own["sizes"]] == [3, 3]


def test_what_was_measured_on_each_machine(tmp_path, monkeypatch):
    networks = {
        "deit": ("deit_tiny_patch16_224", "DeiT-Ti", "DeiT", "transformer", "scratch", 0.6, 0.5),
        "resnet": ("resnet18", "ResNet-18", "ResNet", "cnn", "scratch", 0.8, 0.7),
    }
    monkeypatch.setattr("report.make_store.NETWORKS", networks)
    pair = {"contrasts": [["deit", "resnet"]], "exploratory": []}
    make_store(tmp_path, shots=(5,), comparison=pair | {"input_size": 224})
    add_profiles(tmp_path, ["deit_tiny_patch16_224"])
    add_profiles(tmp_path, ["resnet18"], fits={"resnet18": 32}, busy=True)
    add_profiles(tmp_path, ["resnet18"], place=GPU, speedup=100)
    (own,) = form(gather(RunStore(tmp_path), "tiny"))
    named = {one["name"].partition(" (")[0]: k for k, one in enumerate(own["criteria"])}
    assert list(named) == [
        "Accuracy",
        "Few parameters",
        "Speed, CPU",
        "Little memory, CPU",
        "Speed, Example GPU",
        "Little memory, Example GPU",
    ]
    deit, resnet = own["sizes"][0]["rows"]
    rate = images_per_s(1.254, 32)
    speed, memory = named["Speed, CPU"], named["Little memory, CPU"]
    assert deit["values"][speed] == pytest.approx(rate) and deit["texts"][speed] == f"{rate:.1f} images/s"
    assert resnet["values"][speed] is None and resnet["texts"][speed] == "withheld: machine busy"
    assert resnet["values"][memory] == pytest.approx(peak_mib(1.814, 32))
    assert deit["texts"][named["Speed, Example GPU"]] == "not measured"
    # Nothing was measured at another input size.
    make_store(tmp_path, shots=(5,), comparison=pair | {"input_size": 32})
    (own,) = form(gather(RunStore(tmp_path), "tiny"))
    assert [one["name"] for one in own["criteria"]] == ["Accuracy", "Few parameters"]


@pytest.mark.parametrize("seed", range(3))
def test_no_choice_contradicts_the_recommendation(tmp_path, monkeypatch, seed):
    """For every data set and size of planted stores: the advice names what the headline names there."""
    draw = np.random.default_rng(seed)
    sizes = (1, 2, 5, 20)
    top1 = {
        (name, key): {size: list(draw.uniform(0.2, 0.9) + draw.normal(0, 0.01, 3)) for size in sizes}
        for name in ("probe", "tuned")
        for key in ("deit", "resnet")
    }
    evidence = gather(RunStore(plant(tmp_path, top1, monkeypatch)), "tiny")
    headline = answer(evidence).partition(". ")[0].removeprefix("On digits, take ")
    (own,) = form(evidence)
    every = [re.fullmatch(PART, part) for part in headline.split("; ")]
    assert all(every)
    parts = [match for match in every if match["low"]]
    for number, size in zip(sizes, own["sizes"], strict=True):
        taken = size["advice"].removeprefix("Take ").partition(f" with {size['label']}")[0]
        here = [m for m in parts if int(m["low"]) <= number <= int(m["high"] or m["low"])]
        best = max((row for row in size["rows"]), key=lambda row: row["values"][0])
        assert best["name"] in taken
        if here:
            assert here[0]["names"] in (taken, "either of the two")
        else:
            assert "with fewer images, this changes" in headline


PART = (
    r"(?P<names>.+?) with (?P<low>\d+)(?: to (?P<high>\d+))?(?: images? per class)?(?: \(.+\))?"
    r"|with fewer images, this changes \d times"
)


def test_what_the_page_holds_is_what_was_given(tmp_path):
    store = RunStore(make_store(tmp_path / "store", shots=(5,), titles={"vit": NASTY}))
    render(store, "tiny", tmp_path / "out")
    data, code = Scripts((tmp_path / "out" / "index.html").read_text()).found
    found = json.loads(data)
    assert found == json.loads(json.dumps({"data": form(gather(store, "tiny"))}))
    assert NASTY in {row["name"] for row in found["data"][0]["sizes"][0]["rows"]}
    assert code.strip().startswith('"use strict"')
