"""vcbench power: what contrasts need, against the functions behind it and what is plain to see."""

import json

import numpy as np
import pytest
from console import told, vcbench
from small_store import write_store

from bench.analysis.power import sizes
from bench.analysis.statistics import parts


@pytest.fixture
def right():
    random = np.random.default_rng(0)
    shares = {("vit", 5): 0.6, ("resnet", 5): 0.7, ("vit", 20): 0.8, ("resnet", 20): 0.9}
    return {key: random.random((5 if key[1] == 5 else 2, 400)) < share for key, share in shares.items()}


def test_each_primary_contrast_is_listed_with_what_it_needs(tmp_path, right):
    store = write_store(tmp_path / "store", right)
    ran = vcbench("power", "small", "--results", store, "--delta", "0.05", "--json")
    listed = json.loads(ran.stdout)
    assert (listed["suite"], listed["delta"]) == ("small", 0.05)
    five, twenty = listed["contrasts"]
    # Of two contrasts one has two replicates planned, and cannot be decided.
    expected = sizes(parts(right["vit", 5].astype(float) - right["resnet", 5]), 0.05, 0.05)
    assert (five["a"], five["b"], five["shots"], five["replicates"]) == ("vit", "resnet", 5, 5)
    assert five["sizes"] == {
        "power": pytest.approx(expected.power), "replicates": expected.replicates,
        "images": expected.images, "limited_by": list(expected.limited_by),
    }  # fmt: skip
    assert twenty["sizes"] is None and "fewer than 3" in twenty["note"]

    text = vcbench("power", "small", "--results", store, "--delta", "0.05").stdout.splitlines()
    assert [str(expected.replicates) in text[1].split(), "fewer than 3" in text[2]] == [True, True]
    tiny = vcbench("power", "small", "--results", store, "--delta", "0.0001").stdout
    assert "none: too few replicates" in tiny and "over" in tiny or "none: too few images" in tiny


def test_what_is_wrong_is_told(tmp_path, right):
    store = write_store(tmp_path / "store", right)
    told(vcbench("power", "smal", "--results", store), '"smal"', '"small"')
    told(vcbench("power", "small", "--results", store, "--delta", "5"), "--delta 5", "below 1")
    path = store / "suites" / "small.json"
    content = json.loads(path.read_text())
    content["comparisons"][0]["contrasts"] = []
    path.write_text(json.dumps(content))
    told(vcbench("power", "small", "--results", store), "small", "no primary contrast")
