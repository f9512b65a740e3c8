"""How the cost of a model grows with the size of its input, and where attention outgrows the rest."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.networks import make_model
from bench.profiling.config import round_to_patch
from bench.spec.card import Card


def scaling(card: Card, sizes: Sequence[int], count: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """Costs at several input sizes.

    Args:
        card: the model; a transformer takes the sizes that are multiples of its patches, or the nearest.
        sizes: in px.
        count: gives the model's cost at an input size, as `bench.profiling.cost.cost`.

    Returns:
        rows, one a size: input_size, tokens (None where the network has no sequence of patches), params,
        flops, gmacs, attention_matrices_flops, attention_share (of flops), activations_m.
        attention_outgrows_rest_px: the smallest multiple of the patch at which the products of activations
        with activations take more FLOPs than everything else; None where they do not grow with the square
        of the tokens while the rest grows in proportion to them.

    Raises:
        InputError: the network cannot be made for a size.
    """
    rows = []
    for size in dict.fromkeys(round_to_patch(size, card.patch) for size in sizes):
        cost_at = count(size)
        attention = cost_at["by_part"]["attention_matrices"]
        rows.append(
            {
                "input_size": size,
                "tokens": tokens(card, size),
                "attention_matrices_flops": attention,
                "attention_share": attention / cost_at["flops"],
                **{name: cost_at[name] for name in ("params", "flops", "gmacs", "activations_m", "counter")},
            }
        )
    return {"rows": rows, "attention_outgrows_rest_px": _crossing(card, rows)}


def tokens(card: Card, input_size: int) -> int | None:
    """Length of the sequence that attention works on, class tokens included; None for other networks."""
    import torch

    from bench.networks import resolve_weights

    weights = resolve_weights(card, "none", Path(), download=False)
    with torch.device("meta"):
        network = make_model(card, weights, classes=1, input_size=input_size)
    patches = getattr(getattr(network, "patch_embed", None), "num_patches", None)
    prefix = getattr(network, "num_prefix_tokens", None)
    return None if patches is None or prefix is None else patches + prefix


def _crossing(card: Card, rows: list[dict[str, Any]]) -> int | None:
    """From attention = a n^2 and rest = b n + c in n tokens, which all rows have to meet exactly."""
    if len(rows) < 3 or card.patch is None or any(row["tokens"] is None for row in rows):
        return None
    first, last = rows[0], rows[-1]
    n, m = first["tokens"], last["tokens"]
    rest, more = (row["flops"] - row["attention_matrices_flops"] for row in (first, last))
    a, b = first["attention_matrices_flops"] / n**2, (more - rest) / (m - n)
    c = rest - b * n
    for row in rows:
        attention = row["attention_matrices_flops"]
        expected = a * row["tokens"] ** 2, b * row["tokens"] + c
        if attention == 0 or (round(expected[0]), round(expected[1])) != (
            attention,
            row["flops"] - attention,
        ):
            return None
    prefix = n - (first["input_size"] // card.patch) ** 2
    side = 1
    while a * (side**2 + prefix) ** 2 <= b * (side**2 + prefix) + c:
        side += 1
    return side * card.patch
