"""What `vcbench gc` removes, and what it leaves alone."""

import json

import numpy as np
import pytest
from small_store import run_id, write_store
from typer.testing import CliRunner

from bench.cli.verbs import app
from bench.store.run_store import RunStore
from bench.store.unneeded import remove_unneeded

KEPT, DIVERGED, BEGUN, UNLISTED = run_id("vit", 5, 0), run_id("resnet", 5, 0), run_id("vit", 5, 1), "e" * 16


@pytest.fixture
def store(tmp_path):
    """Four trials: one done, one diverged, one begun, and one begun that no suite lists."""
    write_store(
        tmp_path,
        {("vit", 5): np.ones((2, 20), bool), ("resnet", 5): np.ones((2, 20), bool)},
        diverged=(DIVERGED,),
    )
    store = RunStore(tmp_path)
    store.files(BEGUN).record.unlink()
    store.folder_of("runs", UNLISTED).mkdir()
    for run in (KEPT, DIVERGED, BEGUN, UNLISTED):
        store.files(run).checkpoint.write_bytes(b"1234")
        store.files(run).weights.write_bytes(b"12")
    return store


def everything(store):
    return {path.relative_to(store.root) for path in store.root.rglob("*") if path.is_file()}


def gc(store, *options):
    ran = CliRunner().invoke(app, ["gc", "--results", str(store.root), *options])
    assert ran.exit_code == 0, ran.output
    return ran.output


def gone(store, before):
    return {path for path in before - everything(store) if path.parts[0] != ".locks"}


def keep_no_weights(store):
    path = store.listing_of("small")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"keep_weights": False}))


def test_only_what_nothing_needs_goes(store):
    before = everything(store)
    text = gc(store, "--dry-run")
    assert everything(store) == before  # no lock either
    assert gone(store, before) == set() and "would be removed" in text
    assert gc(store).replace("were", "would be") == text
    files = {name: store.files(name) for name in (KEPT, DIVERGED, UNLISTED)}
    expected = {
        files[KEPT].checkpoint,
        *(path for run in (DIVERGED, UNLISTED) for path in (files[run].checkpoint, files[run].weights)),
    }
    assert gone(store, before) == {path.relative_to(store.root) for path in expected}
    assert not store.folder_of("runs", UNLISTED).exists()
    assert "5 files, 16 bytes" in text
    assert "0 files" in gc(store)


def test_weights_go_where_the_suite_keeps_none(store):
    keep_no_weights(store)
    gc(store)
    assert not store.files(KEPT).weights.exists() and store.files(BEGUN).weights.exists()
    assert store.is_done(KEPT)


def test_what_a_process_has_in_hand_stays(store):
    with RunStore(store.root).claim(UNLISTED) as mine:
        assert mine
        before = everything(store)
        gc(store)
        assert {path.parent.name for path in gone(store, before)} == {KEPT, DIVERGED}


def test_nothing_goes_where_a_suite_cannot_be_read(store):
    store.listing_of("small").write_text("{")
    before = everything(store)
    ran = CliRunner().invoke(app, ["gc", "--results", str(store.root)])
    assert ran.exit_code != 0 and gone(store, before) == set()
    assert "small.json: cannot be read" in str(ran.exception)


def test_weights_from_which_a_fold_or_a_search_still_learns_stay(store):
    """A student whose second fold is begun, and a search that has not come to its students."""
    path = store.listing_of("small")
    content = json.loads(path.read_text()) | {"keep_weights": False}
    (entry, *_) = content["trials"]
    done, teachers, searched = [KEPT, BEGUN], ["a" * 16, "b" * 16], ["c" * 16, "d" * 16]
    content["trials"] = [entry | {"id": "f" * 16, "folds": done, "fold_teachers": teachers}]
    where = {"comparison": entry["comparison"], "shots": 5, "for_shots": [5], "chosen": None, "edge": None}
    tried = {"values": {}, "rung": 0, "share": 1.0, "extended": False}
    content["searches"] = [
        where | {"contestant": entry["contestant"], "tried": [tried | {"jobs": [run]}]} | keeping
        for run, keeping in zip(searched, ({"keep_weights": True}, {}), strict=True)
    ]
    path.write_text(json.dumps(content))
    own = [store.files(run).weights for run in teachers]
    own += [store.folder_of("searches", run) / "weights.safetensors" for run in searched]
    for weights in own:
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"12")
    store.search = lambda run: run in searched
    removed = [path for path, _ in remove_unneeded(store)]
    assert [weights in removed for weights in own] == [True, False, False, True]
