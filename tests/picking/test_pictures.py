"""What a pick keeps in memory, and images that were decoded before it."""

from dataclasses import replace

import numpy as np
import pytest

from bench.data import cache, open_dataset
from bench.data.cache import decoded
from bench.networks import find_card, resolve_weights
from bench.picking.candidates import Candidate
from bench.picking.features import Extractor, Pictures
from bench.spec.recipe import Augment
from bench.training.observer import Stopped


class Watch:
    """Notes what it is shown; says stop after so many times."""

    def __init__(self, shown=10**9):
        self.phases, self.shown = [], shown

    def progress(self, phase, done, total, **numbers):
        self.phases.append((phase, done, total))

    def should_stop(self):
        return len(self.phases) >= self.shown


@pytest.fixture
def digits(tmp_path):
    return open_dataset("digits", None, tmp_path)


@pytest.fixture
def earlier(digits, monkeypatch):
    """Images that another process has decoded."""
    how = Augment()
    options = {"resize": how.resize, "interpolation": how.interpolation}
    images = decoded(digits, "train", size=how.stored_size(16), **options)
    monkeypatch.setattr(cache, "_checked", {})
    return np.array(images)


def pictures(digits, watch):
    return Pictures(digits, 16, "cpu", Augment(), watch)


def test_images_decoded_before_are_taken_and_their_check_is_shown(digits, earlier):
    watch = Watch()
    images = pictures(digits, watch).at("train", np.array([3, 0]))
    assert np.array_equal(images.batch(np.arange(2)).numpy(), earlier[[3, 0]])
    assert watch.phases and all(phase.startswith("checking decoded") for phase, *_ in watch.phases)
    assert {total for *_, total in watch.phases} == {len(earlier)}


def test_a_check_ends_when_the_time_is_over(digits, earlier):
    with pytest.raises(Stopped):
        pictures(digits, Watch(shown=1)).at("train", np.array([3, 0]))


def test_features_of_another_division_are_those_of_its_images(digits, tmp_path):
    card = find_card("resnet_digits")
    candidate = Candidate(card, resolve_weights(card, "none", tmp_path, download=False), 10, 16)
    train = digits.splits["train"]
    turned = replace(digits, splits=digits.splits | {"train": train[::-1]})
    first, last = np.arange(4), len(train) - 1 - np.arange(4)
    expected = Extractor(candidate, pictures(digits, Watch()), "fp32", Watch()).features("train", last)
    for dataset, positions in ((digits, first), (turned, first)):
        found = Extractor(candidate, pictures(dataset, Watch()), "fp32", Watch()).features("train", positions)
        assert np.allclose(found, expected, atol=1e-5) == (dataset is turned)


def test_what_left_is_forgotten_and_comes_back_the_same(digits, tmp_path):
    card = find_card("resnet_digits")
    weights = resolve_weights(card, "none", tmp_path, download=False)
    candidate = Candidate(card, weights, 10, 16)
    extractor = Extractor(candidate, pictures(digits, Watch()), "fp32", Watch())
    positions = np.arange(5)
    before = extractor.features("train", positions)
    assert "network" in vars(extractor)
    extractor.forget()
    assert "network" not in vars(extractor) and not extractor._features
    assert np.array_equal(extractor.features("train", positions), before)
