"""vcbench compare, on stores whose differences are known."""

import json
import shutil

import numpy as np
import pytest
from console import told, vcbench
from small_store import run_id, write_store

from bench.analysis.decisions import PairedScores, judge

IMAGES = 400


def rows(share, replicates=3, seed=0):
    """Replicates x images, `share` of them right."""
    return np.random.default_rng(seed).random((replicates, IMAGES)) < share


def spoilt(table, first, last):
    """The same answers, wrong on the images from first to last."""
    table = table.copy()
    table[:, first:last] = False
    return table


@pytest.fixture
def stores(tmp_path):
    """Two stores: of four cells one is worse, one identical, one too small, one only in the first."""
    before = {
        ("vit", 5): rows(0.9),
        ("resnet", 5): rows(0.8, seed=1),
        ("vit", 20): rows(0.9, 2, seed=2),
        ("resnet", 20): rows(0.9, seed=3),
    }
    after = {
        ("vit", 5): spoilt(before["vit", 5], 0, 80),
        ("resnet", 5): before["resnet", 5],
        ("vit", 20): spoilt(before["vit", 20], 0, 80),
    }
    return write_store(tmp_path / "a", before), write_store(tmp_path / "b", after), before, after


def compared(*arguments):
    ran = vcbench("compare", *arguments, "--json")
    assert not ran.stderr, ran.stderr
    return {(c["contestant"], c["shots"]): c for c in json.loads(ran.stdout)["changes"]}


def test_each_cell_gets_its_verdict(stores):
    a, b, before, after = stores
    cells = compared(a, b)
    assert {key: cell["verdict"] for key, cell in cells.items()} == {
        ("vit", 5): "worse",
        ("resnet", 5): "identical",
        ("vit", 20): "none",
        ("resnet", 20): "none",
    }
    worse = cells["vit", 5]
    (expected,) = judge([PairedScores((after["vit", 5], before["vit", 5]))], delta=0.01, comparisons=2)
    assert (worse["difference"], worse["low"], worse["high"]) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )
    assert worse["before"] == pytest.approx(before["vit", 5].mean())
    assert worse["runs_before"] == [run_id("vit", 5, r) for r in range(3)]
    few = cells["vit", 20]
    assert few["low"] is None and few["difference"] < -0.1 and "fewer than 3" in few["note"]
    assert "not measured in the second store" in cells["resnet", 20]["note"]


def test_the_other_way_round_is_the_opposite(stores):
    a, b, *_ = stores
    assert compared(b, a)["vit", 5]["verdict"] == "better"
    assert compared(b, a)["vit", 5]["low"] == pytest.approx(-compared(a, b)["vit", 5]["high"])


def test_exit_status_for_a_regression_only(stores):
    a, b, *_ = stores
    assert vcbench("compare", a, b).returncode == 0
    assert vcbench("compare", a, b, "--fail-on", "regression").returncode == 1
    assert vcbench("compare", b, a, "--fail-on", "regression").returncode == 0
    told(vcbench("compare", a, b, "--fail-on", "change"), "--fail-on change")


def test_too_few_replicates_say_that_nothing_can_fail(tmp_path):
    stores = [write_store(tmp_path / n, {("vit", 5): rows(s, 2)}) for n, s in (("a", 0.9), ("b", 0.2))]
    ran = vcbench("compare", *stores, "--fail-on", "regression")
    assert ran.returncode == 0 and "no cell allows a verdict" in ran.stderr
    assert "1 without a verdict" in ran.stdout and "no interval, no verdict" in ran.stdout


def test_noise_is_no_regression_and_within_delta_is_equivalent(tmp_path):
    one = rows(0.9, 5)
    noisy = rows(0.9, 5, seed=9)
    nearly = one.copy()
    nearly[0, 0] = ~nearly[0, 0]
    a = write_store(tmp_path / "a", {("vit", 5): one, ("resnet", 5): one})
    b = write_store(tmp_path / "b", {("vit", 5): noisy, ("resnet", 5): nearly})
    cells = compared(a, b)
    assert cells["vit", 5]["verdict"] == "inconclusive"
    assert cells["resnet", 5]["verdict"] == "equivalent"


def test_diverged_runs_count_at_chance(tmp_path):
    table = {("vit", 5): rows(0.9)}
    a = write_store(tmp_path / "a", table)
    b = write_store(tmp_path / "b", table, diverged=(run_id("vit", 5, 1),))
    cell = compared(a, b)["vit", 5]
    finished = [table["vit", 5][r].mean() for r in (0, 2)]
    assert cell["after"] == pytest.approx((sum(finished) + 0.1) / 3)
    assert "0 before, 1 after, of 3" in cell["note"]
    assert cell["low"] >= -cell["before"], "the formula runs beyond it, and no difference does"
    assert compared(b, b)["vit", 5]["verdict"] == "identical"


def test_an_interval_ends_where_differences_do(tmp_path):
    table = {("vit", 5): rows(0.9)}
    a = write_store(tmp_path / "a", table)
    b = write_store(tmp_path / "b", table, diverged=(run_id("vit", 5, 1),))
    cell = compared(a, b)["vit", 5]
    assert cell["low"] == pytest.approx(-cell["before"])
    assert 0 < cell["high"] < 1 and cell["verdict"] == "inconclusive"


def test_replicates_in_common_are_paired(tmp_path):
    a = write_store(tmp_path / "a", {("vit", 5): rows(0.9, 5)})
    b = write_store(tmp_path / "b", {("vit", 5): rows(0.9, 5)[:3]})
    cell = compared(a, b)["vit", 5]
    assert cell["verdict"] == "identical" and cell["replicates"] == 3 and "3 of 5" in cell["note"]


def test_what_cannot_be_paired(tmp_path):
    table = {("vit", 5): rows(0.9)}
    a, b = write_store(tmp_path / "a", table), write_store(tmp_path / "b", table, fingerprint="e" * 64)
    assert "the data are not the same" in compared(a, b)["vit", 5]["note"]
    c = shutil.copytree(a, tmp_path / "c")
    (c / "runs" / run_id("vit", 5, 0) / "predictions.parquet").unlink()
    assert "1 of 3 runs of the second store have no predictions" in compared(a, c)["vit", 5]["note"]
    (c / "runs" / run_id("vit", 5, 0) / "predictions.parquet").write_bytes(b"spoilt")
    ran = vcbench("compare", a, c)
    assert "2 of 3 replicates are in both" in ran.stdout and ran.stderr.count("cannot be read") == 1
    for record in (a / "runs").glob("*/record.json"):
        record.unlink()
    assert compared(a, a)["vit", 5]["note"] == "measured in neither store"
    told(vcbench("compare", a, write_store(tmp_path / "d", table, suite="other")), "small", "other")
    told(vcbench("compare", a, b, "--suite", "smal"), '"small"')
    told(vcbench("compare", a, tmp_path / "nowhere"), "nowhere")


def test_two_variants_in_one_store(tmp_path):
    table = {("vit", 5): rows(0.9)}
    a = write_store(tmp_path / "a", table)
    b = write_store(tmp_path / "b", {("vit", 5): spoilt(table["vit", 5], 0, 80)}, suite="small+1a2b3c")
    told(vcbench("compare", a, b), "no suite in common")
    told(vcbench("compare", a, b, "--variant", "small+1a2b3c"), "needs --suite")
    told(vcbench("compare", a, b, "--suite", "small", "--variant", "small+1"), '"small+1a2b3c"')
    cell = compared(a, b, "--suite", "small", "--variant", "small+1a2b3c")["vit", 5]
    assert (cell["verdict"], cell["suite"]) == ("worse", "small+1a2b3c")
    assert compared(b, b, "--suite", "small+1a2b3c")["vit", 5]["verdict"] == "identical"


def test_costs_that_changed(stores):
    a, b, *_ = stores
    path = b / "profiles" / f"c{0:015d}" / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"flops": 1_900_000_000}))
    ran = vcbench("compare", a, b)
    assert "cost changed: vit_digits, 10 classes, 16 px: flops 2,000,000,000, now 1,900,000,000" in ran.stdout


def test_the_picture(stores, tmp_path):
    a, b, *_ = stores
    for suffix, start in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")):
        path = tmp_path / f"changes{suffix}"
        contents = []
        for _ in range(2):
            assert vcbench("compare", a, b, "--figure", path).returncode == 0
            contents.append(path.read_bytes())
        assert contents[0] == contents[1] and contents[0].startswith(start)
    told(vcbench("compare", a, b, "--figure", tmp_path / "changes.gif"), "changes.gif", ".svg")


def test_suites_that_train_nothing_have_no_picture(tmp_path):
    store = write_store(tmp_path / "a", {("vit", 5): rows(0.9)})
    listing = store / "suites" / "small.json"
    listing.write_text(json.dumps(json.loads(listing.read_text()) | {"comparisons": [], "trials": []}))
    told(vcbench("compare", store, store, "--figure", tmp_path / "x.svg"), "x.svg", "no cell")


def test_a_suite_that_was_lost_is_a_regression(tmp_path):
    right = {("vit", 5): rows(0.9), ("resnet", 5): rows(0.8, seed=1)}
    a, b = (write_store(tmp_path / name, right) for name in "ab")
    listing = json.loads((a / "suites" / "small.json").read_text())
    (a / "suites" / "other.json").write_text(json.dumps(listing | {"suite": "other"}))
    ran = vcbench("compare", a, b, "--fail-on", "regression")
    assert ran.returncode == 1 and "lost: suite other: run in A and not in B" in ran.stderr
    assert vcbench("compare", a, b, "--suite", "small", "--fail-on", "regression").returncode == 0
    assert vcbench("compare", b, a, "--fail-on", "regression").returncode == 0


def test_a_cell_that_was_lost_is_a_regression(tmp_path):
    right = {("vit", 5): rows(0.9), ("resnet", 5): rows(0.8, seed=1)}
    a = write_store(tmp_path / "a", right)
    b = write_store(tmp_path / "b", {("vit", 5): right["vit", 5]})
    ran = vcbench("compare", a, b, "--fail-on", "regression")
    assert ran.returncode == 1 and "lost: small: main: ResNet-18, 5 per class" in ran.stderr
    assert vcbench("compare", a, b).returncode == 0
    assert vcbench("compare", b, a, "--fail-on", "regression").returncode == 0
