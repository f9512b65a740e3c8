"""Images that a CSV or Parquet file lists."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data import open_dataset
from bench.errors import DataError, InputError


def fill(root, rows):
    """A picture for each path, all of them different."""
    for number, path in enumerate(rows["path"]):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        color = (number % 256, number // 256, 7)
        Image.new("RGB", (6, 5), color).save(root / path)


def frame(count=20, labels=("10", "2", "NA")):
    names = [f"images/{i:02d}.png" for i in range(count * len(labels))]
    return pd.DataFrame({"path": names, "label": [labels[i % len(labels)] for i in range(len(names))]})


def opened(path, split_id=None, store=None):
    return open_dataset(f"table:{path}", split_id, path.parent, store=store)


@pytest.fixture
def rows(tmp_path):
    table = frame()
    fill(tmp_path, table)
    return table


def written(rows, path):
    rows.to_parquet(path) if path.suffix == ".parquet" else rows.to_csv(
        path, index=False, sep="\t" if path.suffix == ".tsv" else ","
    )
    return path


@pytest.mark.parametrize("name", ["birds.csv", "birds.tsv", "birds.parquet"])
def test_rows_are_images(rows, tmp_path, name):
    dataset = opened(written(rows.sample(frac=1, random_state=3), tmp_path / name))
    assert dataset.name == "birds" and dataset.split_id == "stratified-70-10-20"
    assert dataset.class_names == ["10", "2", "NA"] and dataset.copy == "own data"
    listed = {dataset.source(i): dataset.class_names[label] for i, label in enumerate(dataset.labels)}
    assert listed == {
        str(tmp_path / path): label for path, label in zip(rows["path"], rows["label"], strict=True)
    }
    assert dataset.counts() == {"train": 42, "val": 6, "test": 12}
    for split, each in (("train", 14), ("val", 2), ("test", 4)):
        assert np.bincount(dataset.split_labels(split)).tolist() == [each] * 3
    assert dataset.read(4)[0, 0].tolist() == [4, 0, 7]
    assert dataset.warnings == ()


def test_neither_form_nor_order_changes_the_data_but_labels_do(rows, tmp_path):
    first = opened(written(rows, tmp_path / "a.csv"))
    numbers = rows.replace({"label": {"NA": "3"}}).astype({"label": int})
    second = opened(written(rows.iloc[::-1], tmp_path / "b.parquet"))
    assert first.fingerprint == second.fingerprint
    assert first.splits["test"].tolist() == second.splits["test"].tolist()
    third = opened(written(numbers, tmp_path / "c.parquet"))
    assert third.class_names == ["10", "2", "3"] and third.fingerprint != first.fingerprint


@pytest.mark.parametrize("kind", ["Int64", "category"])
def test_whole_numbers_of_parquet_may_have_gaps(rows, tmp_path, kind):
    numbers = [i // 4 if i % 5 else None for i in range(60)]
    grouped = rows.assign(group=pd.array(numbers, dtype="Int64").astype(kind))
    as_csv, as_parquet = (opened(written(grouped, tmp_path / name)) for name in ("a.csv", "a.parquet"))
    assert as_parquet.fingerprint == as_csv.fingerprint
    unlabelled = rows.assign(label=pd.array(numbers, dtype="Int64").astype(kind))
    for name in ("b.csv", "b.parquet"):
        with pytest.raises(DataError, match=r"12 image\(s\) have no label"):
            opened(written(unlabelled, tmp_path / name))


def test_splits_of_its_own(rows, tmp_path):
    split = ["train" if i < 30 else "Validation" if i < 45 else "test" for i in range(60)]
    dataset = opened(written(rows.assign(split=split), tmp_path / "a.csv"))
    assert dataset.split_id == "given" and dataset.counts() == {"train": 30, "val": 15, "test": 15}
    assert dataset.splits["val"].tolist() == list(range(30, 45))
    two = rows.assign(split=["test" if i >= 45 else "train" for i in range(60)])
    carved = opened(written(two, tmp_path / "b.csv"), "given-val-10")
    assert carved.counts() == {"train": 39, "val": 6, "test": 15}
    assert carved.splits["test"].tolist() == list(range(45, 60))


def test_groups_are_on_one_side(rows, tmp_path):
    grouped = rows.assign(group=[f"p{i // 4}" for i in range(60)])
    path = written(grouped, tmp_path / "patients.csv")
    dataset = opened(path, store=tmp_path / "results")
    assert dataset.split_id == "grouped-70-10-20"
    assert sum(dataset.counts().values()) == 60
    sides = {}
    for split, positions in dataset.splits.items():
        assert set(dataset.labels[positions].tolist()) == {0, 1, 2}
        for i in positions.tolist():
            assert sides.setdefault(i // 4, split) == split
    assert any("12 test images come from 3 groups" in line for line in dataset.warnings)
    for store in (tmp_path / "results", None):
        again = opened(path, store=store)
        assert all(again.splits[s].tolist() == dataset.splits[s].tolist() for s in dataset.splits)
    with pytest.raises(InputError, match='its split id is "grouped-70-10-20" or "kfold-K", not "stra'):
        opened(path, "stratified-70-10-20")


def test_a_group_on_both_sides_of_a_split_is_refused(rows, tmp_path):
    split = ["train" if i < 30 else "test" for i in range(60)]
    both = rows.assign(split=split, group=[str(i % 30) if i in (3, 33) else "" for i in range(60)])
    with pytest.raises(DataError, match="03.png and 33.png are of one group and in different splits"):
        opened(written(both, tmp_path / "a.csv"))
    right = both.assign(group=[str(i // 30) for i in range(60)])
    assert opened(written(right, tmp_path / "b.csv")).counts() == {"train": 30, "val": 0, "test": 30}


def test_groups_that_differ_in_case_or_spaces_are_named(rows, tmp_path):
    spelled = [f"p {i // 4}" if i % 2 else f"P  {i // 4}" for i in range(40)] + [""] * 19 + ["q"]
    dataset = opened(written(rows.assign(group=spelled), tmp_path / "a.csv"))
    (line,) = [line for line in dataset.warnings if "differ in case" in line]
    assert line.startswith("a: 20 groups differ in case or spaces alone; ")
    assert line.endswith("(first: 'P  0', 'p 0')") and len(set(dataset.groups.tolist())) == 40


def change(**columns):
    return lambda rows: rows.assign(**columns)


def cell(column, row, value):
    def changed(rows):
        rows = rows.copy()
        rows.loc[row, column] = value
        return rows

    return changed


SPLIT = ["train"] * 30 + ["test"] * 30


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda rows: rows.rename(columns={"label": "labels"}), "no column 'label'; did you mean \"labels\""),
        (lambda rows: rows.iloc[:0], "has no rows"),
        (cell("path", 7, "gone.png"), "1 of 60 paths are no files .first: .*gone.png"),
        (lambda rows: pd.concat([rows, rows.iloc[[5]]]), "05.png is in more than one row"),
        (cell("label", 4, ""), "1 image.s. have no label .first: 04.png"),
        (cell("label", 4, "2 "), "a label with spaces around it .first: 04.png.; remove"),
        (lambda rows: cell("group", 4, "p3 ")(rows.assign(group="p3")),
         "1 image.s. have a group with spaces around it .first: 04.png.; remove"),
        (change(label="bird"), r"1 class\(es\); at least 2"),
        (cell("label", 59, "rare"), "class 'rare' has too few images"),
        (change(split="train"), "no image has the split 'test'"),
        (change(split=SPLIT[:-1] + ["later"]), "none of train, val and test .first: 59.png"),
        (lambda rows: cell("label", 59, "new")(rows.assign(split=SPLIT)),
         r"'new' is in test \(1 images\) but not in train"),
        (lambda rows: rows.assign(split=SPLIT, label=["a"] * 30 + [""] * 30), "30 image.s. have no label"),
        (change(Split="train"), "column 'Split' would not be read; name it 'split'"),
        (change(groups="a"), "column 'groups' would not be read; name it 'group'"),
        (lambda rows: rows.assign(**{"label.1": rows["label"]}), "has two columns 'label'; keep one"),
        (change(group="one"), "class '10' has too few images to be divided .*at least 3 groups"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_one_line(rows, tmp_path, wrong, message):
    with pytest.raises(DataError, match=message) as caught:
        opened(written(wrong(rows), tmp_path / "a.csv"))
    assert "\n" not in str(caught.value) and str(tmp_path / "a.csv") in str(caught.value)


def test_files_that_are_no_tables(tmp_path):
    for name, content, message in (
        ("a.txt", b"path,label\n", "should end in one of"),
        ("a.parquet", b"no parquet", "cannot be read"),
        ("a.csv", b"", "cannot be read as a table"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            opened(tmp_path / name)
    with pytest.raises(DataError, match="is missing"):
        opened(tmp_path / "b.csv")
    pd.DataFrame({"path": ["a.txt"], "label": [1.5]}).to_parquet(tmp_path / "f.parquet")
    with pytest.raises(DataError, match="column 'label' holds 1.5"):
        opened(tmp_path / "f.parquet")


def test_no_field_of_a_row_is_dropped(rows, tmp_path):
    lines = written(rows, tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join([lines[0], *(f"more,{line}" for line in lines[1:])]))
    with pytest.raises(DataError, match="b.csv: has rows with more fields than its first line names"):
        opened(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("\n".join([f"{lines[0]},label", *(f"{line},x" for line in lines[1:])]))
    with pytest.raises(DataError, match="c.csv: has two columns 'label'"):
        opened(tmp_path / "c.csv")
    other = rows.assign(site="north", photographer="x")
    assert opened(written(other, tmp_path / "d.csv")).class_names == ["10", "2", "NA"]


def test_names_of_known_datasets_are_not_taken(tmp_path):
    written(frame(1), tmp_path / "digits.csv")
    with pytest.raises(InputError, match="rename digits.csv"):
        opened(tmp_path / "digits.csv")


def test_a_thousand_classes_of_three(tmp_path):
    rows = frame(3, tuple(f"{i:04d}" for i in range(1000)))
    fill(tmp_path, rows)
    dataset = opened(written(rows, tmp_path / "many.csv"))
    assert dataset.counts() == {"train": 1000, "val": 1000, "test": 1000}


def test_of_classes_that_differ_in_case_alone_is_told(rows, tmp_path):
    rows["label"] = ["Cat" if i % 2 else "cat" for i in range(60)]
    (line,) = opened(written(rows, tmp_path / "a.csv")).warnings
    assert "'Cat', 'cat' differ in case" in line
