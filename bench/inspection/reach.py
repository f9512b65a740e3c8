"""How far the layers of trained networks look, kept in the run store: weights are large and not committed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.analysis.claims.contestants import REACH, Measured
from bench.analysis.claims.scores import REACH_OF
from bench.frames import frame
from bench.inspection.attention import AttentionReader, mean_distance, uniform_distance
from bench.inspection.images import open_images, sample
from bench.inspection.loading import Loaded, load
from bench.inspection.receptive import feature_maps, receptive_fields
from bench.inspection.tokens import NotShown, tokens_of
from bench.spec.claim import Scores, load_claims
from bench.store.run_store import RunStore
from bench.store.same_weights import reach_kept

IMAGES = 32
"""Val images over which is averaged."""


def runs_asked(measured: Measured) -> list[str]:
    """The runs of which a claim asks how far they look."""
    asked = [
        evidence
        for claim in load_claims()
        for evidence in claim.evidence
        if isinstance(evidence, Scores) and evidence.of in REACH_OF
    ]
    pairs = [pair for evidence in asked for pair in measured.pairs(evidence)]
    return list(dict.fromkeys(run for pair in pairs for one in pair for run in one.cell.runs))


def keep_reach(store: RunStore, runs: Iterable[str], data_dir: Path) -> int:
    """Measure the runs whose weights are kept and are not in the store's reach table; returns how many.

    Raises:
        InputError, DataError: their images are not here.
    """
    kept = reach_kept(store)
    known = {row["run"] for row in kept}
    missing = [run for run in runs if run not in known and store.files(run).weights.exists()]
    for run in missing:
        model = load(run, weights=None, weights_dir=data_dir, results=store.root, data_dir=data_dir)
        assert model.dataset is not None
        dataset = open_images(*model.dataset[:2], data_dir, store.root)
        images = model.inputs(sample(dataset, "val", IMAGES).images)
        trial = store.trial(run)
        of = {"run": run, "weights": trial.weights_sha256 if trial else None}
        kept += [of | row for row in reach_of(model, images)]
        store.write_reach(frame(kept, REACH | {"weights": "str"}))
    return len(missing)


def reach_of(model: Loaded, images: Tensor) -> list[dict[str, Any]]:
    """Rows of the reach table, without the run; none of a network of which timm gives no feature maps.

    Args:
        images: network input, (n, 3, size, size).
    """
    try:
        with torch.inference_mode():
            sides = [(one.shape[-2], one.shape[-1]) for one in feature_maps(model.network, images[:1])]
        fields = receptive_fields(model.network, images, range(len(sides)))
    except NotShown:
        return []
    attention = _attention(model, images)
    return [
        {
            "layer": layer + 1,
            "depth": (layer + 1) / len(fields),
            "gradient": spread_of(field.cpu().numpy(), side),
            "attention": attention[layer] if len(attention) == len(fields) else None,
        }
        for layer, (field, side) in enumerate(zip(fields, sides, strict=True))
    ]


def spread_of(field: np.ndarray, positions: tuple[int, int]) -> float:
    """The mean distance of a field (h, w) from the unit in the middle of a map, over that of a uniform field.

    Args:
        positions: rows and columns of the map.
    """
    centre = [(count // 2 + 0.5) * side / count for side, count in zip(field.shape, positions, strict=True)]
    rows, columns = np.indices(field.shape) + 0.5
    distance = np.hypot(rows - centre[0], columns - centre[1])
    return float((field * distance).sum() / field.sum() / distance.mean())


def _attention(model: Loaded, images: Tensor) -> list[float]:
    """By block, the mean distance of attention over that of uniform attention; none without attention."""
    try:
        tokens = tokens_of(model.network, model.size)
        with torch.inference_mode():
            _, read = AttentionReader(model.network, tokens)(images)
    except NotShown:
        return []
    blocks = torch.stack(read)  # (blocks, n, heads, tokens, tokens)
    far = mean_distance(blocks.flatten(1, 2), tokens).mean(1)
    return (far / uniform_distance(tokens)).tolist()
