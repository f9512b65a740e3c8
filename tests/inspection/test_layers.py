"""Filters, positions, receptive fields and CKA against closed forms and theory."""

import numpy as np
import pytest
import torch
from inspection.networks import resnet, vit
from torch import nn

from bench.inspection.cka import linear_cka
from bench.inspection.embeddings import first_convolution, position_similarity, principal_filters
from bench.inspection.receptive import middle_of, receptive_fields, side_of
from bench.inspection.tokens import NotShown, Tokens, tokens_of


class Stack(nn.Module):
    """Layers of 3 x 3 convolutions, with the feature map after each, as timm gives them."""

    def __init__(self, depth, stride=1):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(3 if not k else 4, 4, 3, stride if not k else 1, padding=1) for k in range(depth)
        )

    def forward_intermediates(self, x, intermediates_only=True):
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps


@pytest.mark.parametrize("stride", [1, 2])
def test_receptive_field_of_stacked_convolutions(stride):
    """2 k + 1 px after k layers of stride 1; after one of stride 2, 4 k - 1."""
    torch.manual_seed(0)
    network, images = Stack(4, stride), torch.randn(3, 3, 33, 33)
    shapes = [one.shape for one in network.forward_intermediates(images)]
    for k, field in enumerate(receptive_fields(network, images, range(4)), start=1):
        side = 2 * k + 1 if stride == 1 else 4 * k - 1
        rows, columns = np.nonzero(field.numpy())
        assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == side
        middle = shapes[k - 1][2] // 2 * stride
        assert (rows.min() + rows.max()) / 2 == middle
        if stride == 1:
            assert side_of(field, (middle + 0.5, middle + 0.5), 1.0) == side


def test_gradient_of_the_middle_is_a_convolution_of_the_kernels():
    """Of two layers with one positive kernel: its convolution with itself."""
    network = Stack(2)
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.fill_(1.0)
        network.layers[1].weight[1:] = 0
    (field,) = receptive_fields(network, torch.zeros(1, 3, 9, 9), [1])
    expected = np.convolve([1, 1, 1], [1, 1, 1])
    np.testing.assert_allclose(
        field.numpy()[2:7, 2:7] / field.numpy().max(), np.outer(expected, expected) / 9, rtol=1e-6
    )


def test_side_holds_the_share():
    field = torch.zeros(11, 11)
    field[5, 5], field[5, 8] = 3.0, 1.0
    assert side_of(field, (5.5, 5.5), 0.7) == 1
    assert side_of(field, (5.5, 5.5), 0.9) == 7


def test_middle_is_where_the_unit_looks():
    """A square of 4 px somewhere, and a weak background everywhere."""
    field = torch.full((32, 32), 0.01)
    field[8:12, 20:24] = 1.0
    assert middle_of(field, 8) == (10.0, 22.0)
    assert side_of(field, (10.0, 22.0), 0.5) == 4


def test_principal_filters_of_planted_ones():
    """Filters that are multiples of two patterns have these two as components."""
    generator = np.random.default_rng(0)
    patterns = np.linalg.qr(generator.normal(size=(48, 2)))[0].T
    weights = generator.normal(size=(20, 2)) * [5, 1] @ patterns
    filters, shares = principal_filters(torch.tensor(weights).reshape(20, 3, 4, 4), 5)
    assert filters.shape == (5, 3, 4, 4) and float(shares[:2].sum()) == pytest.approx(1)
    held = filters[:2].flatten(1).numpy() @ patterns.T
    np.testing.assert_allclose(np.linalg.norm(held, axis=1), 1, atol=1e-6)


def test_positions_of_sines_are_alike_by_their_distance():
    """Cosines of sine embeddings have a closed form: the mean of cos(frequency x distance)."""
    network = vit(img_size=48, patch_size=8, embed_dim=32, num_heads=2)
    tokens = tokens_of(network, 48)
    frequencies = 1 / 10 ** (np.arange(8) / 8)
    rows, columns = np.indices(tokens.grid).reshape(2, -1)
    angles = [np.outer(place, frequencies) for place in (rows, columns)]
    embedding = np.concatenate([wave(a) for a in angles for wave in (np.sin, np.cos)], axis=1)
    with torch.no_grad():
        network.pos_embed[0, 1:] = torch.tensor(embedding)
    similar = position_similarity(network, tokens).numpy()
    for row, column, other_row, other_column in ((0, 0, 0, 0), (2, 3, 5, 1), (4, 4, 4, 0)):
        away = np.array([row - other_row, column - other_column])
        expected = np.cos(np.outer(away, frequencies)).mean()
        assert similar[row, column, other_row, other_column] == pytest.approx(expected, abs=1e-6)


def test_what_has_no_positions_or_no_convolution_says_so():
    with pytest.raises(NotShown, match="position embeddings"):
        position_similarity(resnet(), Tokens((), (4, 4), (8, 8), True))
    with pytest.raises(NotShown, match="convolution"):
        first_convolution(nn.Linear(3, 3))


def batches(*layers, size=16):
    """Pairs of layers in minibatches."""
    for start in range(0, len(layers[0]), size):
        yield [layers[0][start : start + size]], [layers[1][start : start + size]]


def test_cka_with_itself_and_with_a_rotation_is_one():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 10, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(10, 10, generator=generator, dtype=torch.float64))[0]
    assert float(linear_cka(batches(x, x))) == pytest.approx(1)
    assert float(linear_cka(batches(x, 3 * x @ turn + 5))) == pytest.approx(1)


def test_cka_of_unrelated_features_is_about_zero_where_the_biased_one_is_not():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(512, 40, generator=generator, dtype=torch.float64) for _ in range(2))
    assert abs(float(linear_cka(batches(x, y)))) < 0.05
    (few, other), centre = (x[:16], y[:16]), torch.eye(16) - 1 / 16
    k, m = (centre.double() @ one @ one.T @ centre.double() for one in (few, other))
    assert float((k * m).sum() / (k.norm() * m.norm())) > 0.5


def test_hsic_is_the_mean_over_all_quadruples():
    """Song et al.: the unbiased estimate is a U-statistic of distinct quadruples."""
    from itertools import permutations

    from bench.inspection.cka import unbiased_hsic

    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(6, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    k, m = (x @ x.T).numpy(), (y @ y.T).numpy()
    terms = [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in permutations(range(6), 4)]
    assert float(unbiased_hsic(torch.tensor(k), torch.tensor(m))) == pytest.approx(np.mean(terms))
