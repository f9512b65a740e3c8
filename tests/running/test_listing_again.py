"""What a store lists of a suite whose trials could not be resolved when it was listed first."""

import pytest

from bench.planning.listing import listing
from bench.running.runner import _with_earlier
from bench.spec.suite import load_suite
from bench.store.merge import merge
from bench.store.records.listing import TrialEntry
from bench.store.run_store import RunStore


def entry(replicate, run, contestant="vit-short"):
    return TrialEntry(
        id=run, comparison="digits", contestant=contestant, shots=20, replicate=replicate,
        draw_seed=None, seed=None,
    )  # fmt: skip


def test_a_trial_that_is_not_repeated_takes_the_place_of_all_its_replicates():
    empty = listing(load_suite("quick"), [], [])
    ids = [f"{number:016x}" for number in range(4)]
    old = empty.model_copy(
        update={
            "trials": [
                *(entry(replicate, None) for replicate in range(3)),  # its weights were not here
                *(entry(replicate, ids[replicate], "vit-long") for replicate in range(3)),
                *(entry(replicate, None, "resnet-long") for replicate in range(3)),
            ]
        }
    )
    new = empty.model_copy(update={"trials": [entry(0, ids[3]), entry(0, ids[0], "vit-long")]})
    listed = {(one.contestant, one.replicate): one.id for one in _with_earlier(new, old).trials}
    assert listed == {
        ("vit-short", 0): ids[3],
        **{("vit-long", replicate): ids[replicate] for replicate in range(3)},
        **{("resnet-long", replicate): None for replicate in range(3)},
    }


@pytest.fixture
def knowing():
    """A listing without its data, as it was named when they were there, and as it was before."""
    unknown = listing(load_suite("quick"), [], [])
    (comparison, *others) = unknown.comparisons
    before = comparison.model_copy(update={"dataset": "folder:photos", "split_id": None})
    there = comparison.model_copy(update={"dataset": "photos", "split_id": "stratified-70-10-20"})
    trial = entry(0, 16 * "a")
    return (
        unknown.model_copy(update={"comparisons": [before, *others], "trials": []}),
        unknown.model_copy(update={"comparisons": [there, *others], "trials": [trial]}),
    )


def test_what_was_known_of_data_that_are_not_here_now_stays(knowing):
    unknown, known = knowing
    assert _with_earlier(unknown, known) == known
    assert _with_earlier(known, unknown) == known


def test_a_merge_takes_over_what_the_other_store_knew_of_the_data(knowing, tmp_path):
    unknown, known = knowing
    for ours, theirs in ((unknown, known), (known, unknown)):
        stores = [RunStore(tmp_path / ours.comparisons[0].dataset / name) for name in ("ours", "theirs")]
        for store, held in zip(stores, (ours, theirs), strict=True):
            store.prepare()
            store.write_suite(held)
        list(merge(stores[1], stores[0]))
        assert stores[0].suite("quick") == known


def test_a_suite_from_another_store_is_still_that_of_its_file(knowing, tmp_path):
    theirs, ours = RunStore(tmp_path / "laptop" / "results"), RunStore(tmp_path / "all")
    theirs.prepare()
    theirs.write_suite(knowing[1].model_copy(update={"file": "../mine.toml"}))
    for _ in range(2):
        list(merge(theirs, ours))
        assert ours.suite("quick").file == "../laptop/mine.toml"
