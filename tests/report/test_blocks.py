"""Blocks and how they are written: tables from columns, sections from content, both documents read back."""

from html.parser import HTMLParser

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from bench.report.blocks import (
    Bullets,
    Code,
    Column,
    Details,
    Field,
    Gallery,
    Heading,
    Prose,
    Section,
    Table,
    number,
)
from bench.report.document import APPENDIX, INDEX, Document, Header
from bench.report.writers.html import to_html
from bench.report.writers.markdown import to_markdown

NASTY = [
    "<script>alert(1)</script>",
    "*a* _b_ `c` ~~d~~ **e**",
    "[x](javascript:alert(1)) ![y](z) | more | columns",
    "# no heading",
    "1. no list",
    "- nor this",
    "&lt; $x^2$ \\frac \\* <b>",
    "{{ 7 * 7 }}{% raw %}{# gone #}",
    "a\n```\n\nb",
]
TAGS = {
    *("h1", "h2", "h3", "p", "ul", "li", "a", "strong", "pre", "code", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Reader(HTMLParser):
    """The tags, and the text with each run of white space as one space."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.parts = set(), []
        self.feed(html)
        self.text = " ".join("".join(self.parts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.parts.append(data)


def document(text):
    """Everything but a figure, with a stranger's text wherever there is text."""
    table = Table(
        "t",
        f"caption {text}",
        (Column(text), number("n")),
        ((Field(text, notes=(f"note {text}", "b")), Field("1", spread="± 2")), (Field(""), Field("3"))),
        runs=(text, "run2"),
    )
    section = Section.of(
        "s",
        f"section {text}",
        text,
        Heading(f"heading {text}"),
        Code(text),
        Prose(f"claim {text}", f"lead {text}"),
        Bullets((f"bullet {text}", "second")),
        Details.of(f"summary {text}", f"inner {text}", table),
    )
    header = Header("suite", f"title {text}", text, (("fact", text), ("other", "b")))
    return Document(
        header, [section], [Section.of("more", f"more {text}", Code(text))], lambda ids: f"run {text}"
    )


@pytest.mark.parametrize("text", NASTY)
def test_markdown_reads_back_as_it_was_written(text):
    """By another reader of Markdown: the text comes back, and no markup but ours."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    html = "".join(reader.render(to_markdown(document(text), file)) for file in (INDEX, APPENDIX))
    page, shown = Reader(html), " ".join(text.split())
    assert page.tags == TAGS
    for start in (
        "title",
        "section",
        "heading",
        "claim",
        "lead",
        "bullet",
        "summary",
        "inner",
        "caption",
        "note",
        "run",
        "fact:",
    ):
        assert f"{start} {shown}" in page.text, start
    assert "Table 1." in page.text and "1 ± 2" in page.text and "3" in page.text


@pytest.mark.parametrize("text", NASTY)
def test_the_page_reads_back_as_it_was_written(text):
    page = Reader("".join(to_html(document(text), file) for file in (INDEX, APPENDIX)))
    shown = " ".join(text.split())
    for start in (
        "title",
        "section",
        "heading",
        "claim",
        "lead",
        "bullet",
        "summary",
        "inner",
        "caption",
        "note",
        "run",
    ):
        assert f"{start} {shown}" in page.text, start
    assert not page.tags & {"em", "img"}


def test_a_table_is_made_from_what_its_columns_show():
    columns = (
        Column("Name", lambda row: row[0]),
        number("Score", lambda row: (str(row[1]), "0.5" if row[1] > 1 else "")),
        Column("Notes", lambda row: Field(notes=(row[2],)), under="Name"),
    )
    items = iter([("a", 1, "x"), ("a", 2, "y"), ("b", 3, "x"), ("a", 4, "y")])
    table = Table.of("t", "c", columns, items, group_by=lambda row: row[0], runs=lambda row: (row[2], "z"))
    assert [[(field.text, field.spread, field.notes) for field in row] for row in table.rows] == [
        [("a", "", ()), ("1", "", ()), ("", "", ("x",))],
        [("a", "", ()), ("2", "± 0.5", ()), ("", "", ("y",))],
        [("b", "", ()), ("3", "± 0.5", ()), ("", "", ("x",))],
        [("a", "", ()), ("4", "± 0.5", ()), ("", "", ("y",))],
    ]
    assert table.groups == {0, 2, 3} and table.runs == ("x", "z", "y")
    named = Table.of("t", "c", [Column("A"), number("B")], [{"A": "a", "B": ("1", "2"), "other": 0}])
    assert named.rows == ((Field("a"), Field("1", spread="± 2")),)
    assert Table.of("t", "c", columns, [], runs=pd.Series(["r", "r"])).runs == ("r",)
    assert columns[0].on(lambda row: row[1]).show((1, "cd")).text == "c"


def test_content_is_flattened_in_order():
    nothing = [Gallery.of([None]), Table("t", "c", (), ()), Details.of("s", None), Bullets(()), None]
    blocks = [Heading("h"), (text for text in ("a", "b")), nothing, [[], ["c", [Code("d")]]]]
    section = Section.of("s", "S", "first", blocks)
    assert section.blocks == (Prose("first"), Heading("h"), Prose("a"), Prose("b"), Prose("c"), Code("d"))
    assert Section.measured("s", "S", "how to read it", "a").blocks == (Prose("how to read it"), Prose("a"))
    assert Section.measured("s", "S", "how to read it", nothing).blocks == ()


def test_numbers_files_and_each_set_of_runs_once():
    behind = ("xy", "z", "yx", "")
    a, b, c, d = (Table(name, "c", (), ((),), runs=runs) for name, runs in zip("abcd", behind, strict=True))
    page, appendix = Section.of("s", "S", a, Details.of("d", b)), Section.of("t", "T", c, d)
    made = Document(Header("s", "S", "", ()), [page], [appendix], "".join)
    assert [made.label(one) for one in (a, b, c, d)] == ["Table 1", "Table 2", "Table 3", "Table 4"]
    assert made.files == {"s": INDEX, "table-a": INDEX, "table-b": INDEX} | dict.fromkeys(
        ("t", "table-c", "table-d"), APPENDIX
    )
    assert made.behind == [(("x", "y"), [a, c]), (("z",), [b])]
    assert [made.entry(one) for one in (a, b, c, d)] == [1, 2, 1, None]


def test_the_name_of_a_table_is_safe_as_a_file_and_an_address():
    for name in ("", "A", "a b", "../a", "a" * 241):
        with pytest.raises(ValueError, match="no name for a table or figure"):
            Table(name, "c", (), ())
