"""The machine's own limit: the most FLOP/s that it reaches in a product of two matrices."""

from statistics import median
from typing import Any

import torch

from bench.profiling.config import LimitConfig
from bench.profiling.network import HALF
from bench.profiling.timing import BLOCK, event_clock, sample, wall_clock, warm_up
from bench.training.step import set_backends

# (m, k, n) of an m x k by k x n product. The last ones are layers of a ViT-B and a ViT-S.
SHAPES = {
    "cpu": ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (1576, 768, 3072), (1576, 384, 1536)),
    "cuda": (
        (2048, 2048, 2048),
        (4096, 4096, 4096),
        (8192, 8192, 8192),
        (16384, 8192, 8192),
        (25216, 768, 3072),
        (25216, 384, 1536),
    ),
}


def measure_matmul(config: LimitConfig, *, repeats: int, seconds: float) -> dict[str, Any]:
    """The best median rate over `SHAPES` on normally distributed matrices.

    Returns:
        flops_per_s (2 x multiply-adds per second), shape, and all by_shape.
    """
    device, precision = config.device, config.precision
    set_backends(device, tf32=precision == "tf32")
    shapes = SHAPES.get(device, SHAPES["cpu"])
    results = []
    for m, k, n in shapes:
        dtype = HALF.get(precision or "fp32", torch.float32)
        left, right = (torch.randn(size, device=device).to(dtype) for size in ((m, k), (k, n)))
        out = torch.empty(m, n, device=device, dtype=dtype)

        def step(left: torch.Tensor = left, right: torch.Tensor = right, out: torch.Tensor = out) -> None:
            torch.mm(left, right, out=out)

        clock = event_clock(step) if device == "cuda" else wall_clock(step, device)
        warm_up(clock, seconds / len(shapes) / 2, seconds)
        samples = sample(clock, repeats, seconds / len(shapes), BLOCK if device == "cuda" else 1)
        results.append({"shape": [m, k, n], "flops_per_s": 2 * m * k * n / median(samples)})
    return {**max(results, key=lambda one: one["flops_per_s"]), "by_shape": results}
