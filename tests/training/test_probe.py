"""Linear probes against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from bench.data import open_dataset
from bench.spec.recipe import Probe, load_recipe
from bench.training import probe
from bench.training.observer import Stopped
from bench.training.probe import Regression, _splits, expected_seconds, fit

MODELS = ("deit_tiny_patch16_224_lnq", "tf_efficientnet_lite0")


def blobs(images, width, classes=6, spread=0.6, seed=0):
    """Features around a mean for each class, none of them near zero length, and their labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centres = random.normal(size=(classes, width))
    features = (
        1 + centres[labels] + spread * random.normal(size=(images, width)) * random.uniform(0.5, 4, width)
    )
    return features.astype(np.float32), labels


def reference(l2):
    return make_pipeline(Normalizer(), LogisticRegression(C=1 / l2, tol=1e-10, max_iter=100_000))


@pytest.mark.parametrize("l2", [1e-5, 1e-3, 1e-1, 10.0])
@pytest.mark.parametrize(("images", "width"), [(120, 15), (60, 200)])
def test_the_solution_is_that_of_scikit_learn(images, width, l2):
    features, labels = blobs(images, width)
    probe = fit(features, labels, 6, Probe(l2_fixed=l2, cv_from=10_000), seed=0)
    theirs = reference(l2).fit(features.astype(float), labels)[-1]
    largest = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(probe.weight, theirs.coef_, atol=2e-3 * largest)
    bias = probe.bias - probe.bias.mean()
    np.testing.assert_allclose(bias, theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3 * largest)
    assert probe.l2 == l2 and probe.cross_validation is None


@pytest.mark.parametrize("l2", [1e-6, 1e-2])
def test_the_gradient_is_gone(l2):
    features, labels = blobs(90, 40)
    probe = fit(features, labels, 6, Probe(l2_fixed=l2, cv_from=10_000), seed=0)
    x = torch.nn.functional.normalize(torch.from_numpy(features).double())
    weight, bias = (torch.from_numpy(a).double().requires_grad_(True) for a in (probe.weight, probe.bias))
    loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, torch.from_numpy(labels), reduction="sum")
    (loss + l2 / 2 * weight.square().sum()).backward()
    size = float(torch.cat([weight.grad.flatten(), bias.grad]).norm() / (l2 * weight.detach().norm()))
    assert size < 2e-3 and probe.gradient <= 1e-3


def test_the_path_in_single_precision_stays_at_the_minimum():
    features, labels = blobs(150, 60, spread=1.5)
    x = torch.from_numpy(Normalizer().transform(features))
    x -= x.mean(0)
    path = Regression(x, torch.from_numpy(labels), 6)
    for l2 in (10.0, 0.1, 1e-3, 1e-5, 1e-7):
        ours = path.solve(l2, 5e-3).numpy()
        assert path.gradient <= 5e-3
        theirs = reference(l2).fit(features.astype(float), labels)[-1].coef_
        np.testing.assert_allclose(ours[:, :-1], theirs, atol=5e-3 * np.abs(theirs).max())


@pytest.mark.parametrize(("images", "folds"), [(120, 5), (12, 2)])
def test_the_strength_has_the_lowest_nll_of_scikit_learns_cross_validation(images, folds):
    features, labels = blobs(images, 15, spread=1.0)
    recipe = Probe(l2=tuple(10.0**power for power in range(-7, 3)), cv_from=12)
    probe = fit(features, labels, 6, recipe, seed=3)
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=3).split(features, labels))
    theirs = {
        f"{l2:g}": -cross_val_score(
            reference(l2), features.astype(float), labels, cv=splits, scoring="neg_log_loss"
        )
        @ np.array([len(held) for _, held in splits])
        / images
        for l2 in recipe.l2
    }
    assert f"{probe.l2:g}" == min(theirs, key=theirs.get)
    for l2, ours in probe.cross_validation.items():
        assert ours == pytest.approx(theirs[l2], rel=0.03)
    assert len(probe.cross_validation) < len(recipe.l2)  # the path ended when NLL had turned


def test_a_strength_keeps_its_meaning_when_images_are_doubled():
    features, labels = blobs(60, 15)
    twice = np.concatenate([features, features]), np.concatenate([labels, labels])
    once = fit(features, labels, 6, Probe(l2_fixed=0.01, cv_from=10_000), seed=0)
    both = fit(*twice, 6, Probe(l2_fixed=0.02, cv_from=10_000), seed=0)
    np.testing.assert_allclose(once.weight, both.weight, atol=2e-3 * np.abs(once.weight).max())


def test_lengths_of_features_do_not_matter():
    features, labels = blobs(60, 15)
    lengths = np.random.default_rng(1).uniform(0.01, 100, (60, 1)).astype(np.float32)
    one, other = (fit(x, labels, 6, Probe(cv_from=12), seed=0) for x in (features, lengths * features))
    assert one.l2 == other.l2
    np.testing.assert_allclose(one.logits(features), other.logits(lengths * features), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("images", "classes", "chosen"), [(99, 6, False), (100, 6, True), (110, 60, False)])
def test_few_images_are_not_cross_validated(images, classes, chosen):
    probe = fit(*blobs(images, 10, classes), classes, Probe(), seed=0)
    assert (probe.cross_validation is not None) == chosen
    assert chosen or probe.l2 == Probe().l2_fixed


@pytest.mark.parametrize(
    ("images", "folds", "used"), [(12, 2, 2), (60, 5, 5), (2000, 5, 5), (5000, 5, 2), (20_000, 5, 1)]
)
def test_large_subsets_hold_out_two_thousand_images(images, folds, used):
    labels = np.arange(images) % 6
    splits = _splits(labels, 6, Probe(cv_from=12), seed=0)
    assert len(splits) == used
    for kept, held in splits:
        assert len(held) == pytest.approx(images / folds, abs=6) and len(np.union1d(kept, held)) == images
    assert used == folds or sum(len(held) for _, held in splits) >= 2000


def test_the_same_seed_gives_the_same_probe():
    features, labels = blobs(60, 15)
    one, same, other = (fit(features, labels, 6, Probe(cv_from=12), seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.weight, same.weight) and one.cross_validation == same.cross_validation
    assert one.cross_validation != other.cross_validation


def test_zeros_constants_and_rare_classes_do_no_harm():
    features, labels = blobs(60, 15)
    features[3] = 0
    features[:, 4:6] = 7
    labels[labels == 5] = 0
    labels[7] = 4
    labels[(labels == 4) & (np.arange(60) != 7)] = 1  # one image of class 4, none of class 5
    probe = fit(features, labels, 6, Probe(cv_from=12), seed=0)
    assert np.isfinite(probe.logits(features)).all() and probe.weight.shape == (6, 15)
    assert probe.cross_validation


@pytest.mark.parametrize("calls", [0, 1, 7, 60])
def test_a_fit_stops_the_moment_it_is_asked_to(calls):
    features, labels = blobs(5000, 30)
    asked = []

    def should_stop():
        asked.append(1)
        return len(asked) > calls

    with pytest.raises(Stopped):
        fit(features, labels, 6, Probe(), seed=0, should_stop=should_stop)
    assert len(asked) == calls + 1


def test_more_work_is_expected_to_take_longer():
    recipe = load_recipe("linear-probe").probe
    sizes = ((100, 192, 10), (2000, 192, 10), (2000, 1280, 10), (2000, 1280, 100), (60_000, 1280, 100))
    seconds = [expected_seconds(*size, recipe) for size in sizes]
    assert seconds[0] > 0 and seconds == sorted(seconds)


# --- no family of networks is favoured


def accuracies(pipeline, features, labels, shots, draws):
    """Mean top-1 on the images that are not drawn."""
    classes = labels.max() + 1
    found = []
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(labels))
        train = np.concatenate([order[labels[order] == label][:shots] for label in range(classes)])
        test = np.setdiff1d(order, train)
        found.append((pipeline(features[train], labels[train], features[test]) == labels[test]).mean())
    return float(np.mean(found))


def ours(x, y, test):
    return fit(x, y, y.max() + 1, Probe(), seed=0).logits(test).argmax(1)


def by(*steps):
    return lambda x, y, test: make_pipeline(*steps).fit(x, y).predict(test)


def nearest_class_mean(x, y, test):
    means = np.stack([x[y == label].mean(0) for label in range(y.max() + 1)])
    return np.square(test[:, None] - means).sum(2).argmin(1)


REGRESSION = LogisticRegression(C=100, max_iter=5000)
DRAWS = 6


def test_half_zeros_are_no_handicap():
    """The same features once as they are, once as their positive and negative parts, as behind a ReLU."""
    random = np.random.default_rng(0)
    labels = np.arange(300) % 5
    dense = (0.55 * random.normal(size=(5, 60))[labels] + random.normal(size=(300, 60))).astype(np.float32)
    halves = np.concatenate([np.maximum(dense, 0), np.maximum(-dense, 0)], 1)
    here = [accuracies(ours, x, labels, 1, DRAWS) for x in (dense, halves)]
    scaled = [accuracies(by(StandardScaler(), REGRESSION), x, labels, 1, DRAWS) for x in (dense, halves)]
    assert abs(here[0] - here[1]) < 0.04
    assert scaled[0] - scaled[1] > 0.1  # what a scale per feature makes of them


def test_on_flowers_the_same_network_is_ahead_as_without_any_scaling(real_data):
    """Five classes of Flowers102, ten images of each, one of them to learn from."""
    from PIL import Image
    from torchvision.transforms import v2

    from bench.networks import find_card, make_model, resolve_weights

    dataset = open_dataset("flowers102", "official", real_data)
    labels = dataset.split_labels("train")
    chosen, labels = dataset.splits["train"][labels < 5], labels[labels < 5]
    view = v2.Compose(
        [v2.Resize(256), v2.CenterCrop(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    )
    images = torch.stack([view(Image.fromarray(dataset.read(int(index)))) for index in chosen])
    features = {}
    for name in MODELS:
        card = find_card(name)
        weights = resolve_weights(card, "card", real_data / "weights", download=False)
        network = make_model(card, weights, classes=5, input_size=224).eval()
        x = v2.Normalize(card.mean, card.std)(images)
        with torch.no_grad():
            features[name] = network.forward_head(network.forward_features(x), pre_logits=True).numpy()

    def gap(way):
        return np.subtract(*(accuracies(way, features[name], labels, 1, DRAWS) for name in MODELS))

    ways = {
        "ours": ours,
        "raw": by(LogisticRegression(max_iter=5000)),
        "unit length": by(Normalizer(), REGRESSION),
        "nearest class mean": nearest_class_mean,
    }
    gaps = {name: gap(way) for name, way in ways.items()}
    assert all(found < 0 for found in gaps.values()), gaps
    assert gap(by(StandardScaler(), REGRESSION)) > 0  # what a scale per feature makes of it


def test_the_expected_seconds_of_a_fit_are_its_operations_over_the_rate(monkeypatch):
    """Two more images cost two more rows of every product: of both ways of each pass, and of the axes."""
    recipe = load_recipe("linear-probe").probe
    rate, width, classes = 1e6, 16, 10
    monkeypatch.setattr(probe, "multiplications_per_s", lambda: rate)
    fewer, more = (expected_seconds(images, width, classes, recipe) for images in (1000, 1002))
    passes = probe.PASSES_FINAL + probe.PASSES_FOLD * recipe.folds
    assert (more - fewer) * rate == pytest.approx(2 * width * (4 * classes * passes + 2 * width))
    assert fewer > probe.OVERHEAD_S


def test_the_rate_is_of_the_products_that_were_timed(monkeypatch):
    clock = iter([3.0, 5.0])
    monkeypatch.setattr(probe.time, "perf_counter", lambda: next(clock))
    # 10 products of (ROWS, 256) and (256, 64), of two operations a term, in 2 s.
    assert probe.multiplications_per_s.__wrapped__() == 10 * 2 * probe.ROWS * 256 * 64 / 2


def test_groups_are_in_one_fold():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    labels = rng.integers(0, 3, 120)
    splits = _splits(labels, 3, Probe(cv_from=12, folds=5), 0, groups)
    assert len(splits) == 5
    assert np.sort(np.concatenate([held for _, held in splits])).tolist() == list(range(120))
    for kept, held in splits:
        assert len(kept) + len(held) == 120 and not set(groups[kept]) & set(groups[held])
    assert len(_splits(labels, 3, Probe(cv_from=12, folds=5), 0, groups // 10)) == 2
    assert _splits(labels, 3, Probe(cv_from=12, folds=5), 0, groups * 0) == []
