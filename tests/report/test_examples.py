"""Names of classes and example images: from the store and on request, escaped, and never where git looks."""

import csv
import json
import subprocess

import numpy as np
import pytest
from console import told, vcbench
from report.make_store import CLASSES, TEST_IMAGES, make_store

from bench.report.examples import only_first
from bench.report.render import render
from bench.store.run_store import RunStore

NASTY = ["<script>alert(1)</script>", "100%_of & more", '=1+1,"quoted"', "a|b`c`", "$x^2$ \\input{y}"]
NAMES = NASTY + [f"flower {number}" for number in range(len(NASTY), CLASSES)]
# In a CSV file, text that a spreadsheet would run has an apostrophe in front.
CSV_NAMES = [f"'{name}" if name.startswith("=") else name for name in NAMES]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """With class names in the store and pictures whose first pixel holds their place."""
    root = tmp_path_factory.mktemp("examples")
    store = RunStore(make_store(root / "store", shots=(5,)))
    labels = np.arange(TEST_IMAGES) % CLASSES
    store.write_labels("digits", "official", "d" * 64, labels, None, NAMES)
    seen = []

    def pictures(record):
        assert record.data.dataset == "digits"
        return lambda place: seen.append(place) or np.full((9, 7, 3), place, np.uint8)

    render(store, "tiny", root / "out", pictures, for_paper=True)
    return root / "out", seen


def test_classes_by_name(report):
    text = (report[0] / "appendix.md").read_text()
    section = text.split("## Where each model fails")[1].split("\n## ")[0]
    assert "| flower 7 |" in section and "class 7" not in section
    with open(report[0] / "tables" / "classes-from-scratch.csv", newline="") as file:
        assert {row["Class"] for row in csv.DictReader(file)} == set(CSV_NAMES)


def test_names_of_classes_break_nothing(report):
    out, _ = report
    html = (out / "appendix.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "<script>alert" not in html
    assert "<script" not in (out / "appendix.md").read_text()
    for path in (out / "figures").glob("*.svg"):
        assert "<script" not in path.read_text()
    table = (out / "tables" / "classes-from-scratch.tex").read_text()
    assert r"100\%\_of \& more" in table and r"\$x\textasciicircum{}2\$" in table
    assert r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}" in table


def test_images_are_those_that_one_of_a_pair_has_right(report):
    out, seen = report
    with open(out / "figures" / "images-from-scratch-resnet-not-deit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert 1 <= len(rows) <= 8 and {int(row["image"]) for row in rows} <= set(seen)
    for row in rows:
        label = int(row["image"]) % CLASSES
        assert (row["true"], row["taken_for"]) == (CSV_NAMES[label], CSV_NAMES[(label + 1) % CLASSES])
    assert "Example images" in (out / "appendix.html").read_text()
    assert (
        "figures/images-from-scratch-resnet-not-deit.svg"
        in json.loads((out / "MANIFEST.json").read_text())["files"]
    )


def test_only_first_against_brute_force():
    random = np.random.default_rng(0)
    a, b = random.random((2, 3, 300)) < 0.6
    every = [n for n in range(300) if all(a[:, n]) and not any(b[:, n])]
    assert list(only_first(a, b, 1000)) == every
    some = list(only_first(a, b, 4))
    assert len(some) == 4 and set(some) <= set(every) and (some[0], some[-1]) == (every[0], every[-1])
    assert len(only_first(a, a, 4)) == 0


def test_pictures_do_not_go_where_git_would_commit_them(tmp_path):
    store = make_store(tmp_path / "store", shots=(5,))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    ran = vcbench("report", "tiny", "--results", store, "--with-images", "--out", tmp_path / "out")
    told(ran, "git does not ignore it")
    assert not (tmp_path / "out").exists()


def test_images_of_another_copy_are_refused(tmp_path):
    changes = {"split_id": "frozen"}
    store = make_store(tmp_path / "store", shots=(5,), data=changes, comparison=changes)
    (store / "labels" / f"digits-official-{'d' * 12}.parquet").rename(
        store / "labels" / f"digits-frozen-{'d' * 12}.parquet"
    )
    ran = vcbench("report", "tiny", "--results", store, "--with-images", "--out", tmp_path / "out")
    told(ran, "not the copy that the runs were tested on")
