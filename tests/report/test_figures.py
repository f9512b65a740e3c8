"""Labels that do not overlap, and one look a model."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report.make_store import make_store
from scipy.optimize import minimize

from bench.report.figures import _wrapped, spread_out
from bench.report.render import render
from bench.report.style import SERIES, VARIABLES, assign_styles
from bench.store.run_store import RunStore


def test_labels_with_room_stay_where_they_are():
    targets = np.array([0.5, 0.1, 0.9])
    np.testing.assert_allclose(spread_out(targets, np.full(3, 0.1), 0, 1), targets)


def test_no_labels():
    assert len(spread_out(np.empty(0), np.empty(0), 0, 1)) == 0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.1)), min_size=1, max_size=9),
)
def test_labels_do_not_overlap_and_stay_inside(labels):
    targets, heights = np.array(labels).T
    places = spread_out(targets, heights, 0, 1)
    order = np.argsort(places)
    room = (heights[order][1:] + heights[order][:-1]) / 2
    assert (np.diff(places[order]) >= room - 1e-9).all()
    assert places.min() >= heights[order][0] / 2 - 1e-9
    assert places.max() <= 1 - heights[order][-1] / 2 + 1e-9


def test_labels_move_as_little_as_possible():
    targets, heights = np.array([0.3, 0.32, 0.33, 0.6]), np.array([0.1, 0.06, 0.1, 0.1])
    gaps = (heights[1:] + heights[:-1]) / 2
    best = minimize(
        lambda y: ((y - targets) ** 2).sum(),
        np.linspace(0.1, 0.9, 4),
        constraints=[{"type": "ineq", "fun": lambda y: np.diff(y) - gaps}],
        options={"ftol": 1e-12},
    ).x
    np.testing.assert_allclose(spread_out(targets, heights, 0, 1), best, atol=1e-4)


def listing(models, *comparisons):
    """What of a suite's listing decides the looks: the model of each contestant, and who is compared."""
    return SimpleNamespace(
        contestants={key: SimpleNamespace(model=model) for key, model in models.items()},
        comparisons=[SimpleNamespace(contestants=keys) for keys in comparisons],
    )


def test_a_model_has_one_look_and_a_second_way_of_training_another():
    models = {"vit-pretrained": "vit", "resnet": "resnet50", "vit": "vit", "deit": "vit"}
    looks = assign_styles(listing(models, ["vit-pretrained", "resnet"], ["vit", "deit", "resnet"]))
    assert looks["vit-pretrained"] == looks["vit"] != looks["deit"]
    assert len({look.slot for look in looks.values()}) == 3


def test_every_colour_of_a_figure_follows_the_page():
    assert len(VARIABLES) == len(SERIES) + 4


def test_long_names_stay_within_every_figure(tmp_path):
    long = {
        "vit": "A model with a title of several quite long words in it",
        "deit": "vit_base_patch16_clip_224.laion2b_ft_in12k_in1k",
        "resnet": "convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384",
    }
    render(RunStore(make_store(tmp_path / "store", titles=long)), "tiny", tmp_path / "out", for_paper=True)
    for path in (tmp_path / "out" / "figures").glob("*.png"):
        pixels = np.asarray(Image.open(path).convert("L"))
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert edges.min() == 255, f"{path.name} is cut off"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("ResNet-50", ["ResNet-50"]),
        ("A model with a title of several words", ["A model with a", "title of several…"]),
        ("convnext_base.clip_laion2b_augreg_ft_in12k", ["convnext_base.clip_", "laion2b_augreg_ft_…"]),
    ],
)
def test_labels_have_two_lines_at_most(text, lines):
    assert _wrapped(text, 2).splitlines() == lines


@pytest.mark.parametrize("slot", range(8))
def test_looks_differ_in_more_than_colour(slot):
    names = [str(n) for n in range(20)]
    looks = assign_styles(listing({name: name for name in names}, names))
    others = [look for key, look in looks.items() if key != str(slot)]
    own = looks[str(slot)]
    assert all((own.colour, own.marker) != (other.colour, other.marker) for other in others)
