"""Attention as it is read, against softmax(Q K^T / sqrt d) computed apart and against planted weights."""

import numpy as np
import pytest
import timm
import torch
from inspection.networks import NO_TOKENS_IN_FRONT, NOT_ONE_MATRIX_A_HEAD, VITS, hybrid, resnet, vit
from torch.nn import functional

from bench.inspection.attention import AttentionReader, by_gradient, mean_distance, rollout, uniform_distance
from bench.inspection.tokens import NotShown, Tokens, after_blocks, tokens_of


def images(size, count=2):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def apart(network, pixels):
    """Attention of every block from its own Q and K, with nothing but products."""
    every, handles = [], []

    def note(block, inputs):
        x = inputs[0]
        n, length, width = x.shape
        weight, bias = block.qkv.weight, block.qkv.bias
        q, k, _ = functional.linear(x, weight, bias).reshape(n, length, 3, block.num_heads, -1).unbind(2)
        scores = torch.einsum("nqhd,nkhd->nhqk", q, k) / (width / block.num_heads) ** 0.5
        every.append(scores.exp() / scores.exp().sum(-1, keepdim=True))

    for block in network.blocks:
        handles.append(block.attn.register_forward_pre_hook(note))
    with torch.no_grad():
        network(pixels)
    for handle in handles:
        handle.remove()
    return every


@pytest.mark.parametrize("name", VITS)
@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_softmax_of_q_and_k_and_the_logits_stay(name, fused):
    network = VITS[name]()
    for block in network.blocks:
        block.attn.fused_attn = fused
    size = network.patch_embed.img_size[0]
    pixels, tokens = images(size), tokens_of(network, size)
    with torch.no_grad():
        before = network(pixels)
        reader = AttentionReader(network, tokens)
        logits, attention = reader(pixels)
        assert torch.equal(network(pixels), before), "the network itself is left as it is"
    assert [block.attn.fused_attn for block in network.blocks] == [fused] * 3
    torch.testing.assert_close(logits, before, atol=1e-5, rtol=0)
    if not fused:
        assert torch.equal(logits, before)
    assert len(attention) == 3
    for ours, theirs in zip(attention, apart(network, pixels), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_tokens_of_every_kind():
    assert tokens_of(VITS["class token"](), 32) == Tokens(("class token",), (4, 4), (8, 8), False)
    distilled = tokens_of(VITS["distilled"](), 32)
    assert distilled.names == ("class token", "distillation token")
    assert distilled.reader == "class token and distillation token"
    rows = torch.arange(18.0)[:, None]
    assert distilled.read(rows) == 0.5 and tokens_of(VITS["no class token"](), 32).read(rows[:16]) == 7.5
    registers = tokens_of(VITS["registers"](), 32)
    assert registers.names == ("register 1", "register 2", "register 3", "register 4") and registers.pooled
    assert tokens_of(VITS["no class token"](), 32) == Tokens((), (4, 4), (8, 8), True)
    assert tokens_of(VITS["larger"](), 64).grid == (8, 8)
    assert tokens_of(hybrid(), 64) == Tokens(("class token",), (2, 2), (32, 32), False)
    assert tokens_of(vit(img_size=42), 42) == Tokens(("class token",), (5, 5), (8, 8), False)
    with pytest.raises(NotShown):
        tokens_of(resnet(), 32)
    with pytest.raises(NotShown):
        tokens_of(timm.create_model("xcit_nano_12_p16_224"), 224)


@pytest.mark.parametrize("name", NO_TOKENS_IN_FRONT)
def test_tokens_of_a_network_that_has_none_in_front(name):
    network, given = vit(name), []
    assert tokens_of(network, 32) == Tokens((), (4, 4), (8, 8), True)
    for block in network.blocks:
        block.register_forward_hook(lambda *passed: given.append(passed[2]))
    with torch.no_grad():
        for ours, theirs in zip(after_blocks(network, images(32)), given, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("name", "said"), NOT_ONE_MATRIX_A_HEAD.items())
def test_matrices_that_a_network_does_not_attend_by_are_not_read(name, said):
    network = vit(name)
    with torch.no_grad(), pytest.raises(NotShown, match=said):
        AttentionReader(network, tokens_of(network, 32))(images(32))


def plant(network, scores):
    """Have every block attend by `scores` (tokens, tokens) before softmax, whatever the image."""
    tokens = scores.shape[0]
    width = network.embed_dim
    with torch.no_grad():
        network.patch_embed.proj.weight.zero_()
        network.patch_embed.proj.bias.zero_()
        if network.cls_token is not None:
            network.cls_token.zero_()
        # One direction a token: LayerNorm of a one-hot vector is one-hot but for a constant.
        network.pos_embed.copy_(torch.eye(tokens, width)[None])
        for block in network.blocks:
            for parameter in (*block.mlp.parameters(), *block.attn.proj.parameters()):
                parameter.zero_()
            block.attn.qkv.weight.zero_()
            block.attn.qkv.bias.zero_()
            head = block.attn.head_dim
            left, singular, right = torch.linalg.svd(scores)
            assert head >= tokens
            gain = 1 / block.norm1(torch.eye(tokens, width))[0, 0].item()
            block.attn.qkv.weight[:tokens, :tokens] = (left * singular).T * gain * block.attn.scale**-1
            block.attn.qkv.weight[width : width + tokens, :tokens] = right * gain


@pytest.mark.parametrize("what", ["diagonal", "class token"])
def test_planted_attention_is_read(what):
    network = vit(img_size=16, embed_dim=64, num_heads=1)
    scores = torch.eye(5) * 40 if what == "diagonal" else torch.eye(5)[:1].repeat(5, 1) * 40
    plant(network, scores)
    tokens = tokens_of(network, 16)
    with torch.no_grad():
        _, attention = AttentionReader(network, tokens)(images(16, 1))
    expected = torch.eye(5) if what == "diagonal" else torch.eye(5)[:1].repeat(5, 1)
    for one in attention:
        torch.testing.assert_close(one[0, 0], expected, atol=1e-3, rtol=0)


def test_rollout_by_hand():
    one = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    other = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    rolled = rollout(torch.stack([one, other])[:, None])
    first = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    torch.testing.assert_close(rolled[0], first)
    torch.testing.assert_close(rolled[1], torch.tensor([[1.0, 0.0], [0.5, 0.5]]) @ first)


@pytest.mark.parametrize(("rows", "columns", "patch"), [(4, 4, (8, 8)), (3, 5, (16, 16)), (2, 3, (4, 8))])
def test_uniform_attention_has_its_closed_form(rows, columns, patch):
    """The mean over offsets, each as often as it fits into the grid."""
    tokens = Tokens(("class token",), (rows, columns), patch, False)
    expected = (
        sum(
            (rows - abs(down)) * (columns - abs(right)) * np.hypot(down * patch[0], right * patch[1])
            for down in range(1 - rows, rows)
            for right in range(1 - columns, columns)
        )
        / (rows * columns) ** 2
    )
    assert uniform_distance(tokens) == pytest.approx(expected)
    uniform = torch.full((2, 3, tokens.count, tokens.count), 1 / tokens.count)
    np.testing.assert_allclose(mean_distance(uniform, tokens), expected)


def test_attention_to_itself_and_to_a_neighbour_has_its_distance():
    tokens = Tokens((), (1, 4), (16, 16), True)
    assert float(mean_distance(torch.eye(4)[None, None], tokens)) == 0
    to_the_right = torch.roll(torch.eye(4), 1, 1)
    assert float(mean_distance(to_the_right[None, None], tokens)) == pytest.approx((3 * 16 + 48) / 4)
    with_class = torch.zeros(5, 5)
    with_class[:, 0], with_class[1:, 1:] = 0.5, to_the_right / 2
    in_front = Tokens(("class token",), (1, 4), (16, 16), False)
    assert float(mean_distance(with_class[None, None], in_front)) == pytest.approx((3 * 16 + 48) / 4)


@pytest.mark.parametrize("options", [{}, {"class_token": False, "global_pool": "avg"}])
def test_evidence_by_gradient_falls_on_the_patch_that_decides(options):
    """Of two patches that are attended to alike, the value of one alone moves the class."""
    network = vit(img_size=16, embed_dim=64, num_heads=1, depth=1, **options)
    tokens = tokens_of(network, 16)
    decides = tokens.prefix + 2
    scores = torch.zeros(tokens.count, tokens.count)
    scores[:, decides - 1 : decides + 1] = 3
    plant(network, scores)
    with torch.no_grad():
        block = network.blocks[0].attn
        block.qkv.weight[2 * 64 :] = torch.eye(64)
        block.proj.weight.copy_(torch.eye(64))
        network.head.weight.zero_()
        network.head.weight[1, decides] = 1
    relevance = by_gradient(AttentionReader(network, tokens), images(16, 1), 1)
    of_patches = tokens.on_grid(tokens.read(relevance)).flatten()
    assert int(of_patches.argmax()) == 2
    assert (of_patches[[0, 1, 3]] < 0.1 * of_patches[2]).all()


def test_evidence_by_gradient_is_that_of_its_authors_but_for_the_identity():
    """(I + A_3) (I + A_2) (I + A_1) - I; of a class token the identity is in no patch."""
    network, pixels = vit(), images(32, 1)
    tokens = tokens_of(network, 32)
    reader = AttentionReader(network, tokens)
    logits, attention = reader(pixels)
    gradients = torch.autograd.grad(logits[0, 2], attention)
    expected = torch.eye(tokens.count)
    for weights, gradient in zip(attention, gradients, strict=True):
        positive = (weights * gradient).clamp(min=0)[0].mean(0)
        expected = (torch.eye(tokens.count) + positive) @ expected
    ours = by_gradient(reader, pixels, 2)
    torch.testing.assert_close(ours + torch.eye(tokens.count), expected)
    torch.testing.assert_close(tokens.read(ours)[1:], expected[0, 1:])
