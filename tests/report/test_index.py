"""The page that lists reports: what each says, its figure, and nothing from elsewhere."""

import json
import re
import shutil

import pytest
from report.make_profiles import make_profiled_suite
from report.make_store import make_store
from report.test_render import Page

from bench.errors import InputError
from bench.report.index import write_index
from bench.report.render import render
from bench.store.run_store import RunStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two reports on networks that were trained, and something that is no report."""
    root = tmp_path_factory.mktemp("reports")
    for name in ("one", "two"):
        store = make_store(root / f"{name}-store", suite=name, shots=(5, None), titles={"vit": "<b>&"})
        render(RunStore(store), name, root / "reports" / name)
    (root / "reports" / "notes").mkdir()
    return root / "reports"


def test_each_report_with_its_answer_its_figure_and_its_facts(folder):
    text = write_index(folder).read_text()
    page = Page(text)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids)) and not re.search(r"https?://(?!www\.w3\.org)|url\(http|<script", text)
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == ["one/index.html", "two/index.html"]
    assert all((folder / link).is_file() for link in links)
    for name in ("one", "two"):
        report = (folder / name / "report.md").read_text()
        (said,) = re.findall(r"^\*\*(On digits, take .*?)\*\*", report, re.M)
        assert page.text.count(said.replace("\\", "")) == 2  # the reports say the same
        facts = dict(re.findall(r"^- (\w+): (.*)$", (folder / name / "appendix.md").read_text(), re.M))
        assert " · ".join(f"{term}: {facts[term]}" for term in ("Trials", "Machines", "Dates")) in page.text
        (caption,) = re.findall(r"^\*\*Figure 1\.\*\* (.*?) \(\[SVG", report, re.M)
        assert page.text.count(caption) == 2
    drawn = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert len(drawn) == 2 and all(alt.startswith("Line chart") and "<b>&" in alt for alt in drawn)


def test_what_trains_nothing_comes_last(folder, tmp_path):
    shutil.copytree(folder / "one", tmp_path / "one")
    store = make_profiled_suite(tmp_path / "store", ["resnet18", "resnet50"])
    render(RunStore(store), "backbones", tmp_path / "a")
    text = Page(write_index(tmp_path).read_text()).text
    assert text.index("On digits, take") < text.index("Nothing was trained")


def test_of_what_trains_nothing_the_figure_is_one_of_throughput(tmp_path):
    store = make_profiled_suite(tmp_path / "store", ["resnet18", "resnet50"])
    render(RunStore(store), "backbones", tmp_path / "reports" / "backbones")
    text = Page(write_index(tmp_path / "reports").read_text()).text
    assert "Throughput against batch size" in text and "Multiply-adds of a forward pass" not in text


def test_pages_on_what_is_inside_are_linked_where_they_are(folder, tmp_path):
    shutil.copytree(folder / "one", tmp_path / "one")
    for there in ([], ["inside.html"], ["inside.html", "explain.html"]):
        for name in there:
            (tmp_path / name).write_text("a page")
        page = Page(write_index(tmp_path).read_text())
        assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == ["one/index.html", *there]


def test_what_is_no_list_of_reports(folder, tmp_path):
    with pytest.raises(InputError, match=r"no report in it; make one: vcbench report SUITE --out"):
        write_index(tmp_path)
    shutil.copytree(folder / "one", tmp_path / "one")
    path = tmp_path / "one" / "MANIFEST.json"
    path.write_text(
        json.dumps({key: v for key, v in json.loads(path.read_text()).items() if key != "summary"})
    )
    with pytest.raises(InputError, match=r"one: has no summary; render it again: vcbench report one --out"):
        write_index(tmp_path)
