"""Stores that somebody damaged or forged: every command names the file in one line and does without it.

What makes a record one that is believed: tests/store/test_records.py."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from console import vcbench
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_store import run_id, write_store

RUN = run_id("vit", 5, 0)
FILES = [
    f"runs/{RUN}/record.json",
    "profiles/c000000000000000/record.json",
    "suites/small.json",
    "store.json",
]
READERS = [["status"], ["tables"], ["show", RUN], ["cite", "small"], ["compare", "store", "store"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store of two models, two sizes and three replicates."""
    drawn = np.random.default_rng(0)
    right = {(m, s): drawn.random((3, 40)) < 0.6 for m in ("vit", "resnet") for s in (5, None)}
    return write_store(tmp_path_factory.mktemp("whole") / "store", right)


@pytest.fixture
def store(whole, tmp_path, monkeypatch):
    """A copy of it in an empty folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, tmp_path / "store")
    return Path("store")


def read(command):
    results = [] if command[0] == "compare" else ["--results", "store"]
    ran = vcbench(*command, *results)
    assert "Traceback" not in ran.stderr and "a fault of" not in ran.stderr, (command, ran.stderr)
    lines = ran.stderr.splitlines()
    errors = [line for line in lines if not line.startswith("vcbench: warning: ")]
    assert (ran.returncode, len(errors)) in ((0, 0), (2, 1)), (command, ran.stderr)
    assert len(set(lines)) == len(lines), ran.stderr
    return ran


def places(value, path=()):
    """Every place in plain data, as the keys that lead to it."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(value, path, new):
    """A copy of plain data with another value at a place, or without it where that is `...`."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if new is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return copy


WRONG = [..., None, -1, 2.5, 2**70, True, "", "\x00\u202e", [], {}, [[]], {"x": 1}, "../../outside"]


@settings(
    max_examples=40,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(data=st.data())
def test_any_value_changed_in_any_file(store, data):
    path = store / data.draw(st.sampled_from(FILES))
    original = path.read_text()
    content = json.loads(original)
    place = data.draw(st.sampled_from(sorted(places(content), key=str)))
    new = data.draw(st.sampled_from(WRONG if place else WRONG[1:]))
    try:
        path.write_text(json.dumps(changed(content, place, new)))
        read(data.draw(st.sampled_from(READERS)))
    finally:
        path.write_text(original)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "NaN", '{"format": 1, "x": 1e400}', "[" * 100_000, '{"x": ' * 20_000, "\xff", "null"],
    ids=lambda text: text[:12],
)
def test_a_file_that_is_something_else_is_named_and_left_out(store, text):
    for file in FILES:
        original = (store / file).read_bytes()
        (store / file).write_bytes(text.encode("latin-1"))
        ran = read(["tables"])
        assert ran.stderr.count("\n") == 1 and file in ran.stderr
        assert ran.returncode == (2 if file == "store.json" else 0)
        (store / file).write_bytes(original)


@pytest.mark.parametrize("name", ["top1", "mean_per_class", "nll"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 1e308])
def test_a_metric_that_cannot_be_is_named_and_left_out(store, name, value):
    if name == "nll" and value == 1e308:
        pytest.skip("a loss has no upper end")
    path = store / FILES[0]
    content = json.loads(path.read_text())
    content["metrics"][name] = value
    path.write_text(json.dumps(content))
    assert RUN in read(["tables"]).stderr
    assert RUN not in (store / "tables" / "accuracy.csv").read_text()


@pytest.mark.parametrize("command", [*READERS, ["report", "small"], ["export"]], ids=lambda words: words[0])
def test_a_damaged_record_stops_nothing_and_counts_nowhere(store, command):
    """A record that names another run, and one with a better accuracy than its predictions."""
    other = run_id("vit", 5, 1)
    shutil.copy(store / FILES[0], store / "runs" / other / "record.json")
    path = store / "runs" / run_id("resnet", 5, 2) / "record.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"metrics": content["metrics"] | {"top1": 0.99}}))
    out = ["--out", "out"] if command[0] in ("report", "export") else []
    ran = read([*command, *out])
    assert ran.returncode == 0
    if command[0] != "show":  # which is not concerned
        assert ran.stderr.count("\n") == 2
        assert f"{other}/record.json" in ran.stderr and run_id("resnet", 5, 2) in ran.stderr
    (row,) = json.loads(read(["status", "--json"]).stdout)
    assert (row["trials"], row["done"]) == (12, 10)


def test_a_listing_cannot_lead_out_of_the_store(store):
    outside = store.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "record.json").write_text('{"secret": 1}')
    path = store / "suites" / "small.json"
    path.write_text(path.read_text().replace(RUN, "../../outside"))
    ran = read(["show", "../../outside"])
    assert ran.returncode == 2 and "secret" not in ran.stdout


def test_a_store_that_is_not_there_is_told():
    for command in (["status"], ["tables"], ["report", "quick"], ["show", RUN], ["cite", "quick"]):
        ran = vcbench(*command, "--results", "nowhere")
        assert ran.returncode == 2 and "nowhere: no such folder" in ran.stderr


def test_a_brought_model_cannot_hide_a_run(store):
    import pandas as pd

    pd.DataFrame({"image": range(40), "predicted": [0] * 40}).to_parquet("mine.parquet")
    score = ["score", "mine.parquet", "--dataset", "digits", "--split-id", "frozen"]
    for name in (RUN, RUN[:6].upper()):
        ran = vcbench(*score, "--name", name, "--results", "store")
        assert ran.returncode == 2 and "choose another name" in ran.stderr
