"""No name and no link in a store or a report of strangers leads out of its folder."""

import json
import os
import re
import shutil
from unittest.mock import MagicMock

import numpy as np
import pytest
from console import vcbench
from report.make_store import make_store
from small_store import run_id, write_store

from bench.errors import BenchError, InputError, StoreError
from bench.exchange import tracking
from bench.networks.weight_file import read_tensors
from bench.report.index import write_index
from bench.report.render import render
from bench.report.writers.html import inline_svg
from bench.store.merge import merge
from bench.store.run_store import RunStore
from bench.store.unneeded import remove_unneeded
from bench.store.withdrawn import WITHDRAWN
from bench.training import checkpoint

RUN = run_id("vit", 5, 0)


@pytest.fixture
def theirs(tmp_path):
    """A store that somebody else made."""
    return write_store(tmp_path / "theirs", {("vit", 5): np.ones((2, 40), bool)})


@pytest.fixture
def secret(tmp_path):
    """A folder outside of all stores, as it should stay."""
    folder = tmp_path / "secret"
    folder.mkdir()
    for name in ("checkpoint.pt", "weights.safetensors", "record.json", "small.json", "x.lock"):
        (folder / name).write_text("secret")
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("checkpoint.pt", "weights.safetensors", "record.json", "small.json", "x.lock"), "secret"
    )


def test_links_to_files_are_not_taken_over(theirs, secret, tmp_path):
    (theirs / "runs" / RUN / "weights.safetensors").symlink_to(secret / "weights.safetensors")
    (theirs / "labels" / "own.parquet").symlink_to(secret / "record.json")
    (theirs / "splits").mkdir()
    (theirs / "splits" / "folder").mkdir()
    done = {one.name: one for one in merge(RunStore(theirs), RunStore(tmp_path / "ours"))}
    assert (done[RUN].what, done[RUN].reason) == (
        "conflict",
        "weights.safetensors is a link that leads out of its store",
    )
    assert done["own.parquet"].what == done["folder"].what == "conflict"
    ours = [path for path in (tmp_path / "ours").rglob("*") if path.is_file()]
    assert ours and not any(path.read_bytes() == b"secret" for path in ours)
    assert RUN not in {path.name for path in (tmp_path / "ours" / "runs").iterdir()}


@pytest.mark.parametrize("name", ["withdrawn.csv", "ensembles.parquet", "reach.parquet", "suites/small.json"])
def test_lists_that_are_links_are_not_taken_over(theirs, secret, tmp_path, name):
    """Nor are the same lists of another store, which could be read."""
    shutil.copytree(theirs, tmp_path / "other")
    (tmp_path / "other" / "withdrawn.csv").write_text(",".join(WITHDRAWN) + "\n")
    (theirs / name).unlink(missing_ok=True)
    (theirs / name).symlink_to(tmp_path / "other" / name)
    ran = vcbench("merge", theirs, "--results", tmp_path / "ours")
    assert f"{name.removesuffix('.json')}: is a link that leads out of " in ran.stdout + ran.stderr
    assert ran.returncode == (1 if "suites" in name else 2) and ran.stderr.count("\n") <= 1
    assert not (tmp_path / "ours" / name).exists()


def test_a_link_in_a_circle_is_one_line(theirs, tmp_path):
    (theirs / "withdrawn.csv").symlink_to("withdrawn.csv")
    ran = vcbench("merge", theirs, "--results", tmp_path / "ours")
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and "withdrawn.csv: too many" in ran.stderr


def test_links_within_a_store_are_followed(theirs, tmp_path):
    weights = theirs / "runs" / RUN / "weights.safetensors"
    (theirs / "kept").write_text("weights")
    weights.symlink_to(theirs / "kept")
    list(merge(RunStore(theirs), RunStore(tmp_path / "ours")))
    assert (tmp_path / "ours" / "runs" / RUN / "weights.safetensors").read_text() == "weights"
    (tmp_path / "link").symlink_to(theirs)
    assert len(RunStore(tmp_path / "link").results()) == 2, "the store itself may be a link"


@pytest.mark.parametrize(
    "place",
    [
        *("runs/x", f"runs/{RUN}", "searches", "tables", ".locks", "suites", "brought"),
        *("trackers/tensorboard", "trackers/tensorboard/small"),
    ],
)
def test_a_folder_that_is_a_link_to_elsewhere_is_refused(theirs, secret, place):
    shutil.rmtree(theirs / place, ignore_errors=True)
    (theirs / place).parent.mkdir(parents=True, exist_ok=True)
    (theirs / place).symlink_to(secret)
    for command in (["tables"], ["gc"], ["status"]):
        ran = vcbench(*command, "--results", theirs)
        assert ran.returncode == 2 and ran.stderr.count("\n") == 1
        assert f"{place}: is a link that leads out of the run store; remove it" in ran.stderr
    with pytest.raises(StoreError):
        list(remove_unneeded(RunStore(theirs)))


def test_a_lock_that_is_a_link_is_not_written_to(theirs, secret):
    (theirs / ".locks").mkdir(exist_ok=True)
    (theirs / ".locks" / f"{RUN}.lock").symlink_to(secret / "x.lock")
    with pytest.raises(StoreError, match="cannot be written"), RunStore(theirs).claim(RUN):
        pass


def test_tables_that_are_links_are_replaced(theirs, secret):
    (theirs / "tables").mkdir(exist_ok=True)
    (theirs / "tables" / "accuracy.csv").symlink_to(secret / "record.json")
    assert vcbench("tables", "--results", theirs).returncode == 0
    assert not (theirs / "tables" / "accuracy.csv").is_symlink()


@pytest.mark.parametrize("suite", ["../../secret/small", "/x", "other", "a/b", ".."])
def test_the_name_within_a_listing_is_that_of_its_file(theirs, secret, tmp_path, suite):
    path = theirs / "suites" / "small.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suite": suite}))
    done = list(merge(RunStore(theirs), RunStore(tmp_path / "ours")))
    assert not [one for one in done if one.kind == "suites"]
    assert not (tmp_path / "ours" / "suites").exists()
    if "/" in suite:
        with pytest.raises(StoreError, match="is not the name of a file"):
            RunStore(theirs).listing_of(suite)


def test_a_suite_whose_name_is_the_folder_above_is_left_out(theirs):
    path = theirs / "suites" / "small.json"
    path.with_name("...json").write_text(json.dumps(json.loads(path.read_text()) | {"suite": ".."}))
    assert set(RunStore(theirs).suites()) == {"small"}


def test_the_names_of_cells_lead_no_tracker_out_of_its_folder(theirs, tmp_path, monkeypatch):
    path = theirs / "suites" / "small.json"
    evil = path.read_text().replace('"main"', '"../../../../Main"').replace('"vit"', '"/vit"')
    path.write_text(evil)
    tracker = MagicMock(**{"has.return_value": False})
    monkeypatch.setattr(tracking, "open_tracker", lambda *_: tracker)
    out = tmp_path / "a" / "deep" / "folder"
    names = [f"main-vit-5-r{replicate}" for replicate in range(2)]
    written = tracking.Tracking("any", out, RunStore(theirs), "small").write()
    assert written == [f"small/{name}" for name in names]
    assert [call.args[0].name for call in tracker.begin.call_args_list] == names
    assert {call.args[0].group for call in tracker.begin.call_args_list} == {"main-vit-5"}


@pytest.mark.parametrize("name", ["runs/{}/record.json", "runs/{}/predictions.parquet", "suites/small.json"])
def test_a_pipe_is_not_waited_for(theirs, name):
    path = theirs / name.format(RUN)
    path.unlink()
    os.mkfifo(path)
    ran = vcbench("tables", "--results", theirs)
    assert "not a regular file" in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("probabilities.npy", lambda store, files: store.probabilities(RUN)),
        ("weights.safetensors", lambda store, files: read_tensors(files.weights)),
        ("checkpoint.pt", lambda store, files: checkpoint.read(files.checkpoint)),
    ],
)
def test_a_pipe_in_the_place_of_a_file_of_a_job_is_not_waited_for(theirs, name, read):
    store = RunStore(theirs)
    (store.files(RUN).folder / name).unlink(missing_ok=True)
    os.mkfifo(store.files(RUN).folder / name)
    with pytest.raises((BenchError, checkpoint.Unusable), match="not a regular file"):
        read(store, store.files(RUN))


@pytest.mark.parametrize("verb", ["merge", "report"])
def test_a_pipe_in_the_place_of_withdrawn_trials_is_not_waited_for(theirs, tmp_path, verb):
    os.mkfifo(theirs / "withdrawn.csv")
    arguments = {
        "merge": [theirs, "--results", tmp_path / "ours"],
        "report": ["small", "--results", theirs, "--out", tmp_path / "report"],
    }
    ran = vcbench(verb, *arguments[verb])
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1
    assert "withdrawn.csv: cannot be read (not a regular file)" in ran.stderr


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    root = tmp_path_factory.mktemp("reports")
    render(RunStore(make_store(root / "store")), "tiny", root / "out" / "one")
    return root / "out"


def test_a_report_of_strangers_in_the_list(reports, tmp_path):
    shutil.copytree(reports, tmp_path / "out")
    manifest = tmp_path / "out" / "one" / "MANIFEST.json"
    whole, name = json.loads(manifest.read_text()), "../../../secret"
    (tmp_path / "secret.svg").write_text("secret")
    summary = whole["summary"]
    hostile = {"title": '<script>"', "answer": ["<b>"], "facts": dict.fromkeys(summary["facts"], "<i>")}
    manifest.write_text(json.dumps(whole | {"summary": summary | hostile}))
    text = write_index(tmp_path / "out").read_text()
    assert not [tag for tag in ("<script", "<b>", "<i>") if tag in text] and "&lt;script&gt;" in text
    wrong = [summary["figures"][0] | {"name": name}]
    for figures in (wrong, [{}], [1], 1, None):
        manifest.write_text(json.dumps(whole | {"summary": summary | {"figures": figures}}))
        with pytest.raises((InputError, StoreError)) as refused:
            write_index(tmp_path / "out")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("what", "said"),
    [("pipe", "not a regular file"), ("huge", "bytes; at most"), ("bytes", "can't decode byte 0xff")],
)
def test_what_is_no_figure_is_not_read(reports, tmp_path, what, said):
    shutil.copytree(reports, tmp_path / "out")
    for path in (tmp_path / "out" / "one" / "figures").glob("*.svg"):
        path.unlink()
        if what == "pipe":
            os.mkfifo(path)
        else:
            path.write_bytes(b"\xff" if what == "bytes" else b"")
            os.truncate(path, 2**30 if what == "huge" else 1)
    ran = vcbench("index", tmp_path / "out")
    assert ran.returncode == 2 and said in ran.stderr and ran.stderr.count("\n") == 1


def test_a_style_makes_no_attribute_that_runs_or_leads_away():
    says = "onclick:alert(1);href: https://x/y.png;id:z;fill:#123456;stroke-width:2"
    drawn = inline_svg(f'<svg viewBox="0 0 1 1"><rect style="{says}"/></svg>', "f", "alt")
    assert re.search(r"<rect[^>]*>", drawn)[0] == '<rect fill="#123456" stroke-width="2"/>'


@pytest.mark.parametrize(
    "drawn",
    [
        "<script>alert(1)</script>",
        "<g onload='x'/>",
        "<g/onload=x />",
        "<foreignObject/>",
        "<a href='http://x'/>",
        "<image href='http://x'/>",
        '<image xlink:href="data:text/html,x"/>',
        '<use href="x.svg#y"/>',
        "</svg><h1>no</h1><svg>",
        "<animate/>",
        '<rect fill="url(http://x#y)"/>',
    ],
)
def test_a_figure_of_strangers_in_the_list(reports, tmp_path, drawn):
    shutil.copytree(reports, tmp_path / "out")
    figure = json.loads((reports / "one" / "MANIFEST.json").read_text())["summary"]["figures"][0]["name"]
    path = tmp_path / "out" / "one" / "figures" / f"{figure}.svg"
    path.write_text(path.read_text().replace("</svg>", f"{drawn}</svg>"))
    with pytest.raises(InputError, match=r"\.svg: holds what no figure of a report has"):
        write_index(tmp_path / "out")
