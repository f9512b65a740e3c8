"""What the chooser reads agrees with the tables, and reaches the page whole and escaped."""

import json
from html.parser import HTMLParser

import pytest
from report.make_profiles import GPU, add_profiles, images_per_s, peak_mib
from report.make_store import TEST_IMAGES, make_store, true_top1

from bench.analysis.statistics import mean_interval
from bench.report.chooser import chooser
from bench.report.evidence import gather
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


def test_rows_and_contrasts_at_a_size(tmp_path):
    evidence = gather(RunStore(make_store(tmp_path, missing=(("vit", 5, 0),))), "tiny")
    (block,) = chooser(evidence)
    (comparison,) = block.data["comparisons"]
    assert [row["size"] for row in comparison["rows"]] == [n for n in (1, 5, 20, 80) for _ in range(3)]
    row = next(r for r in comparison["rows"] if (r["contestant"], r["size"]) == ("resnet", 5))
    assert row["top1"] == pytest.approx(sum(true_top1("resnet", 5, r) for r in range(3)) / 3)
    assert row["gmacs"] is None and row["params"] == 11_173_962
    # In this store a network is right on the first so many images.
    right = [round(true_top1("resnet", 5, r) * TEST_IMAGES) for r in range(3)]
    point = mean_interval([[1] * n + [0] * (TEST_IMAGES - n) for n in right])
    ends = f"{100 * point.low:.1f} to {100 * point.high:.1f}"
    assert f"(n = 3, 95 % interval {ends})" in row["text"]
    few = next(r for r in comparison["rows"] if (r["contestant"], r["size"]) == ("vit", 5))
    assert "interval " not in few["text"].partition(";")[0] and "no interval" in few["text"]
    words = [c["text"] for c in comparison["contrasts"] if c["size"] == 5]
    assert words[0].startswith("DeiT-Ti/4 against ResNet-18: ")
    assert words[1].startswith("ViT-Ti/4 against ResNet-18: ") and "too few for an interval;" in words[1]
    assert comparison["label"] == "from-scratch: digits (official), 32 px"
    # Of exploratory contrasts none calls a model better.
    for found in comparison["contrasts"]:
        primary, worse = found["a"] == "deit", "; ResNet-18 is better" in found["text"]
        assert found["better"] == ("resnet" if primary and worse else None)
    assert any(found["better"] for found in comparison["contrasts"])


def test_it_starts_at_the_largest_size_and_offers_what_was_measured(tmp_path):
    data = chooser(gather(RunStore(make_store(tmp_path)), "tiny"))[0].data
    assert data["start"] == "80" and data["devices"] == ["CPU"]
    assert [name for name, _ in data["matters"]] == ["top1", "params"]


def test_a_subset_as_large_as_the_whole_split_is_one_row(tmp_path):
    evidence = gather(RunStore(make_store(tmp_path, shots=(5, 80, None))), "tiny")
    (comparison,) = chooser(evidence)[0].data["comparisons"]
    assert [(row["size"], row["size_name"]) for row in comparison["rows"]] == [
        *[(5, "5 images per class")] * 3,
        *[(80, "the whole training split (80 images per class)")] * 3,
    ]
    assert sorted(found["size"] for found in comparison["contrasts"]) == [5, 5, 80, 80]


def test_what_was_measured_on_each_machine(tmp_path, monkeypatch):
    networks = {
        "deit": ("deit_tiny_patch16_224", "DeiT-Ti", "DeiT", "transformer", "scratch", 0.6, 0.5),
        "resnet": ("resnet18", "ResNet-18", "ResNet", "cnn", "scratch", 0.8, 0.7),
    }
    monkeypatch.setattr("report.make_store.NETWORKS", networks)
    pair = {"contrasts": [["deit", "resnet"]], "exploratory": []}
    make_store(tmp_path, shots=(5,), comparison=pair | {"input_size": 224})
    add_profiles(tmp_path, ["deit_tiny_patch16_224", "resnet18"], fits={"resnet18": 32}, busy=True)
    add_profiles(tmp_path, ["resnet18"], place=GPU, speedup=100)
    (block,) = chooser(gather(RunStore(tmp_path), "tiny"))
    cpu, gpu = block.data["comparisons"][0]["platforms"]
    assert (cpu["kind"], gpu["kind"]) == ("CPU", "GPU") and set(gpu["measured"]["memory"]["rows"]) == {
        "resnet"
    }
    found = cpu["measured"]["throughput"]
    assert found["table"] == "speed-cpu" and "batch 32" in found["where"]
    row, rate = found["rows"]["deit"], images_per_s(1.254, 32)
    assert (row["value"], row["low"]) == (pytest.approx(rate), pytest.approx(0.97 * rate))
    assert row["text"].startswith(f"{rate:.1f} images/s (95 % interval ") and "machine busy" in row["text"]
    assert cpu["measured"]["memory"]["rows"]["resnet"]["value"] == pytest.approx(peak_mib(1.814, 32))
    assert not cpu["measured"].get("energy", {}).get("rows")
    # Nothing was measured at another input size.
    make_store(tmp_path, shots=(5,), comparison=pair | {"input_size": 32})
    (block,) = chooser(gather(RunStore(tmp_path), "tiny"))
    assert all(place["measured"] == {} for place in block.data["comparisons"][0]["platforms"])


def test_nothing_measured_has_no_chooser(tmp_path):
    missing = tuple((name, 5, r) for name in ("vit", "deit", "resnet") for r in range(3))
    assert chooser(gather(RunStore(make_store(tmp_path, shots=(5,), missing=missing)), "tiny")) == ()


def test_what_the_page_holds_is_what_was_given(tmp_path):
    store = RunStore(make_store(tmp_path / "store", shots=(5,), titles={"vit": NASTY}))
    render(store, "tiny", tmp_path / "out")
    data, code = Scripts((tmp_path / "out" / "index.html").read_text()).found
    found = json.loads(data)
    assert found == json.loads(json.dumps(chooser(gather(store, "tiny"))[0].data))
    assert NASTY in {row["title"] for row in found["comparisons"][0]["rows"]}
    assert code.strip().startswith('"use strict"')
