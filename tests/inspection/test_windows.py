"""Attention within windows, against a loop over tokens that knows where windows lie."""

import itertools
from copy import deepcopy

import numpy as np
import pytest
import timm
import torch

from bench.errors import InputError
from bench.inspection.gallery import draw
from bench.inspection.images import example, sample
from bench.inspection.loading import Loaded
from bench.inspection.view import View
from bench.inspection.windows import read_windows, window_places
from bench.networks import find_card
from bench.spec.recipe import Augment

SMALL = {"img_size": 112, "depths": (2, 2, 1, 1), "embed_dim": 24, "num_heads": (1, 2, 4, 8)}


@pytest.fixture(scope="module")
def swin():
    torch.manual_seed(1)
    network = timm.create_model("swin_tiny_patch4_window7_224", num_classes=5, **SMALL).eval()
    for name, parameter in network.named_parameters():
        if "relative_position_bias_table" in name or "qkv" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def image():
    return torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(2))


def seen_from(block, tokens, row, column):
    """Where a token attends, (heads, rows, columns): its neighbours are those of the same moved window."""
    rows, columns = tokens.shape[:2]
    (tall, wide), (down, right) = block.window_size, block.shift_size
    attn, found = block.attn, {}
    q, k, _ = attn.qkv(tokens).reshape(rows, columns, 3, attn.num_heads, -1).unbind(2)

    def window(r, c):
        # Windows begin at `shift`; what lies before the first one are windows of their own.
        return (r - down) // tall, (c - right) // wide

    for r, c in itertools.product(range(rows), range(columns)):
        if window(r, c) == window(row, column):
            # The table has a row for every offset from -(tall - 1) to tall - 1, query minus key.
            offset = (row - r + tall - 1) * (2 * wide - 1) + column - c + wide - 1
            score = (q[row, column] * k[r, c]).sum(-1) * attn.scale
            found[r, c] = score + attn.relative_position_bias_table[offset]
    shares = torch.stack(list(found.values())).softmax(0)
    whole = torch.zeros(attn.num_heads, rows, columns)
    for (r, c), share in zip(found, shares, strict=True):
        whole[:, r, c] = share
    return whole


@torch.no_grad()
@pytest.mark.parametrize("fused", [True, False])
def test_it_is_softmax_within_moved_windows_and_the_network_stays(swin, image, fused):
    blocks = [block for stage in swin.layers for block in stage.blocks]
    inputs = []
    handles = [one.norm1.register_forward_hook(lambda *a: inputs.append(a[2][0])) for one in blocks]
    for block in blocks:
        block.attn.fused_attn = fused
    before = swin(image)
    for handle in handles:
        handle.remove()
    windows = read_windows(swin, image)
    assert torch.equal(swin(image), before) and {one.attn.fused_attn for one in blocks} == {fused}
    assert [one.grid for one in windows] == [(28, 28)] * 2 + [(14, 14)] * 2 + [(7, 7), (4, 4)]
    assert [one.shift for one in windows] == [(0, 0), (3, 3)] * 2 + [(0, 0)] * 2
    for block, ours, tokens in zip(blocks, windows, inputs, strict=True):
        side = ours.grid[0]
        for row, column in ((0, 0), (side // 2, 1), (side - 1, side - 1), (1, side // 2)):
            apart = seen_from(block, tokens, row, column)
            torch.testing.assert_close(ours.from_token(row, column), apart, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_distance_is_the_mean_over_all_tokens(swin, image):
    for one in read_windows(swin, image)[1:4]:
        side, far = one.grid[0], []
        places = np.stack(np.meshgrid(range(side), range(side), indexing="ij"), -1) * one.patch[0]
        for row, column in itertools.product(range(side), range(side)):
            away = np.linalg.norm(places - places[row, column], axis=-1)
            far.append((one.from_token(row, column).numpy() * away).sum((1, 2)))
        assert one.mean_distance().numpy() == pytest.approx(np.mean(far, 0), rel=1e-5)


@torch.no_grad()
def test_attending_to_all_alike_is_as_far_as_the_closed_form(swin, image):
    swin = deepcopy(swin)
    for block in (block for stage in swin.layers for block in stage.blocks):
        for parameter in (block.attn.qkv.weight, block.attn.relative_position_bias_table):
            parameter.zero_()
    first = read_windows(swin, image)[0]
    assert first.mean_distance().tolist() == pytest.approx([first.uniform_distance()])


@pytest.mark.parametrize(("grid", "window", "shift"), [((8, 12), (4, 4), (2, 2)), ((5, 6), (4, 4), (2, 2))])
def test_every_token_stands_in_one_window(grid, window, shift):
    places = window_places(grid, window, shift)
    assert places.shape[1] == window[0] * window[1]
    assert sorted(places[places >= 0].tolist()) == list(range(grid[0] * grid[1]))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_networks_without_windows_have_none(name, image):
    assert read_windows(timm.create_model(name, **({"img_size": 112} if "vit" in name else {})), image) == []


def test_its_pictures_are_drawn(swin):
    card = find_card("swin_tiny_patch4_window7_224")
    names = [f"class {k}" for k in range(5)]
    model = Loaded("swin", "Swin, RANDOM WEIGHTS", card, swin, "random", 112, Augment(), 128, names, "cpu")
    gallery = draw([View(model, example("flower"), sample(None, "val", 4), patch=(9, 14))])
    values = gallery["attention-patch"].data
    assert set(values.groupby("block").size()) == {784, 2 * 196, 4 * 49, 8 * 16}
    whole = values.groupby(["block", "head"])["attention"].sum()
    assert whole.to_numpy() == pytest.approx(1, abs=1e-3)
    # Row 9 lies in the window of rows 8 to 14, and where windows are moved by 3 in that of 4 to 10.
    for block, low in ((1, 8), (2, 4)):
        rows = values[(values.block == block) & (values.attention > 0)]["row"]
        assert (rows.min(), rows.max()) == (low, low + 6)
    far = gallery["distance"].data
    assert len(far) == 1 + 1 + 2 + 2 + 4 + 8 and not any("distance" in one for one in gallery.left_out)
    with pytest.raises(InputError, match="1,1 to 28,28"):
        View(model, example("flower"), sample(None, "val", 4), patch=(29, 1)).check()
