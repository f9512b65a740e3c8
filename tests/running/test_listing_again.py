"""What a store lists of a suite whose trials could not be resolved when it was listed first."""

from bench.planning.listing import listing
from bench.running.runner import _with_earlier
from bench.spec.suite import load_suite
from bench.store.records.listing import TrialEntry


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
