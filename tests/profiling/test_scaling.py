"""Cost against input size, checked by the arithmetic of a plain transformer."""

import pytest

from bench.networks import find_card
from bench.profiling.cost import cost
from bench.profiling.scaling import scaling, tokens

DEPTH, WIDTH = 12, 192


def scaled(name, sizes, classes=1000):
    card = find_card(name)
    return scaling(card, sizes, lambda size: cost(card, classes=classes, input_size=size))


def test_the_quadratic_term_of_deit_tiny():
    found = scaled("deit_tiny_patch16_224", (96, 160, 224))
    assert [row["tokens"] for row in found["rows"]] == [37, 101, 197]
    for row in found["rows"]:
        n = row["tokens"]
        # Query times key and that times value, in every layer: 2 FLOPs x 2 x n^2 x width.
        assert row["attention_matrices_flops"] == DEPTH * 4 * n**2 * WIDTH
        assert row["attention_share"] == pytest.approx(row["attention_matrices_flops"] / row["flops"])
    assert found["rows"][-1]["flops"] == 2507366400

    def attention_outgrows(side):
        n = side**2 + 1
        layers = DEPTH * 2 * 12 * n * WIDTH**2
        embedding, head = 2 * side**2 * 3 * 16**2 * WIDTH, 2 * WIDTH * 1000
        return DEPTH * 4 * n**2 * WIDTH > layers + embedding + head

    assert found["attention_outgrows_rest_px"] == 16 * next(s for s in range(1, 99) if attention_outgrows(s))


def test_a_cnn_has_no_tokens_and_takes_any_size():
    found = scaled("resnet18", (96, 100, 224))
    assert [row["input_size"] for row in found["rows"]] == [96, 100, 224]
    assert {row["attention_matrices_flops"] for row in found["rows"]} == {0}
    assert {row["tokens"] for row in found["rows"]} == {None} and found["attention_outgrows_rest_px"] is None


def test_a_transformer_takes_multiples_of_its_patches():
    found = scaled("vit_digits", (15, 16, 24), classes=10)
    assert [row["input_size"] for row in found["rows"]] == [16, 24]
    assert tokens(find_card("vit_digits"), 16) == found["rows"][0]["tokens"]
