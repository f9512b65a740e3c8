"""The report as files: complete, self-contained, escaped, the same every time."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from pypdf import PdfReader
from report.make_store import make_store, run_id, true_top1

from bench.errors import InputError
from bench.report.commands import RerunCommands
from bench.report.evidence import gather
from bench.report.render import render
from bench.report.writers.markdown import escape
from bench.store.run_store import RunStore

ROOT = Path(__file__).parent.parent.parent
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags close in order; collects ids, addresses and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def made(root: Path, **changes) -> Path:
    store = RunStore(make_store(root / "store", **changes))
    render(store, "tiny", root / "out", for_paper=True)
    return root / "out"


def rows(markdown: str, section: str, start: str) -> list[str]:
    """The rows of a section's tables that begin so."""
    body = markdown.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [line for line in body.splitlines() if line.startswith(start)]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("report")
    return made(root, shots=(5, 20, None), diverged=(("vit", 5, 1),), missing=(("resnet", None, 2),))


def test_files(report):
    # Of every figure of the text four files, and no other figure.
    text = "".join((report / name).read_text() for name in ("report.md", "appendix.md"))
    figures, tables = (set(re.findall(rf"{folder}/([\w.-]+)\.csv", text)) for folder in ("figures", "tables"))
    assert {"forest-from-scratch", "answer-digits"} <= figures
    expected = {f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png", "pdf", "csv")}
    found = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    assert "accuracy-from-scratch" in tables
    expected |= {f"tables/{name}.{kind}" for name in tables for kind in ("csv", "tex")}
    expected |= {"index.html", "appendix.html", "report.md", "appendix.md", "MANIFEST.json", "cite.bib"}
    assert found == expected | {"numbers.tex"}


def test_only_a_report_for_a_paper_has_pictures_and_latex(tmp_path):
    store = RunStore(make_store(tmp_path / "store", shots=(5,)))
    written = render(store, "tiny", tmp_path / "out")
    assert {path.suffix for path in written} == {".html", ".md", ".svg", ".csv", ".bib", ".json"}
    assert set(written) == {path for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_tables_as_csv_have_the_numbers_in_plain_signs(report):
    table = pd.read_csv(report / "tables" / "accuracy-from-scratch.csv")
    row = table[(table["Images per class"] == "20") & (table["Model"] == "DeiT-Ti/4")].iloc[0]
    values = pd.Series([true_top1("deit", 20, replicate) for replicate in range(3)])
    assert row["Top-1 (%)"] == pytest.approx(100 * values.mean(), abs=0.06)
    assert row["Top-1 (%), spread"] == pytest.approx(100 * values.std(), abs=0.06)
    contrasts = pd.read_csv(report / "tables" / "contrasts-from-scratch.csv")
    assert (contrasts["Difference (points)"].astype(float) < 0).any()


def test_page_is_well_formed_and_self_contained(report):
    pages = {name: Page((report / name).read_text()) for name in ("index.html", "appendix.html")}
    ids = {name: [attrs["id"] for _, attrs in page.tags if "id" in attrs] for name, page in pages.items()}
    for name, page in pages.items():
        assert len(ids[name]) == len(set(ids[name]))
        for tag, attrs in page.tags:
            assert tag not in ("img", "iframe")
            for attribute in ("href", "src", "xlink:href"):
                file, _, anchor = attrs.get(attribute, "data:,").partition("#")
                if anchor:
                    assert anchor in ids[file or name]
                elif file != "data:,":
                    assert (report / file).is_file()
        text = (report / name).read_text()
        assert not re.search(r"url\(http|fetch\(|XMLHttpRequest|import\(|innerHTML", text)


def test_figures_have_words(report):
    pages = [Page((report / name).read_text()) for name in ("index.html", "appendix.html")]
    tags = [one for page in pages for one in page.tags]
    drawn = [attrs["aria-label"] for tag, attrs in tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(drawn) == len(list((report / "figures").glob("*.svg")))
    mean = sum(true_top1("resnet", 20, replicate) for replicate in range(3)) / 3
    assert any(f"{100 * mean:.1f} % at 20" in words for words in drawn)


def test_numbers_of_the_accuracy_table(report):
    values = pd.Series([true_top1("deit", 20, replicate) for replicate in range(3)])
    number = f"{100 * values.mean():.1f} ± {100 * values.std():.1f}"
    lines = rows((report / "appendix.md").read_text(), "Accuracy", "| 20 |")
    assert len(lines) == 3
    assert lines[1].startswith(f"| 20 | DeiT-Ti/4 | {number} | 3 | none | deit-scratch (shared) |")
    assert number in " ".join(Page((report / "appendix.html").read_text()).text.split())


def test_what_went_wrong_stands_with_the_number(report):
    for text in ((report / "appendix.md").read_text(), Page((report / "appendix.html").read_text()).text):
        assert "1 of 3 diverged, at chance" in text
        assert "fewer than 3 replicates: no interval" in text
        assert "26 of 27 done, 1 missing, 1 diverged" in text


def test_runs_behind_a_figure_and_its_numbers(report):
    data = pd.read_csv(report / "figures" / "answer-digits.csv")
    found = data.set_index(["contestant", "images_per_class"]).loc["vit", 5]
    assert (found["diverged"], found["n"]) == (1, 3)
    runs = json.loads((report / "MANIFEST.json").read_text())["runs"]
    page = (report / "appendix.html").read_text()
    assert len(runs) == 26 and all(f"<code>{run}</code>" in page for run in runs)
    assert not any(run in (report / "index.html").read_text() for run in runs)


def test_runs_and_commands_are_listed_once_and_linked(report):
    html, markdown = (report / "appendix.html").read_text(), (report / "appendix.md").read_text()
    ids = json.loads((report / "MANIFEST.json").read_text())["runs"]
    assert all(f"<code>{run}</code>" in html and run in markdown for run in ids)
    entries = re.findall(r'<div id="runs-(\d+)">\s*<pre[^>]*><code>(.*?)</code></pre>', html, re.DOTALL)
    assert all(text.endswith("vcbench report tiny --results STORE") for _, text in entries)
    linked = set(
        re.findall(r'href="(?:appendix.html)?#runs-(\d+)"', html + (report / "index.html").read_text())
    )
    assert linked == {number for number, _ in entries} and len(entries) > 3
    drawn = re.search(
        r'id="figure-answer-digits".*?#runs-(\d+)', (report / "index.html").read_text(), re.DOTALL
    )
    assert (
        dict(entries)[drawn[1]]
        == "vcbench run tiny.toml --results STORE\nvcbench report tiny --results STORE"
    )
    assert f'<a id="runs-{drawn[1]}"></a>' in markdown


def test_commands_of_parts_variants_and_profiles(tmp_path):
    make_store(tmp_path, suite="tiny+ab12", shots=(5,), listing={"settings": ["recipe.budget.epochs=2 x"]})
    listing = json.loads((tmp_path / "suites" / "tiny+ab12.json").read_text())
    listing["comparisons"].append(listing["comparisons"][0] | {"name": "other one"})
    last = listing["profiles"].pop()
    (tmp_path / "suites" / "tiny+ab12.json").write_text(json.dumps(listing))
    for name in ("1", "32"):
        speed = {"id": f"speed{name}", "kind": "profile", "what": "speed", "model": "resnet50", "threads": 2}
        speed |= {"batch_size": int(name), "mode": "infer", "precision": "fp32", "input_size": 224}
        path = tmp_path / "profiles" / speed["id"] / "record.json"
        path.parent.mkdir()
        speed |= {"versions": {}, "outcome": "measured", "classes": 1000, "compiled": False}
        path.write_text(json.dumps({"format": 1} | speed))
    commands = RerunCommands(gather(RunStore(tmp_path), "tiny+ab12"))
    run = "vcbench run tiny.toml --set 'recipe.budget.epochs=2 x' --results STORE"
    report = "vcbench report tiny+ab12 --results STORE"
    trial = run_id("tiny+ab12", "vit", 5, 0)
    assert commands.commands([]) == report
    assert commands.commands([trial]) == f"{run} --only=from-scratch\n{report}"
    assert commands.commands(listing["profiles"]) == f"{run}\n{report}"
    assert commands.commands(["speed1", "speed32"]).splitlines() == [
        "vcbench profile resnet50 --what speed --mode infer --batch-size 1,32 --input-size 224 "
        "--precision fp32 --classes 1000 --threads 2 --results STORE",
        report,
    ]
    assert commands.commands([last]).startswith("vcbench profile ")


def test_costs_are_exact(report):
    assert "35\u202f127\u202f656\u202f448" in (report / "appendix.html").read_text()
    assert "17.564" in (report / "appendix.md").read_text()


def test_the_same_store_gives_the_same_bytes(report, tmp_path):
    """In another process, with another seed of Python's hashes and another configuration of matplotlib."""
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 30\n")
    code = (
        "import sys; from bench.store.run_store import RunStore; from bench.report.render import render; "
        "render(RunStore(sys.argv[1]), 'tiny', sys.argv[2], for_paper=True); "
        "print(sorted(m for m in ('torch', 'timm', 'torchvision') if m in sys.modules))"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, report.parent / "store", tmp_path / "out"],
        env=os.environ
        | {"PYTHONHASHSEED": "77", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
        | {"SOURCE_DATE_EPOCH": "86400", "TZ": "Asia/Tokyo"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert again.stdout == "[]\n"
    files = [path for path in sorted(report.rglob("*")) if path.is_file()]
    assert len(files) > 40
    for path in files:
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(report)).read_bytes(), path.name


def test_fonts_of_figures_are_not_type_3(report):
    """Publishers refuse Type 3; the fonts are whole, so that the text can be searched."""
    files = sorted((report / "figures").glob("*.pdf"))
    assert files
    for path in files:
        page = PdfReader(path).pages[0]
        fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
        assert fonts and {font["/Subtype"] for font in fonts} <= {"/TrueType", "/Type0"}
        assert re.search("[A-Za-z]{5,}", page.extract_text())


def test_the_bibliography_is_what_cite_prints(report, capsys):
    from bench.cli.citing import cite

    cite("tiny", report.parent / "store", "bibtex", None, None)
    assert (report / "cite.bib").read_text() == capsys.readouterr().out
    assert "cite.bib" in json.loads((report / "MANIFEST.json").read_text())["files"]


def test_what_an_earlier_rendering_left_is_removed_and_nothing_else(tmp_path):
    out = made(tmp_path, shots=(5, 20))
    before = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    (out / "figures" / "mine.svg").write_text("kept")
    (tmp_path / "outside.txt").write_text("kept")
    found = json.loads((out / "MANIFEST.json").read_text())
    found["files"]["../outside.txt"] = "0"
    (out / "MANIFEST.json").write_text(json.dumps(found))
    (out / "figures" / "curves-from-scratch-20.png").unlink()
    shutil.rmtree(tmp_path / "store")
    made(tmp_path, shots=(5,))
    after = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    gone = {f"figures/curves-from-scratch-20.{kind}" for kind in ("svg", "png", "pdf", "csv")}
    assert gone <= before and not gone & after
    assert after - before == {"figures/mine.svg"}
    files = set(json.loads((out / "MANIFEST.json").read_text())["files"])
    assert after == files | {"figures/mine.svg", "MANIFEST.json"}
    assert (tmp_path / "outside.txt").exists()


def test_a_manifest_of_something_else_is_not_overwritten(tmp_path):
    store = RunStore(make_store(tmp_path / "store", shots=(5,)))
    (tmp_path / "MANIFEST.json").write_text("[]")
    with pytest.raises(InputError, match="not of a report"):
        render(store, "tiny", tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_text_from_outside_is_escaped(tmp_path):
    nasty = "<script>alert(1)</script> 100%_of & |more| $x^2$ --> `"
    out = made(
        tmp_path,
        shots=(5,),
        titles={"vit": nasty},
        listing={"title": nasty, "description": nasty},
        comparison={"unmatched": nasty},
        record={"machine": nasty},
    )
    page, appendix = (Page((out / name).read_text()) for name in ("index.html", "appendix.html"))
    for one, scripts in ((page, [{"type": "application/json"}, {}]), (appendix, [{}])):
        assert [attrs for tag, attrs in one.tags if tag == "script"] == scripts
    html = (out / "index.html").read_text() + (out / "appendix.html").read_text()
    assert html.count("<script") == 3 and "<script>alert" not in html
    assert page.text.count(nasty) >= 4 and appendix.text.count(nasty) >= 6
    for source in (out / "tables").glob("*.tex"):
        assert "100%" not in source.read_text() and "$x^2$" not in source.read_text()
    assert "<script" not in (out / "report.md").read_text()
    markdown = (out / "appendix.md").read_text()
    assert "<script" not in markdown
    found = rows(markdown, "Accuracy", "| 5 |")
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in found}) == 1
    assert "<script" not in (out / "figures" / "answer-digits.svg").read_text()


def test_names_of_comparisons_stay_inside_the_folder(tmp_path):
    make_store(tmp_path / "store", shots=(5,))
    path = tmp_path / "store" / "suites" / "tiny.json"
    path.write_text(path.read_text().replace("from-scratch", "../../From Scratch"))
    render(RunStore(tmp_path / "store"), "tiny", tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "answer-digits.svg").is_file()


@pytest.mark.parametrize("text", ["a|b", "<b>", "*a* _b_ `c`", "[x](y)", "two\nlines"])
def test_markdown_escape_leaves_no_markup(text):
    escaped = escape(text)
    assert "\n" not in escaped and "<" not in escaped
    assert not re.search(r"(?<!\\)[|*_`\[\]]", escaped)


def test_nothing_measured(tmp_path):
    everything = tuple(
        (name, shots, replicate)
        for name in ("vit", "deit", "resnet")
        for shots in (1, 5, 20, None)
        for replicate in range(3)
    )
    out = made(tmp_path, missing=everything, profiles=False)
    text = (out / "appendix.md").read_text()
    assert "0 of 36 done, 36 missing" in text
    page = (out / "report.md").read_text()
    (absent,) = re.findall(r"Not measured in this suite: (.*)\.", page)
    assert {"common claims", "contrasts", "data efficiency"} <= set(absent.split(", "))
    assert absent.endswith(", cost against input size, and from JPEG to label")
    assert "## Data efficiency" not in page and "## Speed" not in text
    assert "nan" not in (page + text).lower().replace("finetune", "")
    Page((out / "index.html").read_text())
    Page((out / "appendix.html").read_text())
    assert not list(out.rglob("*.svg"))


def test_trials_without_an_id_are_missing(tmp_path):
    make_store(
        tmp_path / "store", shots=(5, None), missing=(("vit", None, 0), ("vit", None, 1), ("vit", None, 2))
    )
    path = tmp_path / "store" / "suites" / "tiny.json"
    listing = json.loads(path.read_text())
    for entry in listing["trials"]:
        if entry["contestant"] == "vit" and entry["shots"] is None:
            entry |= {"id": None, "draw_seed": None, "seed": None}
    path.write_text(json.dumps(listing))
    render(RunStore(tmp_path / "store"), "tiny", tmp_path / "out")
    text = (tmp_path / "out" / "appendix.md").read_text()
    assert "15 of 18 done, 3 missing" in text
    page = (tmp_path / "out" / "report.md").read_text()
    unfinished = "**Not finished:** training from random weights on digits (3 of 18 trials are missing)."
    assert page.index(unfinished) < page.index("**On digits, take ")
    assert "| all (80) | ViT-Ti/4 | not measured | 0 of 3 |" in text


def test_one_replicate_and_no_history(tmp_path):
    make_store(tmp_path / "store", replicates=1)
    for path in (tmp_path / "store" / "runs").glob("*/history.parquet"):
        path.unlink()
    render(RunStore(tmp_path / "store"), "tiny", tmp_path / "out")
    text = (tmp_path / "out" / "appendix.md").read_text()
    noted = [line for line in text.splitlines() if "fewer than 3 replicates: no interval" in line]
    rows = sum(line.startswith("|") for line in noted)
    assert rows == 12, "each cell in accuracy"
    assert len(noted) - rows == 3, "captions: calibration, two of classes"
    page = (tmp_path / "out" / "report.md").read_text()
    assert re.search("Not measured in this suite: .*learning curves", page)


def test_history_without_val(tmp_path):
    make_store(tmp_path / "store", shots=(5,))
    for path in (tmp_path / "store" / "runs").glob("*/history.parquet"):
        pd.read_parquet(path).assign(val_top1=float("nan"), val_nll=float("nan")).to_parquet(path)
    render(RunStore(tmp_path / "store"), "tiny", tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "curves-from-scratch-5.svg").is_file()


def test_everything_diverged(tmp_path):
    out = made(
        tmp_path,
        shots=(5,),
        diverged=tuple((name, 5, replicate) for name in ("vit", "deit", "resnet") for replicate in range(3)),
    )
    assert "10.0 ± 0.0" in (out / "appendix.md").read_text()


def test_unknown_suite(tmp_path):
    store = RunStore(make_store(tmp_path, shots=(5,)))
    with pytest.raises(InputError, match='did you mean "tiny"'):
        render(store, "tinny", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_variant_says_what_it_is(tmp_path):
    store = RunStore(
        make_store(tmp_path / "store", suite="tiny+abc123", shots=(5,), listing={"settings": ["delta=0.02"]})
    )
    render(store, "tiny+abc123", tmp_path / "out")
    assert "This suite is a variant of tiny" in (tmp_path / "out" / "appendix.md").read_text()
