"""How far layers look, against networks of which it is known, and through a store."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inspection.networks import NOT_ONE_MATRIX_A_HEAD, vit

from bench.inspection.reach import reach_of, spread_of
from bench.networks import find_card, make_model, resolve_weights


def loaded(name, size):
    card = find_card(name)
    weights = resolve_weights(card, "none", None, download=False)
    network = make_model(card, weights, classes=10, input_size=size).eval()
    return SimpleNamespace(network=network, size=size)


def test_a_uniform_field_reaches_1_and_a_point_nothing():
    assert spread_of(np.ones((16, 16)), (4, 4)) == pytest.approx(1)
    point = np.zeros((15, 15))
    point[7, 7] = 1
    assert spread_of(point, (1, 1)) == 0
    # One pixel three to the right of the unit, over the mean distance by a plain loop.
    moved = np.zeros((15, 15))
    moved[7, 10] = 2
    mean = np.mean([((i - 7) ** 2 + (j - 7) ** 2) ** 0.5 for i in range(15) for j in range(15)])
    assert spread_of(moved, (1, 1)) == pytest.approx(3 / mean)


def test_a_vit_without_attention_looks_at_its_patch_alone():
    model = loaded("vit_digits", 16)
    with torch.no_grad():
        for block in model.network.blocks:
            block.attn.proj.weight.zero_(), block.attn.proj.bias.zero_()
            block.attn.qkv.weight.zero_(), block.attn.qkv.bias.zero_()
    images = torch.randn(4, 3, 16, 16)
    rows = reach_of(model, images)
    assert [row["depth"] for row in rows] == pytest.approx([1 / 3, 2 / 3, 1])
    for row in rows:
        # Within one patch of 4 px around the unit; queries and keys of zero attend to all alike.
        assert 0 < row["gradient"] < 0.35 and row["attention"] == pytest.approx(1, abs=1e-5)


def test_a_cnn_looks_further_with_depth():
    rows = reach_of(loaded("resnet_digits", 16), torch.randn(4, 3, 16, 16))
    reach = [row["gradient"] for row in rows]
    assert reach[0] < 0.5 < reach[-1] <= 1.2 and {row["attention"] for row in rows} == {None}


def test_how_far_matrices_look_that_a_network_does_not_attend_by_is_not_said():
    for name in NOT_ONE_MATRIX_A_HEAD:
        rows = reach_of(SimpleNamespace(network=vit(name), size=32), torch.randn(2, 3, 32, 32))
        assert len(rows) == 3 and {row["attention"] for row in rows} == {None}
