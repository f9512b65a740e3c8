"""Stores of strangers are read, tabulated and merged, whatever stands in them; names stay what they are."""

import contextlib
import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import markdown_it
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from security.fuzzing import changed_bytes, changed_data, fuzz
from small_store import run_id, write_store

from bench.cli.common import print_columns
from bench.errors import BenchError, brief
from bench.escape import FORMULA, INVISIBLE, csv_text, visible
from bench.files import slug, within
from bench.report.writers.escape import latex
from bench.report.writers.markdown import escape, fence, in_html, paragraph
from bench.store.merge import merge
from bench.store.run_store import RunStore
from bench.store.withdrawn import WITHDRAWN, read_withdrawn
from bench.tables.tables import write_tables

RUN = run_id("vit", 5, 0)
FILES = [
    f"runs/{RUN}/record.json",
    "profiles/c000000000000000/record.json",
    "suites/small.json",
    "labels/digits-frozen-dddddddddddd.classes.json",
    "store.json",
    "withdrawn.csv",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a store, to which each example does something else."""
    folder = tmp_path_factory.mktemp("stores")
    write_store(
        folder / "theirs", {("vit", 5): np.ones((1, 40), bool), ("resnet", 5): np.zeros((1, 40), bool)}
    )
    (folder / "theirs" / FILES[3]).write_text(json.dumps({"format": 1, "classes": list("0123456789")}))
    with (folder / "theirs" / "withdrawn.csv").open("w", newline="") as file:
        csv.writer(file).writerows([WITHDRAWN, ["1"] * len(WITHDRAWN)])
    return folder


def changed_content(before, suffix):
    """A file of JSON or CSV in which some values are others."""
    if suffix == ".json":
        return changed_data(json.loads(before)).map(lambda value: json.dumps(value).encode())
    rows = list(csv.DictReader(io.StringIO(before.decode())))
    return changed_data(rows).map(as_csv)


def as_csv(rows):
    """As somebody who wants harm would write it: each row with the columns that it has."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows if isinstance(rows, list) else [rows]:
        writer.writerows([row, row.values()] if isinstance(row, dict) else [[row]])
    return text.getvalue().encode(errors="replace")


def assert_withdrawn(path):
    """What was taken over can be read, and no spreadsheet runs it."""
    read_withdrawn(path)
    for row in csv.reader(path.open(newline="")) if path.exists() else []:
        assert row == list(map(csv_text, row))


@fuzz(20)
@given(data=st.data())
def test_a_store_of_strangers(folder, data):
    theirs, ours = folder / "theirs", folder / "ours"
    path = theirs / data.draw(st.sampled_from(FILES))
    before = path.read_bytes()
    text = data.draw(st.one_of(changed_content(before, path.suffix), changed_bytes(before)))
    around = {item.name for item in folder.iterdir()}
    try:
        path.write_bytes(text)
        for action in (
            lambda: list(merge(RunStore(theirs), RunStore(ours))),
            lambda: write_tables(RunStore(ours)),
        ):
            try:
                action()
            except BenchError as error:
                assert str(error) and "\n" not in brief(str(error))
        assert {item.name for item in folder.iterdir()} <= around | {"ours"}
        if ours.exists():
            assert {item.name for item in ours.iterdir()} <= {
                *("runs", "profiles", "labels", "suites", "splits", "tables", "store.json", ".locks"),
                *("ensembles.parquet", "withdrawn.csv"),
            }
            assert_withdrawn(ours / "withdrawn.csv")
    finally:
        path.write_bytes(before)
        shutil.rmtree(ours, ignore_errors=True)


SIGNS = [*"<>&\"'`$\\{}_^#~%|*[]()=+-@.,;:/ \t\n\r0a", "\x00", "\u202e", "\ud800", "..", "\u2028"]
MARKUP = [
    "<b>",
    "<script>",
    "<img src=x onerror=y>",
    "</p>",
    "](javascript:x)",
    "![a](b)",
    "<!--",
    "http://x.org",
]
NAMES = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(SIGNS + MARKUP), max_size=12).map("".join),
)


@fuzz(400)
@given(name=NAMES)
def test_names(name):
    shown = visible(name)
    assert not INVISIBLE.search(shown) and visible(shown) == shown
    for path in (within(Path("folder"), name), Path("folder") / slug(name)):
        assert path.parent == Path("folder") and path.name not in ("", ".", "..") and "\0" not in path.name
    written = csv_text(name)
    assert not written.startswith(FORMULA) or re.fullmatch(r"\s*[-+]?[-+\w.]+\s*", written)
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([csv_text(shown), "end"])
    (row,) = csv.reader(io.StringIO(line.getvalue(), newline=""))
    assert row == [csv_text(shown), "end"]


@fuzz(200)
@given(name=NAMES)
def test_names_on_a_terminal(name):
    for function in (brief, print_columns_of):
        shown = function(name)
        assert not INVISIBLE.search(shown) and shown.count("\n") <= 2


def print_columns_of(name):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        print_columns([(name, 1)], ("NAME", "COUNT"))
    return out.getvalue()


@fuzz(300)
@given(name=NAMES)
def test_names_in_latex(name):
    text = latex(name)
    assert "\n" not in text and "\r" not in text
    commands = re.findall(r"\\([a-zA-Z]+|.)", text)
    assert set(commands) <= {
        *(
            "textbackslash",
            "textbraceleft",
            "textbraceright",
            "textasciitilde",
            "textasciicircum",
            "textless",
        ),
        *("textgreater", "textbar", "char", "pm", "cdot", "times", "rightarrow", "leq", "geq"),
        *"$&#_%,",
    }
    bare = re.sub(r"\\.", "", text)
    assert not set("%#&~^_") & set(bare) and bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [name for name, _ in attributes]))

    def handle_data(self, data):
        self.text += data


PAGE = jinja2.Environment(autoescape=True).from_string('<p title="{{ name }}">{{ name }}</p>')


@fuzz(300)
@given(name=NAMES.map(visible))
def test_names_in_html_and_markdown(name):
    assert Tags(PAGE.render(name=name)).tags == [("p", ["title"])]
    markdown = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    for text in (f"x {escape(name)} y", f"{paragraph(name)} y", f"<summary>{in_html(name)}</summary>"):
        read = Tags(markdown.render(text))
        assert {tag for tag, _ in read.tags} <= {"p", "summary"}, (text, read.tags)
    row = markdown.render(f"| a | b |\n|---|---|\n| {escape(name)} | end |\n")
    assert [tag for tag, _ in Tags(row).tags].count("td") == 2
    code = Tags(markdown.render(f"{fence(name)}\n{name}\n{fence(name)}\n"))
    assert {tag for tag, _ in code.tags} <= {"pre", "code"}
