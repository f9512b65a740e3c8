"""What the answer of a pick says of planted accuracies."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.networks import find_card
from bench.picking.answer import Answer
from bench.picking.pick import Picked
from bench.picking.race import Race, Standing
from bench.picking.scores import Score
from bench.picking.sentences import sentences
from bench.picking.suite import length_in
from bench.picking.trained import Trained

FIRST, SECOND, LAST = "resnet50", "tf_efficientnet_lite0", "deit_tiny_patch16_224"
NEITHER = "mixer_b16_224"
TITLE = {name: find_card(name).title for name in (FIRST, SECOND, LAST, NEITHER)}


def right(share, images):
    return np.arange(images) < share * images


def planted(**on_val):
    """A pick whose race has the order of the arguments, each right on such a share of 400 val images."""
    val, entered, standings = np.arange(400), {}, {}
    for place, (name, share) in enumerate(on_val.items()):
        card, on_train = find_card(name), right(0.8 - place / 100, 100)
        standings[name] = Standing([(100, Score(on_train, on_train, np.arange(100), 1e-3, None))])
        entered[name] = SimpleNamespace(
            candidate=SimpleNamespace(card=card, parameters=5e6), kind=card.kind, judged=right(share, 400),
            upstream_top1=card.upstream_top1, images_per_s=50.0, latency_ms=20.0, batch=8,
        )  # fmt: skip
    labels = np.arange(400) % 2
    dataset = SimpleNamespace(
        groups=None, class_names=["a", "b"], split_labels=lambda split: labels,
        splits={"train": np.arange(100), "val": val, "test": np.arange(400)},
    )  # fmt: skip
    race = Race(standings, 100, "all training images were used")
    return Picked(dataset, 224, "fp32", "cpu", entered, race, [], val, 10.0, 600.0)


def test_a_judged_model_that_is_surely_better_is_taken():
    picked = planted(**{FIRST: 0.7, SECOND: 0.8, LAST: 0.62})
    take, cost, _ = sentences(picked, {})
    assert take.startswith(
        f"Take {TITLE[SECOND]}, which is better on val than {TITLE[FIRST]} (70.0 %), the first of the race, "
        "and told apart from it: a linear probe"
    )
    assert "right on 80.0 % of 400 val images, a little too good as they have chosen it" in take
    assert cost.startswith(TITLE[SECOND])
    assert Answer(picked, [], "", None, {}, {}).best == SECOND
    _, names = length_in(picked, 1e9)
    assert names == [SECOND, FIRST, LAST]

    take, *_ = sentences(planted(**{FIRST: 0.7, LAST: 0.79, SECOND: 0.8}), {})
    assert take.startswith(f"{TITLE[SECOND]} is better on val than {TITLE[FIRST]} (70.0 %)")
    assert f"but is not told apart from {TITLE[LAST]} (79.0 %)" in take

    take, *_ = sentences(planted(**{FIRST: 0.8, SECOND: 0.805, LAST: 0.62}), {})
    assert take.startswith(
        f"{TITLE[FIRST]} came first in the race, but is not told apart from {TITLE[SECOND]}"
    )
    take, *_ = sentences(planted(**{FIRST: 0.8, SECOND: 0.7, LAST: 0.62}), {})
    assert take.startswith(f"Take {TITLE[FIRST]}: ") and "that had no part in choosing it" in take


@pytest.mark.parametrize(("other", "taken"), [(0.6, True), (0.9, False)])
def test_the_best_on_val_is_not_taken_where_another_is_surely_better_on_test(other, taken):
    picked = planted(**{FIRST: 0.7, SECOND: 0.7})
    trained = {
        ("finetune", FIRST): Trained(0.75, 0.7, right(0.7, 400)),
        ("finetune", SECOND): Trained(0.7, other, right(other, 400)),
    }
    take, *_ = sentences(picked, trained)
    behind = f"but is behind {TITLE[SECOND]} fine-tuned ({100 * other:.1f} %) on the test images"
    assert take.startswith("Take ") == taken and (behind in take) != taken


@pytest.mark.parametrize(
    ("first", "other", "word"),
    [
        (FIRST, LAST, "ViT"),
        (LAST, FIRST, "CNN"),
        (FIRST, NEITHER, "model of another family"),
        (NEITHER, FIRST, "CNN"),
    ],
)
def test_the_other_family_has_its_own_name(first, other, word):
    picked = planted(**{first: 0.9, other: 0.6})
    trained = {("finetune", name): Trained(0.5, 0.5, None) for name in (first, other)}
    said = f"The best {word}, {TITLE[other]}"
    *_, judged = sentences(picked, {})
    *_, tuned = sentences(picked, trained)
    for one in picked.entered.values():
        one.judged = None
    *_, raced = sentences(picked, {})
    assert all(line.startswith(said) for line in (judged, tuned, raced))
