"""Names that strangers chose: none gets out of where it is written, on any way from a store to a reader."""

import csv
import json
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from console import vcbench
from PIL import Image
from small_store import write_store

from bench.data import open_dataset
from bench.escape import csv_text, visible
from bench.files import slug, within
from bench.frames import for_csv
from bench.report.writers.escape import latex

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "x;touch pwned;#",
    "$(touch pwned)`touch pwned`",
    "' ; touch pwned ; '",
    "\\input{secret}\\immediate\\write18{id}%",
    "}\\end{tabular}$^_&#~",
    "a\n```\n\n<b>bold</b>\n\n# Heading",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "--results=/etc",
    "../../outside",
    "a\x00b\x1b[31m\u202ec\ud800",
    "{{ 7 * 7 }}{% raw %}",
    "[x](javascript:alert(1)) ![y](z) | a | b",
    "x" * 300,
]
TOGETHER = [" ".join(PAYLOADS[:7]), PAYLOADS[7], " ".join([PAYLOADS[8], *PAYLOADS[13:18]])]
"""What is written on all ways at once, as rendering a report takes seconds."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store of two models on one size."""
    drawn = np.random.default_rng(0)
    right = {(model, 5): drawn.random((3, 20)) < 0.6 for model in ("vit", "resnet")}
    return write_store(tmp_path_factory.mktemp("whole") / "store", right)


def poisoned(whole, folder, payload):
    """A copy of the store in which the payload is every name that a stranger chooses, at once."""
    store = folder / "store"
    shutil.copytree(whole, store)
    listing = json.loads((store / "suites" / "small.json").read_text())
    key = f"vit {payload}"
    listing |= {name: f"{payload} {name}" for name in ("title", "description")}
    listing["settings"] = [f"comparison.unmatched={payload}"]
    listing["contestants"] = {
        key: listing["contestants"]["vit"] | {"title": payload},
        "resnet": listing["contestants"]["resnet"] | {"recipe": payload},
    }
    listing["comparisons"][0] |= {"name": payload, "unmatched": payload, "recipe": payload}
    listing["comparisons"][0] |= {"contestants": [key, "resnet"], "contrasts": [[key, "resnet"]]}
    for entry in listing["trials"]:
        entry["comparison"] = payload
        entry["contestant"] = key if entry["contestant"] == "vit" else "resnet"
    for path in store.glob("*s/*/record.json"):
        record = json.loads(path.read_text())
        record |= {"title": payload, "machine": payload, "family": payload, "commit": payload}
        record["versions"] = {"torch": f"2/../../../../{payload}"}
        if record["kind"] == "trial":
            record["model"] |= {"title": payload, "family": payload, "weights_source": payload}
            record |= {"recipe": payload, "protocol": payload}
        path.write_text(json.dumps(record))
    names = [payload, *map(str, range(9))]
    (store / "labels" / f"digits-frozen-{'d' * 12}.classes.json").write_text(
        json.dumps({"format": 1, "classes": names})
    )
    (store / "suites" / "small.json").unlink()
    name = re.sub(r"[/\x00-\x1f\u202e\ud800]", " ", f"own {payload}")[:120]
    (store / "suites" / f"{name}.json").write_text(json.dumps(listing | {"suite": name}))
    return name


class Page(HTMLParser):
    """Collects what could run: elements and attributes."""

    def __init__(self, text):
        super().__init__()
        self.found, self.scripts = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        names = {name for name, _ in attributes}
        if tag == "img" or any(name.startswith("on") for name in names):
            self.found.append((tag, attributes))


@pytest.mark.parametrize("payload", TOGETHER, ids=["markup", "lines", "formula"])
def test_a_payload_as_every_name(whole, tmp_path, monkeypatch, payload):
    monkeypatch.chdir(tmp_path)
    name = poisoned(whole, tmp_path, payload)
    before = {path for path in tmp_path.rglob("*")}
    for command in (
        ["report", name, "--out", "out/report", "--for", "paper"],
        ["export", "--format", "timm", "--out", "out/timm"],
        ["export", "--format", "csv", "--out", "out/csv"],
        ["tables"],
    ):
        ran = vcbench(*command, "--results", "store")
        assert ran.returncode == 0, (command, ran.stderr)
    new = {path for path in tmp_path.rglob("*")} - before
    inside = [tmp_path / "out", tmp_path / "store" / "tables", tmp_path / "store" / "ensembles"]
    assert all(any(path.is_relative_to(folder) for folder in inside) for path in new), new
    report = tmp_path / "out" / "report"
    pages = [(report / name).read_text() for name in ("index.html", "appendix.html")]
    documents = [(report / name).read_text() for name in ("report.md", "appendix.md")]
    for page in pages:
        parsed = Page(page)
        # The data of the chooser, if there is one, and the page's own script.
        assert not parsed.found and parsed.scripts <= 2
    assert_commands("".join(pages), "".join(documents), name)
    for document in documents:
        assert_markdown(document)
    for path in (*report.glob("tables/*.tex"), report / "numbers.tex", report / "cite.bib"):
        assert_latex(path.read_text())
    for path in tmp_path.rglob("*.csv"):
        for row in csv.reader(path.open(newline="")):
            for cell in row:
                assert cell == csv_text(cell), (path, cell)
    for path in (*report.glob("*.html"), *report.glob("*.md"), *report.rglob("*.tex")):
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", path.read_text())


def test_payloads_as_names_of_classes_and_files(tmp_path, monkeypatch):
    """What verbs write of images whose folders and files somebody else has named; it can be read again."""
    pytest.importorskip("cleanlab")
    monkeypatch.chdir(tmp_path)
    drawn, classes = np.random.default_rng(0), ["=1+1", "@SUM(1)", "+a", "-3", "b"]
    for name in classes:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(12):
            pixels = drawn.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"={k}.png")
    dataset = open_dataset("folder:photos", None, tmp_path)
    images = len(dataset.splits["test"])
    odds = drawn.dirichlet(np.ones(len(classes)), images)
    monkeypatch.setattr("bench.analysis.suspects.stored_probabilities", lambda *_: (odds, ["a"]))
    for command in (
        ["suspects", "folder:photos", "--out", "suspects"],
        ["duplicates", "folder:photos", "--groups", "photos/groups.csv"],
    ):
        ran = vcbench("data", *command)
        assert ran.returncode == 0, ran.stderr
    for path, names, rows in (
        ("suspects/suspects.csv", ["file", "label", "suggested"], images),
        ("photos/groups.csv", ["path", "label"], len(classes) * 12),
    ):
        table = pd.read_csv(path, dtype=str)
        assert len(table) == rows and set(names) <= set(table)
        assert all(cell == csv_text(cell) for name in table for cell in table[name])
    again = open_dataset("table:photos/groups.csv", None, tmp_path)
    assert again.class_names == sorted(classes) and len(again.labels) == len(classes) * 12


def assert_commands(page, document, name):
    """Every printed command is one command of a shell for each line that begins it."""
    import html

    blocks = [html.unescape(text) for text in re.findall(r"<code>(vcbench .*?)</code>", page, re.DOTALL)]
    blocks += re.findall(r"^(?P<fence>`{3,})sh\n(.*?)\n(?P=fence)$", document, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 4
    for block in blocks:
        text = block if isinstance(block, str) else block[1]
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
        run = subprocess.run(["sh"], input=f"vcbench() {{ :; }}\n{text}\n", text=True, capture_output=True)
        assert run.returncode == 0 and not run.stderr and not Path("pwned").exists(), text
        words = shlex.split(text)
        assert words[0] == "vcbench" and "touch" not in words
    reports = [shlex.split(b if isinstance(b, str) else b[1]) for b in blocks]
    assert any([word for word in words if word == name] for words in reports)
    assert any(f"{name.rpartition('+')[0] or name}.toml" in words for words in reports)


def assert_markdown(document):
    """Outside of code nothing is HTML but what the writer itself writes, and no link leads elsewhere."""
    text = re.sub(r"^(`{3,})sh\n.*?\n\1$", "", document, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r'</?(details|summary)>|<a id="[a-z0-9-]+"></a>', "", text)
    assert not re.search(r"<[a-zA-Z/!]", text)
    for target in re.findall(r"(?<!\\)\]\(([^)]*)\)", text):
        own = r"(figures/|tables/|#)[a-z0-9.-]+|(report|appendix)\.md(#[a-z0-9.-]+)?"
        assert re.fullmatch(own, target), target
    assert "# Heading" not in [line.strip() for line in text.splitlines()]


def assert_latex(text):
    """No command of the payloads, and comments stay on their line."""
    for wrong in ("\\input{", "\\immediate", "\\write", "\\end{tabular}$", "\n\n\n"):
        assert wrong not in text, wrong
    assert text.count("\\begin{") == text.count("\\end{")


def test_numbers_stay_numbers_and_texts_can_be_had_back(tmp_path):
    frame = pd.DataFrame({"x": [-1.5, 2.0], "n": [-1, 2], "t": ["=1+1", "-2.5"], "u": ["a", None]})
    for_csv(frame).to_csv(tmp_path / "t.csv", index=False)
    back = pd.read_csv(tmp_path / "t.csv")
    assert back["x"].tolist() == [-1.5, 2.0] and back["n"].tolist() == [-1, 2]
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == ["-1.5,-1,'=1+1,a", "2.0,2,-2.5,"]
    assert frame["t"].tolist() == ["=1+1", "-2.5"], "the frame itself is as it was"


def test_a_listing_whose_name_turns_text_around_is_refused(whole, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    (store / "suites" / "small.json").rename(store / "suites" / "a\u202eb.json")
    ran = vcbench("status", "--results", store)
    assert ran.returncode == 0 and "is not the name of a suite" in ran.stderr and "\u202e" not in ran.stderr


def test_hidden_characters_are_shown_and_letters_kept():
    assert visible("a\x00\x1b\u202e\ud800b") == "a[U+0000][U+001B][U+202E][U+D800]b"
    kept = "na\u00efve \u65e5\u672c \u05d0\u200f \U0001f469\u200d\U0001f52c\n\t"
    assert visible(kept) == kept


@pytest.mark.parametrize("text", PAYLOADS, ids=lambda text: repr(text)[1:25])
def test_names_of_files_stay_in_their_folder(tmp_path, text):
    for path in (within(tmp_path, text), tmp_path / slug(text)):
        assert path.parent == tmp_path and path.name not in ("", ".", "..")
    assert len(slug(text)) <= 60
    assert "\n" not in latex(text)


def test_long_names_that_begin_alike_are_told_apart():
    assert slug("x" * 300) != slug("x" * 301) and slug("ViT-B/16 (AugReg)") == "vit-b-16-augreg"
