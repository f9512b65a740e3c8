"""Records: what is believed, what is left out, and that a file is read and written as it is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_store import digest, run_id, write_store

from bench.errors import InputError
from bench.spec.toml import parse
from bench.store.records.base import FORMAT
from bench.store.records.listing import Listing
from bench.store.records.trials import TrialRecord
from bench.store.records.upgrade import UPGRADES, upgrade
from bench.store.run_store import RunStore
from bench.tables.tables import build_tables, write_tables

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
RUN = run_id("vit", 5, 0)


@pytest.fixture
def store(tmp_path):
    """Two models, one size, three replicates."""
    drawn = np.random.default_rng(0)
    write_store(tmp_path / "store", {(m, 5): drawn.random((3, 40)) < 0.6 for m in ("vit", "resnet")})
    return RunStore(tmp_path / "store")


def change(store, **changes):
    """Other entries in the record of RUN."""
    path = store.record_of("runs", RUN)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def left_out(store, caplog, *words):
    """RUN is named in one warning, and nothing else is different from a store without it."""
    caplog.clear()
    assert {record.id for record in store.results()} == set(store.names("runs")) - {RUN}
    assert store.result(RUN) is None and not store.is_done(RUN) and store.state(RUN) == "missing"
    assert len(caplog.messages) == 1, caplog.messages
    for word in (RUN, *words):
        assert word in caplog.messages[0]
    tables = build_tables(store)
    assert RUN not in set(tables["accuracy"]["run"]) and len(tables["accuracy"]) == 5
    shutil.rmtree(store.folder_of("runs", RUN))
    for name, table in build_tables(RunStore(store.root)).items():
        pd.testing.assert_frame_equal(table, tables[name])


def test_a_record_is_read_by_attribute_and_written_as_it_was(store):
    record, path = store.result(RUN), store.record_of("runs", RUN)
    trial = store.trial(RUN)
    assert record.data.dataset == "digits" and record.identity.recipe["augment"]["resize"] == "crop"
    assert record.data.data_copy == "verified" and record.top1 == record.metrics.top1
    assert trial.content() == upgrade(json.loads(path.read_text()))
    with pytest.raises(ValueError, match="frozen"):
        record.outcome = "diverged"


@pytest.mark.parametrize("name", ["id", "outcome", "identity", "wall_s", "metrics"])
def test_a_record_without_a_key_is_left_out_and_the_key_named(store, caplog, name):
    path = store.record_of("runs", RUN)
    content = json.loads(path.read_text())
    del content[name]
    path.write_text(json.dumps(content))
    left_out(store, caplog, name, "missing")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"format": FORMAT + 1}, "newer than"),
        ({"format": 0}, "no format number"),
        ({"kind": "profile"}, "kind"),
        ({"outcome": "unknown"}, "outcome"),
        ({"wall_s": "long"}, "wall_s"),
        ({"wall_s": -1}, "wall_s"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"id": run_id("vit", 5, 1)}, "in the folder of another"),
        ({"predictions_sha256": "0" * 64}, "predictions.parquet"),
    ],
    ids=str,
)
def test_a_record_that_is_something_else_is_left_out(store, caplog, changes, word):
    change(store, **changes)
    left_out(store, caplog, word)


@pytest.mark.parametrize(
    "changes", [{"seed": 7}, {"recipe": {"lr": 1}}, {"model": {"name": "other"}}, {"new": 1}], ids=str
)
def test_a_record_whose_identity_was_changed_is_left_out(store, caplog, changes):
    change(store, identity=store.result(RUN).identity.content() | changes)
    left_out(store, caplog, "identity")


@pytest.mark.parametrize("value", [0.99, 0.0, -1, 2.5, 1e308])
def test_an_accuracy_that_is_not_that_of_the_predictions_is_left_out(store, caplog, value):
    change(store, metrics=store.result(RUN).metrics.content() | {"top1": value})
    left_out(store, caplog)


def rewrite(path, change):
    frame = pd.read_parquet(path)
    change(frame).to_parquet(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b""),
        lambda path: rewrite(path, lambda frame: frame.drop(columns="predicted")),
        lambda path: rewrite(path, lambda frame: frame.head(39)),
        lambda path: rewrite(path, lambda frame: frame.assign(predicted=frame["predicted"] * 0)),
        lambda path: rewrite(path, lambda frame: frame[::-1]),
    ],
    ids=["cut", "empty", "a column less", "a row less", "one class", "in another order"],
)
def test_a_record_with_other_predictions_is_left_out(store, caplog, spoil):
    spoil(store.predictions_of("runs", RUN))
    left_out(store, caplog, "predictions.parquet")


def test_a_record_is_read_again_where_its_files_change(store):
    assert store.is_done(RUN)
    change(store, outcome="unknown")
    assert not store.is_done(RUN)
    change(store, outcome="finished")
    assert store.is_done(RUN)


def test_every_published_record_is_believed_and_written_as_it_is(caplog):
    store = RunStore(PUBLISHED)
    results = store.results()
    trials = [store.trial(result.id) for result in results]
    for kind, read in (("runs", trials), ("profiles", store.profiles()), ("baselines", store.baselines())):
        assert [record.id for record in read] == store.names(kind)
        for record in read:
            assert record.content() == upgrade(json.loads(store.record_of(kind, record.id).read_text()))
    for result in results:
        content = json.loads(store.record_of("runs", result.id).read_text())
        assert digest(result.identity.content()) == result.id
        if content["format"] == 1:
            assert result.metrics.content() == content["metrics"] and result.wall_s == content["wall_s"]
            assert result.test_evaluations == content["test_evaluations"]
    for name, listing in store.suites().items():
        assert listing.content() == upgrade(json.loads(store.listing_of(name).read_text()))
    assert len(results) > 300 and not caplog.messages


def test_older_formats_are_upgraded_step_by_step():
    """A first format that had `seconds` and a second that named the device otherwise."""

    def second(content):
        content = dict(content)
        return content | {"wall_s": content.pop("seconds")}

    steps = {1: second, 2: lambda content: content | {"device": content["device"].upper()}}
    new = {"format": 3, "wall_s": 2.0, "device": "CPU"}
    assert upgrade({"format": 1, "seconds": 2.0, "device": "cpu"}, steps) == new
    assert upgrade({"format": 2, "wall_s": 2.0, "device": "cpu"}, steps) == new
    assert upgrade(new, steps) == new


def test_every_older_format_has_its_step():
    assert list(UPGRADES) == list(range(1, FORMAT))


def test_deleting_the_tables_loses_nothing(tmp_path):
    """Not the averages of two networks either, whose probabilities are not in the published store."""
    shutil.copytree(PUBLISHED, tmp_path / "store")
    store = RunStore(tmp_path / "store")
    write_tables(store)
    before = {path.name: path.read_bytes() for path in (store.root / "tables").iterdir()}
    assert len(pd.read_csv(store.table_of("ensembles", ".csv"))) > 300
    shutil.rmtree(store.root / "tables")
    write_tables(RunStore(tmp_path / "store"))
    assert {path.name: path.read_bytes() for path in (store.root / "tables").iterdir()} == before


def test_a_listing_names_only_what_it_has(store):
    content = store.suite("small").content()
    for spoilt in (
        content | {"contestants": {}},
        content | {"trials": [content["trials"][0] | {"contestant": "other"}]},
        content | {"profiles": ["../../outside"]},
        content | {"comparisons": [content["comparisons"][0] | {"contrasts": [["vit"]]}]},
    ):
        with pytest.raises(ValueError, match="validation error"):
            Listing.model_validate(spoilt)


def test_complaints_are_worded_as_those_of_suites_are(store):
    """One wording for schemas: see `bench.spec.toml`."""
    content = store.result(RUN).content()
    with pytest.raises(InputError, match='here: key "wall_s": input should be a valid number, not'):
        parse(content | {"wall_s": "long"}, TrialRecord, where="here")


def test_only_the_store_knows_the_names_of_its_files():
    """`bench/store/layout.py` is the one place where they stand."""
    names = ("record.json", "predictions.parquet", "probabilities.npy", "history.parquet", "samples.parquet")
    names += ("checkpoint.pt", "training.json", "weights.safetensors", "error.json", "elapsed.json")
    names += ("looks.json", "processes.json", "store.json", "ensembles.parquet", "withdrawn.csv")
    folder = Path(__file__).parents[2] / "bench"
    for path in folder.rglob("*.py"):
        text = path.read_text()
        if path.parent.name != "store":
            assert not [name for name in names if f'"{name}"' in text], path
            assert not [name for name in ("runs", "brought", "tables") if f'/ "{name}"' in text], path
