"""Trials taken out of a store: their file, and the table that tells of them."""

import csv

import pandas as pd
import pytest
from report.make_store import make_store

from bench.errors import StoreError
from bench.report.blocks import Table, walk
from bench.report.evidence import gather
from bench.report.sections.looks import looks_at_test
from bench.report.sections.protocol import protocol
from bench.store.run_store import RunStore
from bench.store.withdrawn import WITHDRAWN, read_withdrawn

NAME = "withdrawn.csv"
ROW = {
    "suite": "tiny",
    "comparison": "digits",
    "contestant": "vit",
    "model": "vit_digits",
    "title": "ViT-Ti/4",
    "recipe": "scratch",
    "precision": "fp32",
    "dataset": "digits",
    "split_id": "frozen",
    "shots": "5",
    "draw_seed": "0",
    "seed": "0",
    "outcome": "finished",
    "top1": "0.125",
    "test_evaluations": "1",
    "finished": "2026-01-01T00:00:00+00:00",
    "removed": "2026-01-02",
    "commit": "0123456789abcdef",
    "reason": "the learning rate was wrong",
    "run": "f" * 16,
}


def write(root, *rows, columns=tuple(ROW)):
    with (root / NAME).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def test_without_a_file_there_are_none(tmp_path):
    assert read_withdrawn(tmp_path / NAME).empty and list(read_withdrawn(tmp_path / NAME)) == list(WITHDRAWN)


def test_numbers_gaps_and_names_like_gaps_are_read_as_written(tmp_path):
    write(tmp_path, ROW, {**ROW, "shots": "", "top1": "", "title": "NA", "dataset": "None"})
    first, second = read_withdrawn(tmp_path / NAME).to_dict("records")
    assert (first["shots"], first["top1"], first["test_evaluations"]) == (5, 0.125, 1)
    assert pd.isna(second["shots"]) and pd.isna(second["top1"])
    assert (second["title"], second["dataset"]) == ("NA", "None")


@pytest.mark.parametrize(
    ("column", "value"), [("shots", "five"), ("top1", "12 %"), ("test_evaluations", "1.5")]
)
def test_what_is_no_number_is_named(tmp_path, column, value):
    write(tmp_path, ROW, {**ROW, column: value})
    with pytest.raises(StoreError, match=f"{NAME}: column {column}: '{value}' should be a number"):
        read_withdrawn(tmp_path / NAME)


def test_a_column_that_is_lacking_is_named(tmp_path):
    write(tmp_path, ROW, columns=[name for name in ROW if name not in ("top1", "reason")])
    with pytest.raises(StoreError, match="should have the columns top1, reason"):
        read_withdrawn(tmp_path / NAME)


def test_bytes_that_are_no_text_are_told(tmp_path):
    (tmp_path / NAME).write_bytes(b"suite\n\xff\n")
    with pytest.raises(StoreError, match="cannot be read"):
        read_withdrawn(tmp_path / NAME)


def test_the_protocol_tells_their_results_and_counts_their_looks(tmp_path):
    """18 trials of the store looked once each; the withdrawn ones 3 times in all."""
    make_store(tmp_path, shots=(5, None))
    other = {**ROW, "seed": "1", "top1": "0.25", "test_evaluations": "2"}
    gone = {**ROW, "suite": "another", "test_evaluations": "100"}
    write(tmp_path, ROW, other, {**ROW, "shots": "", "top1": "", "test_evaluations": "0", "commit": ""}, gone)
    evidence = gather(RunStore(tmp_path), "tiny")
    tables = {b.name: b for b in walk(protocol(evidence).blocks) if isinstance(b, Table)}
    few, whole = ([field.text for field in row] for row in tables["withdrawn"].rows)
    assert few[1:5] == ["ViT-Ti/4", "5", "12.5 and 25.0", "3"]
    assert whole[1:5] == ["ViT-Ti/4", "all", "diverged", "0"]
    assert few[6] == "the learning rate was wrong (2026-01-02, commit 012345678)"
    assert whole[6] == "the learning rate was wrong (2026-01-02)"
    assert "3 times more in 3 trials that were stored and later withdrawn: 21 times in all" in looks_at_test(
        evidence
    )
