"""Other people's numbers: where they are read from, and what may stand beside them."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from report.make_store import make_store, true_top1

from bench.errors import InputError
from bench.report.blocks import Table, walk
from bench.report.evidence import gather
from bench.report.literature import COLUMNS, literature_file, read_literature
from bench.report.sections.beside import beside
from bench.store.run_store import RunStore

ROOT = Path(__file__).parent.parent.parent
ROW = {
    "model": "ResNet-18",
    "pretraining": "none (from scratch)",
    "input_px": "32",
    "dataset": "digits",
    "train_images": "800",
    "metric": "top1",
    "value": "90.5",
    "protocol": "200 epochs",
    "source": "A paper, Table 1",
    "status": "confirmed",
}


def write(path, *changes):
    pd.DataFrame([ROW | change for change in changes], columns=list(COLUMNS)).to_csv(path, index=False)


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "results" / "published", shots=(5, None))


def table_of(store):
    """The table of published accuracies; None where there is nothing comparable."""
    section = beside(gather(RunStore(store), "tiny"))
    found = walk(section.blocks) if section else ()
    return next((block for block in found if isinstance(block, Table)), None)


def cells(table):
    return [{c.title: field for c, field in zip(table.columns, row, strict=True)} for row in table.rows]


def test_the_published_file_is_found_from_both_stores():
    expected = ROOT / "results" / "literature.csv"
    assert literature_file(ROOT / "results") == literature_file(ROOT / "results" / "published") == expected
    table = read_literature(expected)
    assert {row["status"] for row in table} == {"confirmed"} and all(
        0 <= row["value"] <= 100 for row in table
    )
    assert all(row["source"] for row in table) and "same" not in {row["protocol"] for row in table}


def test_a_store_without_the_file_has_nothing_beside_it(store):
    assert table_of(store) is None


def test_ours_theirs_and_the_difference(store):
    write(store.parent / "literature.csv", {}, {"status": "recall", "value": "99"})
    (row,) = cells(table_of(store))
    ours = 100 * sum(true_top1("resnet", None, r) for r in range(3)) / 3
    assert row["Ours"].text == f"{ours:.1f}" and row["Theirs"].text == "90.5"
    assert row["Difference (points)"].text.replace("\u2212", "-") == f"{ours - 90.5:+.1f}"
    assert row["What differs"].text == "our recipe: scratch (shared); their protocol: 200 epochs"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "ResNet-50"},
        {"pretraining": "ImageNet-1k"},
        {"train_images": "5000"},
        {"train_images": "600"},
        {"train_images": ""},
        {"input_px": "64"},
    ],
)
def test_what_is_not_comparable_is_left_out(store, change):
    write(store.parent / "literature.csv", change)
    assert table_of(store) is None


def test_how_many_may_stand_beside_ours_is_said(store):
    write(store / "literature.csv", {"input_px": "64"}, {}, {"dataset": "cifar100"})
    text = beside(gather(RunStore(store), "tiny")).blocks[1].text
    assert text.startswith("Of 2 published results on these data sets, 1 can stand beside ours")
    write(store / "literature.csv", {"input_px": "64"})
    text = beside(gather(RunStore(store), "tiny")).blocks[0].text
    assert text.startswith("Of 1 published result on these data sets, none is of the same network, ")


def test_few_shots_stand_beside_few_shots(store):
    write(store / "literature.csv", {"train_images": "50"})
    (row,) = cells(table_of(store))
    assert row["Ours"].text != "not measured"


def test_other_datasets_are_left_out(store):
    write(store / "literature.csv", {"dataset": "cifar100"})
    assert table_of(store) is None


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    write(tmp_path / "literature.csv", {"metric": "topone"})
    with pytest.raises(InputError, match='metric "topone"'):
        read_literature(tmp_path / "literature.csv")
    write(tmp_path / "literature.csv", {"value": "ninety"})
    with pytest.raises(InputError, match=r'line 2: value "ninety": input should be a valid number'):
        read_literature(tmp_path / "literature.csv")
    (tmp_path / "literature.csv").write_text("model,value\n")
    with pytest.raises(InputError, match="columns pretraining"):
        read_literature(tmp_path / "literature.csv")


def test_the_manifest_names_it(store, tmp_path):
    from bench.report.manifest import manifest

    evidence = gather(RunStore(store), "tiny")
    assert manifest(evidence, tmp_path, [])["literature"] is None
    shutil.copy(ROOT / "results" / "literature.csv", store)
    assert len(manifest(evidence, tmp_path, [])["literature"]) == 64
