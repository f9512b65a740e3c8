import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from bench.metrics.calibration import reliability


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    confidence = rng.beta(5, 2, 1000)
    return confidence, rng.random(1000) < confidence**2


def test_bins_match_scikit_learn(network):
    found = reliability(*network, bins=10)
    accuracy, confidence = calibration_curve(network[1], network[0], n_bins=10)
    filled = found.count > 0
    np.testing.assert_allclose(found.accuracy[filled], accuracy)
    np.testing.assert_allclose(found.confidence[filled], confidence)
    assert found.count.sum() == 1000 and found.bins == 10


def test_ece_matches_a_loop(network):
    confidence, correct = network
    total = 0.0
    for k in range(15):
        inside = [k / 15 < c <= (k + 1) / 15 for c in confidence]
        if any(inside):
            total += sum(inside) / 1000 * abs(correct[inside].mean() - confidence[inside].mean())
    assert reliability(confidence, correct).ece == pytest.approx(total)


def test_known_cases():
    assert reliability([1.0] * 4, [True] * 4).ece == 0
    assert reliability([1.0] * 4, [False] * 4).ece == 1
    found = reliability([0.0, 0.5, 0.5, 1.0], [False, True, False, True], bins=2)
    assert found.count.tolist() == [3, 1]
    assert found.ece == 0
    assert np.isnan(reliability([0.9], [True], bins=2).accuracy[0])


def test_small_types_are_enough(network):
    confidence, correct = network
    assert reliability(confidence.astype(np.float16), correct).ece == pytest.approx(
        reliability(confidence, correct).ece, abs=1e-3
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: reliability([0.5], [True, False]),
        lambda: reliability([], []),
        lambda: reliability([1.5], [True]),
        lambda: reliability([np.nan], [True]),
        lambda: reliability([0.5], [True], bins=0),
    ],
)
def test_what_is_no_probability_is_refused(call):
    with pytest.raises(ValueError):
        call()
