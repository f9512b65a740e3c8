"""vcbench claims, on a store whose CNN is better everywhere."""

import json

import numpy as np
import pytest
from console import told, vcbench
from small_store import write_store

import vcbench as api


@pytest.fixture
def store(tmp_path):
    random = np.random.default_rng(0)
    shares = {("vit", 5): 0.2, ("resnet", 5): 0.7, ("vit", 200): 0.6, ("resnet", 200): 0.95}
    right = {key: random.random((5, 400)) < share for key, share in shares.items()}
    return write_store(tmp_path / "store", right)


def test_every_claim_is_listed_with_its_verdict(store):
    lines = vcbench("claims", "--results", store).stdout
    assert "CNNs win with few images, ViTs with many." in lines
    assert "depends on what is measured: holds for at most 10 images per class" in lines
    assert lines.count("not measured") >= 8
    assert vcbench("claims", "small", "--results", store).stdout == lines


def test_the_numbers_behind_one(store):
    text = vcbench("claims", "--results", store, "--claim", "few-images").stdout
    assert "ViT-Ti/4 against ResNet-18" in text and text.count("digits") >= 2
    listed = json.loads(vcbench("claims", "--results", store, "--claim", "few-images", "--json").stdout)
    (row,) = listed["claims"]
    assert (row["verdict"], row["depends_on"]) == ("depends", "evidence")
    assert [one["outcome"] for one in listed["claim_numbers"]] == ["holds", "fails"]
    difference = api.open(store).contrasts.query("shots == 5")["difference"].item()
    assert listed["claim_numbers"][0]["estimate"] == pytest.approx(100 * difference)


def test_in_python(store):
    claims = api.open(store).claims.set_index("claim")
    assert claims.loc["few-images", "verdict"] == "depends" and len(claims) == 14


def test_what_is_wrong_is_told(store):
    told(vcbench("claims", "--results", store, "--claim", "robst"), "robst", 'did you mean "robust"?')
    told(vcbench("claims", "smal", "--results", store), '"smal"', '"small"')


def test_what_was_known_when_the_rules_were_written_is_said():
    text = " ".join(vcbench("claims", "--help").stdout.replace("│", " ").split())
    assert "written before any run of the suite claims" in text and "were known when" in text
