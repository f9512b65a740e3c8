"""The run store: whole or absent, whatever happens."""

import errno
import json
import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
from small_store import identity, run_id, write_store

from bench.errors import StoreError
from bench.files import read_json, staged, write_json, write_text
from bench.spec.job import TrainJob, evaluations
from bench.store.records.listing import Listing
from bench.store.run_store import RunStore


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "file.txt"
    with pytest.raises(ZeroDivisionError), staged(path) as part:
        part.write_text("half")
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []
    write_text(path, "first")
    with pytest.raises(ZeroDivisionError), staged(path) as part:
        part.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    with pytest.raises(StoreError, match="disk is full"), staged(tmp_path / "file") as part:
        part.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["", "suites", "labels", "baselines/a", "profiles/a", "brought/a"])
def test_what_a_writer_that_was_killed_has_left_is_removed_and_what_another_writes_is_not(tmp_path, place):
    store = RunStore(tmp_path)
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    left = [folder / ".record.json.0123.part", folder / ".record.json.0123.part.lock"]
    for path in left:
        path.touch()
    with staged(folder / "other.json") as part:
        store.prepare()
        assert part.exists() and not any(path.exists() for path in left)


def test_a_newer_store_is_refused(tmp_path):
    write_json(tmp_path / "store.json", {"format": 99})
    with pytest.raises(StoreError, match="format 99, newer than"):
        RunStore(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(StoreError, match="not valid JSON"):
        RunStore(tmp_path)


def test_a_file_where_the_store_should_be_is_refused(tmp_path):
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(StoreError, match="is a file"):
        RunStore(tmp_path / "results")


@pytest.mark.parametrize("name", ["holiday.jpg", "photos/holiday.jpg"])
def test_a_folder_of_something_else_does_not_become_a_store(tmp_path, name):
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(StoreError, match=r"mine: is no run store.*else \((photos|holiday)"):
        RunStore(tmp_path / "mine").prepare()
    assert [one for one in (tmp_path / "mine").rglob("*") if one.is_file()] == [path]


def test_what_lies_in_stores_and_other_stores_are_nothing_else(tmp_path):
    """As in results/ of a new checkout, and in a store whose mark was lost."""
    for name in (".gitkeep", "literature.csv", "published/store.json", "runs/a/record.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    RunStore(tmp_path).prepare()
    assert RunStore(tmp_path).if_there() == tmp_path
    (tmp_path / "holiday.jpg").touch()
    RunStore(tmp_path).prepare()


def test_only_a_record_makes_a_run_count(tmp_path):
    run = run_id("vit", 5, 0)
    whole = RunStore(write_store(tmp_path / "whole", {("vit", 5): np.ones((1, 20), bool)}))
    store = RunStore(tmp_path / "store")
    store.prepare()
    folder = tmp_path / "store" / "runs" / run
    folder.mkdir()
    (folder / "checkpoint.pt").touch()
    assert store.results() == [] and store.is_begun(run)
    store.note_error(store.files(run), "out of memory")
    store.note_error(store.files(run), "out of memory", "traceback")
    assert store.error(run).attempts == 2
    asks = SimpleNamespace(conditions=("clean",))
    training = TrainJob(
        identity=identity("vit", 5, 0), trial=asks, dataset="digits", train_images=50, classes=10
    )
    assert training.id == run
    trial = whole.trial(run)
    (evaluating,) = evaluations(training)
    store.finish(training, trial.model_copy(update={"evaluation": None}).content())
    assert not store.has(training)  # its weights are still needed
    store.files(run).weights.touch()
    assert store.has(training) and store.is_begun(run) and store.results() == []
    looks = store.files_of(evaluating)
    store.count_look(looks)
    store.count_look(looks)
    assert store.looks(looks) == 2
    store.finish(evaluating, trial.evaluation.content())
    assert [record.id for record in store.results()] == [run] and store.has(evaluating)
    assert not store.is_begun(run) and store.error(run) is None
    store.files(run).weights.unlink()
    assert store.has(training) and [path.name for path in folder.iterdir()] == ["record.json"]
    assert [path.name for path in looks.folder.iterdir()] == ["record.json"]


def test_a_record_that_is_none_is_not_written(tmp_path):
    store = RunStore(tmp_path)
    store.prepare()
    with pytest.raises(StoreError, match=r"record.json: damaged: key .* is missing"):
        store.finish(
            TrainJob(identity={}, trial=None, dataset="digits", train_images=50, classes=10), {"id": "a"}
        )
    assert store.results() == [] and not list((tmp_path / "runs").iterdir())


def test_a_damaged_note_of_an_unfinished_run_is_named_and_done_without(tmp_path, caplog):
    store = RunStore(tmp_path)
    store.prepare()
    files = store.files("a")
    store.add_elapsed(files, 2.0)
    store.note_error(files, "out of memory")
    store.keep_processes("p", [{"outcome": "measured"}])
    assert (store.elapsed(files), len(store.processes("p")), store.state("a")) == (2.0, 1, "errored")
    for path in (files.elapsed, files.error, store.processes_of("p")):
        path.write_text("{}")
    assert (store.elapsed(files), store.processes("p"), store.state("a")) == (0.0, [], "missing")
    assert len(caplog.messages) == 3
    files.looks.write_text("{}")
    with pytest.raises(StoreError, match=r"looks.json"):  # looks at the test set are never forgotten
        store.count_look(files)


def hold(root, ready):
    with RunStore(root).claim("a") as mine:
        ready.put(mine)
        time.sleep(60)


def test_a_run_is_held_by_one_process_until_it_ends_however_it_ends(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    other = context.Process(target=hold, args=(tmp_path, ready))
    other.start()
    assert ready.get(timeout=1800)
    with RunStore(tmp_path).claim("a") as mine:
        assert not mine
    with RunStore(tmp_path).claim("b") as mine:
        assert mine
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    with RunStore(tmp_path).claim("a") as mine:
        assert mine


def test_a_listing_that_did_not_change_is_not_written_again(tmp_path):
    store = RunStore(tmp_path)
    listing = {
        "format": 2, "suite": "s", "title": "", "description": "", "fingerprint": "f", "settings": [],
        "delta": 0.01, "contestants": {}, "comparisons": [], "trials": [], "profiles": [],
    }  # fmt: skip
    store.write_suite(Listing.model_validate(listing))
    path = tmp_path / "suites" / "s.json"
    before = path.stat().st_mtime_ns
    store.write_suite(Listing.model_validate(listing))
    assert path.stat().st_mtime_ns == before
    assert json.loads(path.read_text()) == read_json(path) == store.suites()["s"].content()
